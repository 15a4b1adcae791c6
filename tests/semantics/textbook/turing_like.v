Inductive sym := Z | J.
Inductive tape := Nil | Cons (s : sym) (t : tape).
Fixpoint flip (t : tape) : tape := match t with Nil => Nil | Cons Z u => Cons J (flip u) | Cons J u => Cons Z (flip u) end.
Fixpoint parity (t : tape) (p : sym) : sym :=
  match t with Nil => p | Cons Z u => parity u p | Cons J u => parity u (match p with Z => J | J => Z end) end.
Fixpoint dedup (t : tape) : tape :=
  match t with
  | Nil => Nil
  | Cons x Nil => Cons x Nil
  | Cons Z (Cons Z _ as u) => dedup u
  | Cons J ((Cons J _) as u) => dedup u
  | Cons x u => Cons x (dedup u)
  end.
Fixpoint pairs (t : tape) : tape :=
  match t with
  | Cons x (Cons y u) => Cons y (Cons x (pairs u))
  | _ => t
  end.
Fixpoint xor (t u : tape) : tape :=
  match t, u with
  | Cons x t', Cons y u' => Cons (match x, y with Z, J | J, Z => J | _, _ => Z end) (xor t' u')
  | _, _ => Nil
  end.
Fixpoint dup (t : tape) : tape := match t with Nil => Nil | Cons x u => Cons x (Cons x (dup u)) end.
