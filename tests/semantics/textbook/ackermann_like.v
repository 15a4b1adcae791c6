Fixpoint iter_double (n m : nat) : nat := match n with O => m | S p => iter_double p (match m with O => O | S q => S (S q) end) end.
Fixpoint fib2 (n : nat) (x y : nat) {struct n} : nat := match n with O => x | S p => fib2 p y (S x) end.
Fixpoint mod3 (n : nat) : nat := match n with S (S (S p)) => mod3 p | _ => n end.
Fixpoint collatz_fuel (f n : nat) : bool := match f, n with _, O => false | O, _ => false | S f, S O => true | S f, S (S n) => collatz_fuel f n end.
