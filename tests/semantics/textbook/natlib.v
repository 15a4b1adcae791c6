(* After Coq.Init.Nat *)
Fixpoint add (n m : nat) {struct n} : nat :=
  match n with
  | O => m
  | S p => S (add p m)
  end.
Fixpoint sub (n m : nat) : nat :=
  match n, m with
  | S k, S l => sub k l
  | _, _ => n
  end.
Fixpoint max (n m : nat) : nat :=
  match n, m with
    | O, _ => m
    | S n', O => n
    | S n', S m' => S (max n' m')
  end.
Fixpoint min (n m : nat) : nat :=
  match n, m with
    | O, _ => O
    | S n', O => O
    | S n', S m' => S (min n' m')
  end.
Fixpoint compare (n m : nat) : comparison :=
  match n, m with
   | O, O => Eq
   | O, S _ => Lt
   | S _, O => Gt
   | S n', S m' => compare n' m'
  end.
Fixpoint tail_add (n m : nat) : nat :=
  match n with
    | O => m
    | S n => tail_add n (S m)
  end.
Fixpoint tail_addmul (r n m : nat) {struct n} : nat :=
  match n with
    | O => r
    | S n => tail_addmul (tail_add m r) n m
  end.
Definition tail_mul (n m : nat) : nat := tail_addmul O n m.
Fixpoint divmod (x y q u : nat) {struct x} : prod nat nat :=
  match x with
    | O => pair q u
    | S x' => match u with
                | O => divmod x' y (S q) y
                | S u' => divmod x' y q u'
              end
  end.
Definition div (x y : nat) : nat :=
  match y with
    | O => y
    | S y' => match divmod x y' O y' with pair q _ => q end
  end.
Definition modulo (x y : nat) : nat :=
  match y with
    | O => x
    | S y' => let p := divmod x y' O y' in match p with pair _ u => sub y' u end
  end.
Fixpoint sqrt_iter (k p q r : nat) : nat :=
  match k with
    | O => p
    | S k' => match r with
                | O => sqrt_iter k' (S p) (S (S q)) (S (S q))
                | S r' => sqrt_iter k' p q r'
              end
  end.
Definition sqrt (n : nat) : nat := sqrt_iter n O O O.
Fixpoint log2_iter (k p q r : nat) : nat :=
  match k with
    | O => p
    | S k' => match r with
                | O => log2_iter k' (S p) (S q) q
                | S r' => log2_iter k' p (S q) r'
              end
  end.
Definition log2 (n : nat) : nat := log2_iter (match n with O => O | S p => p end) O (S O) O.
Fixpoint div2 (n : nat) : nat :=
  match n with
  | O => O
  | S O => O
  | S (S n') => S (div2 n')
  end.
