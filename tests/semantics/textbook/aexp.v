Inductive aexp : Type :=
  | ANum (n : nat)
  | APlus (a1 a2 : aexp)
  | AMinus (a1 a2 : aexp)
  | AMult (a1 a2 : aexp).
Inductive bexp : Type :=
  | BTrue
  | BFalse
  | BEq (a1 a2 : aexp)
  | BNot (b : bexp)
  | BAnd (b1 b2 : bexp).
Fixpoint plus (n m : nat) : nat := match n with O => m | S p => S (plus p m) end.
Fixpoint minus (n m : nat) : nat := match n, m with S k, S l => minus k l | _, _ => n end.
Fixpoint mult (n m : nat) : nat := match n with O => O | S p => plus m (mult p m) end.
Fixpoint eqb (n m : nat) : bool :=
  match n, m with O, O => true | S n', S m' => eqb n' m' | _, _ => false end.
Fixpoint aeval (a : aexp) : nat :=
  match a with
  | ANum n => n
  | APlus a1 a2 => plus (aeval a1) (aeval a2)
  | AMinus a1 a2 => minus (aeval a1) (aeval a2)
  | AMult a1 a2 => mult (aeval a1) (aeval a2)
  end.
Fixpoint beval (b : bexp) : bool :=
  match b with
  | BTrue => true
  | BFalse => false
  | BEq a1 a2 => eqb (aeval a1) (aeval a2)
  | BNot b1 => if beval b1 then false else true
  | BAnd b1 b2 => if beval b1 then beval b2 else false
  end.
Fixpoint optimize_0plus (a:aexp) : aexp :=
  match a with
  | ANum n => ANum n
  | APlus (ANum O) e2 => optimize_0plus e2
  | APlus  e1 e2 => APlus  (optimize_0plus e1) (optimize_0plus e2)
  | AMinus e1 e2 => AMinus (optimize_0plus e1) (optimize_0plus e2)
  | AMult  e1 e2 => AMult  (optimize_0plus e1) (optimize_0plus e2)
  end.
