(* After Coq.PArith.BinPosDef *)
Inductive positive : Set :=
  | xI : positive -> positive
  | xO : positive -> positive
  | xH : positive.
Fixpoint succ (x : positive) : positive :=
  match x with
    | xI p => xO (succ p)
    | xO p => xI p
    | xH => xO xH
  end.
Fixpoint add (x y : positive) : positive :=
  match x, y with
    | xI p, xI q => xO (add_carry p q)
    | xI p, xO q => xI (add p q)
    | xI p, xH => xO (succ p)
    | xO p, xI q => xI (add p q)
    | xO p, xO q => xO (add p q)
    | xO p, xH => xI p
    | xH, xI q => xO (succ q)
    | xH, xO q => xI q
    | xH, xH => xO xH
  end
with add_carry (x y : positive) : positive :=
  match x, y with
    | xI p, xI q => xI (add_carry p q)
    | xI p, xO q => xO (add_carry p q)
    | xI p, xH => xI (succ p)
    | xO p, xI q => xO (add_carry p q)
    | xO p, xO q => xI (add p q)
    | xO p, xH => xO (succ p)
    | xH, xI q => xI (succ q)
    | xH, xO q => xO (succ q)
    | xH, xH => xI xH
  end.
Fixpoint pred_double (x : positive) : positive :=
  match x with
    | xI p => xI (xO p)
    | xO p => xI (pred_double p)
    | xH => xH
  end.
Definition pred (x : positive) : positive :=
  match x with
    | xI p => xO p
    | xO p => pred_double p
    | xH => xH
  end.
Fixpoint mul (x y : positive) {struct x} : positive :=
  match x with
    | xI p => add y (xO (mul p y))
    | xO p => xO (mul p y)
    | xH => y
  end.
Fixpoint size (p : positive) : positive :=
  match p with
    | xH => xH
    | xI p => succ (size p)
    | xO p => succ (size p)
  end.
Fixpoint compare_cont (r : comparison) (x y : positive) {struct y} : comparison :=
  match x, y with
    | xI p, xI q => compare_cont r p q
    | xI p, xO q => compare_cont Gt p q
    | xI p, xH => Gt
    | xO p, xI q => compare_cont Lt p q
    | xO p, xO q => compare_cont r p q
    | xO p, xH => Gt
    | xH, xI q => Lt
    | xH, xO q => Lt
    | xH, xH => r
  end.
Definition compare (x y : positive) : comparison := compare_cont Eq x y.
Fixpoint eqb (p q : positive) {struct q} : bool :=
  match p, q with
    | xI p, xI q => eqb p q
    | xO p, xO q => eqb p q
    | xH, xH => true
    | _, _ => false
  end.
Inductive mask : Set :=
| IsNul : mask
| IsPos : positive -> mask
| IsNeg : mask.
Definition succ_double_mask (x:mask) : mask :=
  match x with
    | IsNul => IsPos xH
    | IsNeg => IsNeg
    | IsPos p => IsPos (xI p)
  end.
Definition double_mask (x:mask) : mask :=
  match x with
    | IsNul => IsNul
    | IsNeg => IsNeg
    | IsPos p => IsPos (xO p)
  end.
Definition double_pred_mask (x:positive) : mask :=
  match x with
    | xI p => IsPos (xO (xO p))
    | xO p => IsPos (xO (pred_double p))
    | xH => IsNul
  end.
Fixpoint sub_mask (x y:positive) {struct y} : mask :=
  match x, y with
    | xI p, xI q => double_mask (sub_mask p q)
    | xI p, xO q => succ_double_mask (sub_mask p q)
    | xI p, xH => IsPos (xO p)
    | xO p, xI q => succ_double_mask (sub_mask_carry p q)
    | xO p, xO q => double_mask (sub_mask p q)
    | xO p, xH => IsPos (pred_double p)
    | xH, xH => IsNul
    | xH, _ => IsNeg
  end
with sub_mask_carry (x y:positive) {struct y} : mask :=
  match x, y with
    | xI p, xI q => succ_double_mask (sub_mask_carry p q)
    | xI p, xO q => double_mask (sub_mask p q)
    | xI p, xH => IsPos (pred_double p)
    | xO p, xI q => double_mask (sub_mask_carry p q)
    | xO p, xO q => succ_double_mask (sub_mask_carry p q)
    | xO p, xH => double_pred_mask p
    | xH, _ => IsNeg
  end.
