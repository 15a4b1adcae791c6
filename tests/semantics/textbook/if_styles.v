Inductive ans := Yes | No.
Inductive may (A : Type) := Just (x : A) | Nothing.
Arguments Just {A} x. Arguments Nothing {A}.
Definition f (x : ans) (y : bool) : ans := if x then (if y then No else x) else if y then x else Yes.
Definition g (x : may ans) : ans := if x then No else Yes.
Definition h (x : list ans) : bool := if x then true else false.
Definition k (n : nat) : bool := if n then true else false.
