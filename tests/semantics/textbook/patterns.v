Inductive c := R | G | B.
Inductive t := E | N (x : c) (l r : t).
Definition balance (x : c) (l : t) (k : c) (r : t) : t :=
  match x, l, r with
  | B, N R (N R p q) s, d => N R (N B p q) (N B s d)
  | B, N R p (N R q s), d => N R (N B p q) (N B s d)
  | B, p, N R (N R q s) d => N R (N B p q) (N B s d)
  | B, p, N R q (N R s d) => N R (N B p q) (N B s d)
  | _, _, _ => N x l r
  end.
Definition f (x : t) : t := match x with N R (N G _ _ as y) _ => y | N _ _ (N (R | G) u v) as w => N B u w | E as e => e | _ as z => z end.
Definition g (x y : t) : bool :=
  match x, y with
  | E, E => true
  | E, N _ _ _ | N _ _ _, E => false
  | N x _ _, N y _ _ => match x, y with R, R | G, G | B, B => true | _, _ => false end
  end.
Definition h (x : t) : c := match x with | E => R | N x _ _ => match x with | R => G | y => y end end.
