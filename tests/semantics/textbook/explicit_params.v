Inductive list' (A : Set) : Set := nil' | cons' (x : A) (l : list' A).
Fixpoint app (l m : list' bool) : list' bool :=
  match l with
  | nil' _ => m
  | cons' _ x t => cons' bool x (app t m)
  end.
Fixpoint rev (l : list' bool) : list' bool :=
  match l with nil' _ => nil' _ | cons' _ x t => app (rev t) (cons' _ x (nil' _)) end.
