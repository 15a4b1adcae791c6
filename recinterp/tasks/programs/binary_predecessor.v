(* The predecessor of a binary number, least significant bit outermost; that of one is one. *)

Inductive bin : Set := One | X0 (n : bin) | X1 (n : bin).

Fixpoint pred (n : bin) : bin :=
  match n with
  | One => One
  | X0 One => One
  | X0 m => X1 (pred m)
  | X1 m => X0 m
  end.
