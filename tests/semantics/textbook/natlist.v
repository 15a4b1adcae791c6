Inductive natprod : Type := | pair (n1 n2 : nat).
Definition fst (p : natprod) : nat := match p with | pair x y => x end.
Definition snd (p : natprod) : nat := match p with | pair x y => y end.
Definition swap_pair (p : natprod) : natprod := match p with | pair x y => pair y x end.

Inductive natlist : Type :=
  | nil
  | cons (n : nat) (l : natlist).

Fixpoint repeat (n count : nat) : natlist :=
  match count with
  | O => nil
  | S count' => cons n (repeat n count')
  end.
Fixpoint length (l:natlist) : nat :=
  match l with
  | nil => O
  | cons h t => S (length t)
  end.
Fixpoint app (l1 l2 : natlist) : natlist :=
  match l1 with
  | nil    => l2
  | cons h t => cons h (app t l2)
  end.
Definition hd (default : nat) (l : natlist) : nat :=
  match l with
  | nil => default
  | cons h t => h
  end.
Definition tl (l : natlist) : natlist :=
  match l with
  | nil => nil
  | cons h t => t
  end.
Fixpoint nonzeros (l:natlist) : natlist :=
  match l with
  | nil => nil
  | cons O t => nonzeros t
  | cons h t => cons h (nonzeros t)
  end.
Fixpoint evenb (n:nat) : bool := match n with O => true | S O => false | S (S n') => evenb n' end.
Fixpoint oddmembers (l:natlist) : natlist :=
  match l with
  | nil => nil
  | cons h t => if evenb h then oddmembers t else cons h (oddmembers t)
  end.
Definition countoddmembers (l:natlist) : nat := length (oddmembers l).
Fixpoint alternate (l1 l2 : natlist) : natlist :=
  match l1, l2 with
  | nil, _ => l2
  | _, nil => l1
  | cons h1 t1, cons h2 t2 => cons h1 (cons h2 (alternate t1 t2))
  end.
Fixpoint eqb (n m : nat) : bool :=
  match n, m with O, O => true | S n', S m' => eqb n' m' | _, _ => false end.
Fixpoint count (v : nat) (s : natlist) : nat :=
  match s with
  | nil => O
  | cons h t => if eqb h v then S (count v t) else count v t
  end.
Fixpoint remove_one (v : nat) (s : natlist) : natlist :=
  match s with
  | nil => nil
  | cons h t => match eqb h v with true => t | false => cons h (remove_one v t) end
  end.
Fixpoint rev (l:natlist) : natlist :=
  match l with
  | nil => nil
  | cons h t => app (rev t) (cons h nil)
  end.
Inductive natoption : Type :=
  | Some (n : nat)
  | None.
Fixpoint nth_error (l:natlist) (n:nat) : natoption :=
  match l with
  | nil => None
  | cons a l' => match n with
               | O => Some a
               | S n' => nth_error l' n'
               end
  end.
Definition option_elim (d : nat) (o : natoption) : nat :=
  match o with
  | Some n' => n'
  | None => d
  end.
Fixpoint eqblist (l1 l2 : natlist) : bool :=
  match l1, l2 with
  | nil, nil => true
  | cons h1 t1, cons h2 t2 => if eqb h1 h2 then eqblist t1 t2 else false
  | _, _ => false
  end.
