Inductive T' := A' | _B (x_1 : T') | C_ (_ : T') (_y : T').
Fixpoint f' (x' : T') : T' := match x' with A' => A' | _B _z => C_ (f' _z) _z | C_ y' y'' => _B (f' y'') end.
Definition g'1 (x'' x' : T') : T' := match x'', x' with _B u, _B v => C_ u v | u, _ => u end.
