Inductive d := D0 | D1 | D2.
Definition pred (x : d) : option d := match x with D0 => None | D1 => Some D0 | D2 => Some D1 end.
Definition bind (x : option d) : option d := match x with Some y => pred y | None => None end.
Fixpoint last (l : list d) : option d := match l with nil => None | cons x nil => Some x | cons _ t => last t end.
Fixpoint map (l : list d) : list (option d) := match l with nil => nil | cons x t => cons (pred x) (map t) end.
Fixpoint all (l : list (option d)) : option (list d) :=
  match l with
  | nil => Some nil
  | cons None _ => None
  | cons (Some x) t => match all t with None => None | Some u => Some (cons x u) end
  end.
Definition or_else (x y : option d) : option d := match x with None => y | _ => x end.
