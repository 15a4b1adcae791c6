Inductive t := L | N (l r : t).
Fixpoint f (x : t) : t :=
  match x with
  | L => L
  | N x y => let x := f x in let y := f y in N y x
  end.
Definition g (f : t) : t := match f with L => N L L | N f _ => f end.
Definition h (S : t) (O : t) : t := N S O.
Definition k (l : t) : t := match l with L => l | N l l' => match l with L => l' | N _ l => l end end.
