Inductive ch := a | b.
Inductive re := EmptySet | EmptyStr | Char (c : ch) | App (r s : re) | Union (r s : re) | Star (r : re).
Definition eqc (x y : ch) : bool := match x, y with a, a | b, b => true | _, _ => false end.
Fixpoint nullable (r : re) : bool :=
  match r with
  | EmptySet => false
  | EmptyStr => true
  | Char _ => false
  | App r s => if nullable r then nullable s else false
  | Union r s => if nullable r then true else nullable s
  | Star _ => true
  end.
Fixpoint derive (c : ch) (r : re) : re :=
  match r with
  | EmptySet => EmptySet
  | EmptyStr => EmptySet
  | Char d => if eqc c d then EmptyStr else EmptySet
  | App r s => if nullable r then Union (App (derive c r) s) (derive c s) else App (derive c r) s
  | Union r s => Union (derive c r) (derive c s)
  | Star r => App (derive c r) (Star r)
  end.
Fixpoint matches (r : re) (s : list ch) {struct s} : bool :=
  match s with nil => nullable r | cons c t => matches (derive c r) t end.
Fixpoint rev (r : re) : re :=
  match r with App x y => App (rev y) (rev x) | Union x y => Union (rev x) (rev y) | Star x => Star (rev x) | _ => r end.
