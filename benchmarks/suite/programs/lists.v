(* Functions on lists of labels that the library does not ship. *)

Inductive label : Set := a | b | c | d.

Inductive list (A : Type) : Type := nil | cons (x : A) (l : list A).
Arguments nil {A}.
Arguments cons {A} x l.

Fixpoint keep (l : list label) : list label :=
  match l with
  | nil => nil
  | cons b t => keep t
  | cons x t => cons x (keep t)
  end.

Fixpoint stutter (l : list label) : list label :=
  match l with
  | nil => nil
  | cons x t => cons x (cons x (stutter t))
  end.

Fixpoint swap (l : list label) : list label :=
  match l with
  | nil => nil
  | cons x nil => cons x nil
  | cons x (cons y t) => cons y (cons x (swap t))
  end.

Fixpoint weave (l m : list label) : list label :=
  match l, m with
  | nil, _ => m
  | _, nil => l
  | cons x t, cons y u => cons x (cons y (weave t u))
  end.
