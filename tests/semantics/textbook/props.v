Inductive form := Tr | Fa | Not (f : form) | And (f g : form) | Or (f g : form).
Fixpoint nnf (f : form) : form :=
  match f with
  | Not g => nnf_neg g
  | And g h => And (nnf g) (nnf h)
  | Or g h => Or (nnf g) (nnf h)
  | _ => f
  end
with nnf_neg (f : form) : form :=
  match f with
  | Tr => Fa
  | Fa => Tr
  | Not g => nnf g
  | And g h => Or (nnf_neg g) (nnf_neg h)
  | Or g h => And (nnf_neg g) (nnf_neg h)
  end.
Fixpoint eval (f : form) : bool :=
  match f with
  | Tr => true | Fa => false
  | Not g => if eval g then false else true
  | And g h => if eval g then eval h else false
  | Or g h => if eval g then true else eval h
  end.
