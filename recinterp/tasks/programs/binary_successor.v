(* Binary numbers, least significant bit outermost; One is the most significant bit, written 01. *)

Inductive bin : Set := One | X0 (n : bin) | X1 (n : bin).

Fixpoint succ (n : bin) : bin :=
  match n with
  | One => X0 One
  | X0 m => X1 m
  | X1 m => X0 (succ m)
  end.
