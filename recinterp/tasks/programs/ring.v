(* Expressions over the integers modulo 3, and their value. *)

Inductive z3 : Set := Zero | One | Two.

Inductive expr : Set := Num (x : z3) | Plus (l r : expr) | Times (l r : expr) | Neg (l : expr).

Definition plus (x y : z3) : z3 :=
  match x, y with
  | Zero, _ => y
  | _, Zero => x
  | One, One => Two
  | One, Two | Two, One => Zero
  | Two, Two => One
  end.

Definition neg (x : z3) : z3 := match x with Zero => Zero | One => Two | Two => One end.

Definition times (x y : z3) : z3 :=
  match x with
  | Zero => Zero
  | One => y
  | Two => neg y
  end.

Fixpoint eval (t : expr) : z3 :=
  match t with
  | Num x => x
  | Plus l r => plus (eval l) (eval r)
  | Times l r => times (eval l) (eval r)
  | Neg l => neg (eval l)
  end.
