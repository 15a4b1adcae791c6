(* Lists of labels. A list is written as the bare sequence of its labels. *)

Inductive label : Set := a | b | c | d.

Inductive list (A : Type) : Type := nil | cons (x : A) (l : list A).
Arguments nil {A}.
Arguments cons {A} x l.

Fixpoint append (l m : list label) : list label :=
  match l with
  | nil => m
  | cons x t => cons x (append t m)
  end.

Fixpoint reverse_onto (l done : list label) : list label :=
  match l with
  | nil => done
  | cons x t => reverse_onto t (cons x done)
  end.

Definition reverse (l : list label) : list label := reverse_onto l nil.

Definition next (x : label) : label :=
  match x with a => b | b => c | c => d | d => a end.

Fixpoint map_next (l : list label) : list label :=
  match l with
  | nil => nil
  | cons x t => cons (next x) (map_next t)
  end.
