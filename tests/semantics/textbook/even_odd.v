Fixpoint even (n : nat) : bool :=
  match n with
  | O => true
  | S n => odd n
  end
with odd (n : nat) : bool :=
  match n with
  | O => false
  | S n => even n
  end.
Fixpoint half_up (n : nat) : nat := match n with O => O | S p => S (half_down p) end
with half_down (n : nat) : nat := match n with O => O | S p => half_up p end.
