(* The sum of two binary numbers, least significant bit outermost. *)

Inductive bin : Set := One | X0 (n : bin) | X1 (n : bin).

Fixpoint succ (n : bin) : bin :=
  match n with
  | One => X0 One
  | X0 m => X1 m
  | X1 m => X0 (succ m)
  end.

Fixpoint add (n m : bin) : bin :=
  match n, m with
  | One, _ => succ m
  | _, One => succ n
  | X0 a, X0 b => X0 (add a b)
  | X0 a, X1 b => X1 (add a b)
  | X1 a, X0 b => X1 (add a b)
  | X1 a, X1 b => X0 (add_carry a b)
  end
with add_carry (n m : bin) : bin :=
  match n, m with
  | One, One => X1 One
  | One, X0 b => X0 (succ b)
  | One, X1 b => X1 (succ b)
  | X0 a, One => X0 (succ a)
  | X1 a, One => X1 (succ a)
  | X0 a, X0 b => X1 (add a b)
  | X0 a, X1 b => X0 (add_carry a b)
  | X1 a, X0 b => X0 (add_carry a b)
  | X1 a, X1 b => X1 (add_carry a b)
  end.
