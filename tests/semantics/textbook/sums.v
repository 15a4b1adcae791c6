Inductive d := A | B.
Fixpoint partition (l : list (sum d bool)) : prod (list d) (list bool) :=
  match l with
  | nil => pair nil nil
  | cons (inl x) t => match partition t with pair u v => pair (cons x u) v end
  | cons (inr y) t => match partition t with pair u v => pair u (cons y v) end
  end.
Definition swap (p : prod d bool) : prod bool d := match p with pair x y => pair y x end.
Definition flip (s : sum d bool) : sum bool d := match s with inl x => inr x | inr x => inl x end.
Definition fst (p : prod d bool) : d := match p with pair x _ => x end.
Definition curry3 (x : d) (y : bool) (z : unit) : prod (prod d bool) unit := pair (pair x y) z.
