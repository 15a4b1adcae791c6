Inductive tm := Var (n : nat) | Lam (t : tm) | Ap (t u : tm).
Fixpoint leb (n m : nat) : bool := match n, m with O, _ => true | S _, O => false | S p, S q => leb p q end.
Fixpoint shift (c : nat) (t : tm) : tm :=
  match t with
  | Var n => if leb c n then Var (S n) else Var n
  | Lam u => Lam (shift (S c) u)
  | Ap u v => Ap (shift c u) (shift c v)
  end.
Fixpoint subst (c : nat) (s t : tm) {struct t} : tm :=
  match t with
  | Var n => match leb c n, leb n c with true, true => s | true, false => Var (match n with O => O | S p => p end) | false, _ => Var n end
  | Lam u => Lam (subst (S c) (shift O s) u)
  | Ap u v => Ap (subst c s u) (subst c s v)
  end.
Definition step (t : tm) : tm := match t with Ap (Lam b) u => subst O u b | _ => t end.
Fixpoint size (t : tm) : nat := match t with Var _ => S O | Lam u => S (size u) | Ap u v => S (match size u with O => size v | S p => S p end) end.
