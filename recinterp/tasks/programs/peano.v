(* Peano numbers: addition, by recursion on the first, and doubling. *)

Inductive nat : Set := O | S (n : nat).

Fixpoint add (n m : nat) : nat :=
  match n with
  | O => m
  | S p => S (add p m)
  end.

Fixpoint double (n : nat) : nat :=
  match n with
  | O => O
  | S p => S (S (double p))
  end.
