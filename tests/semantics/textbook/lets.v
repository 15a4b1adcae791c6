Inductive l := a | b.
Inductive t := Lf | Nd (x : l) (u v : t).
Definition swap (x : l) : l := match x with a => b | b => a end.
Fixpoint f (x : t) : t :=
  match x with
  | Lf => Lf
  | Nd y u v =>
      let y' := swap y in
      let u' := f u in
      let v' : t := f v in
      Nd y' v' u'
  end.
Definition g (x : t) : l := let y := match x with Nd z _ _ => z | Lf => a end in let z := swap y in swap z.
Fixpoint depth (x : t) : nat :=
  match x with
  | Lf => O
  | Nd _ u v => let d := depth u in let e := depth v in S (match d, e with O, _ => e | _, O => d | S p, S q => S q end)
  end.
