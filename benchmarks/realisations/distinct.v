(* Functions of lists of eight labels. On inputs whose labels are distinct, each can be computed in
   several ways: by position, by content, by what was not yet written. *)

Inductive label : Set := a | b | c | d | e | f | g | h.

Inductive list (A : Type) : Type := nil | cons (x : A) (l : list A).
Arguments nil {A}.
Arguments cons {A} x l.

Inductive bool : Set := true | false.

Fixpoint copy (l : list label) : list label :=
  match l with
  | nil => nil
  | cons x t => cons x (copy t)
  end.

Fixpoint reverse_onto (l m : list label) : list label :=
  match l with
  | nil => m
  | cons x t => reverse_onto t (cons x m)
  end.

Definition reverse (l : list label) : list label := reverse_onto l nil.

(* Sorting distinct labels: each label in turn, if it is in the list. *)
Fixpoint has_a (l : list label) : bool :=
  match l with
  | nil => false
  | cons a t => true
  | cons y t => has_a t
  end.

Fixpoint has_b (l : list label) : bool :=
  match l with
  | nil => false
  | cons b t => true
  | cons y t => has_b t
  end.

Fixpoint has_c (l : list label) : bool :=
  match l with
  | nil => false
  | cons c t => true
  | cons y t => has_c t
  end.

Fixpoint has_d (l : list label) : bool :=
  match l with
  | nil => false
  | cons d t => true
  | cons y t => has_d t
  end.

Fixpoint has_e (l : list label) : bool :=
  match l with
  | nil => false
  | cons e t => true
  | cons y t => has_e t
  end.

Fixpoint has_f (l : list label) : bool :=
  match l with
  | nil => false
  | cons f t => true
  | cons y t => has_f t
  end.

Fixpoint has_g (l : list label) : bool :=
  match l with
  | nil => false
  | cons g t => true
  | cons y t => has_g t
  end.

Fixpoint has_h (l : list label) : bool :=
  match l with
  | nil => false
  | cons h t => true
  | cons y t => has_h t
  end.

Definition sort_from_h (l : list label) : list label :=
  match has_h l with
  | true => cons h nil
  | false => nil
  end.

Definition sort_from_g (l : list label) : list label :=
  match has_g l with
  | true => cons g (sort_from_h l)
  | false => sort_from_h l
  end.

Definition sort_from_f (l : list label) : list label :=
  match has_f l with
  | true => cons f (sort_from_g l)
  | false => sort_from_g l
  end.

Definition sort_from_e (l : list label) : list label :=
  match has_e l with
  | true => cons e (sort_from_f l)
  | false => sort_from_f l
  end.

Definition sort_from_d (l : list label) : list label :=
  match has_d l with
  | true => cons d (sort_from_e l)
  | false => sort_from_e l
  end.

Definition sort_from_c (l : list label) : list label :=
  match has_c l with
  | true => cons c (sort_from_d l)
  | false => sort_from_d l
  end.

Definition sort_from_b (l : list label) : list label :=
  match has_b l with
  | true => cons b (sort_from_c l)
  | false => sort_from_c l
  end.

Definition sort_from_a (l : list label) : list label :=
  match has_a l with
  | true => cons a (sort_from_b l)
  | false => sort_from_b l
  end.

Definition sort (l : list label) : list label := sort_from_a l.
