(* Verified functional algorithms style *)
Inductive tree : Type :=
| E
| T (l : tree) (k : nat) (r : tree).
Fixpoint ltb (n m : nat) : bool := match n, m with _, O => false | O, S _ => true | S p, S q => ltb p q end.
Fixpoint bound (x : nat) (t : tree) : bool :=
  match t with
  | E => false
  | T l y r => if ltb x y then bound x l
                else if ltb y x then bound x r
                     else true
  end.
Fixpoint insert (x : nat) (t : tree) : tree :=
  match t with
  | E => T E x E
  | T l y r => if ltb x y then T (insert x l) y r
                 else if ltb y x then T l y (insert x r)
                      else T l x r
  end.
Fixpoint app (l m : list nat) : list nat := match l with nil => m | cons x t => cons x (app t m) end.
Fixpoint elements (t : tree) : list nat :=
  match t with
  | E => nil
  | T l k r => app (elements l) (app (cons k nil) (elements r))
  end.
Fixpoint fast_elements_tr (t : tree) (acc : list nat) : list nat :=
  match t with
  | E => acc
  | T l k r => fast_elements_tr l (cons k (fast_elements_tr r acc))
  end.
Definition fast_elements (t : tree) : list nat := fast_elements_tr t nil.
