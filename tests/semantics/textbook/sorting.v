Fixpoint leb (n m : nat) : bool := match n, m with O, _ => true | S _, O => false | S p, S q => leb p q end.
Fixpoint insert (i : nat) (l : list nat) : list nat :=
  match l with
  | nil => cons i nil
  | cons h t => if leb i h then cons i (cons h t) else cons h (insert i t)
  end.
Fixpoint sort (l : list nat) : list nat :=
  match l with
  | nil => nil
  | cons h t => insert h (sort t)
  end.
Fixpoint merge_fuel (fuel : nat) (l m : list nat) : list nat :=
  match fuel with
  | O => l
  | S k =>
    match l, m with
    | nil, _ => m
    | _, nil => l
    | cons x xs, cons y ys => if leb x y then cons x (merge_fuel k xs m) else cons y (merge_fuel k l ys)
    end
  end.
