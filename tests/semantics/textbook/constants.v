Definition one : nat := S O.
Definition two := S one.
Definition three : nat := S (two).
Definition add3 (n : nat) : nat := S (S (S n)).
Definition is_two (n : nat) : bool := match n with S (S O) => true | _ => false end.
Definition pick (b : bool) : nat := if b then two else three.
