Inductive id : Type :=
  | Id (n : nat).
Fixpoint eqb (n m : nat) : bool :=
  match n, m with O, O => true | S n', S m' => eqb n' m' | _, _ => false end.
Definition eqb_id (x1 x2 : id) : bool :=
  match x1, x2 with
  | Id n1, Id n2 => eqb n1 n2
  end.
Inductive natoption : Type := | Some (n : nat) | None.
Inductive partial_map : Type :=
  | empty
  | record (i : id) (v : nat) (m : partial_map).
Definition update (d : partial_map) (x : id) (value : nat) : partial_map :=
  record x value d.
Fixpoint find (x : id) (d : partial_map) : natoption :=
  match d with
  | empty         => None
  | record y v d' => if eqb_id x y
                     then Some v
                     else find x d'
  end.
