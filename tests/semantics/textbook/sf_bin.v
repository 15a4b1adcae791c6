Inductive bin : Type :=
  | Z
  | B0 (n : bin)
  | B1 (n : bin).
Fixpoint incr (m:bin) : bin :=
  match m with
  | Z => B1 Z
  | B0 n => B1 n
  | B1 n => B0 (incr n)
  end.
Fixpoint add (n m : nat) : nat := match n with O => m | S p => S (add p m) end.
Fixpoint bin_to_nat (m:bin) : nat :=
  match m with
  | Z => O
  | B0 n => add (bin_to_nat n) (bin_to_nat n)
  | B1 n => S (add (bin_to_nat n) (bin_to_nat n))
  end.
Fixpoint nat_to_bin (n:nat) : bin :=
  match n with O => Z | S n' => incr (nat_to_bin n') end.
Definition double_bin (b:bin) : bin := match b with Z => Z | _ => B0 b end.
Fixpoint normalize (b:bin) : bin :=
  match b with
  | Z => Z
  | B0 b' => double_bin (normalize b')
  | B1 b' => B1 (normalize b')
  end.
