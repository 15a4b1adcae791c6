Inductive key : Set := k0 | k1 | k2.
Inductive tree (V : Type) : Type :=
| E
| T (l : tree V) (k : key) (v : V) (r : tree V).
Arguments E {V}.
Arguments T {V}.
Definition ltb (x y : key) : bool :=
  match x, y with
  | k0, k1 | k0, k2 | k1, k2 => true
  | _, _ => false
  end.
Fixpoint lookup (d : bool) (x : key) (t : tree bool) : bool :=
  match t with
  | E => d
  | T l y v r => if ltb x y then lookup d x l
                 else if ltb y x then lookup d x r
                      else v
  end.
Fixpoint insert (x : key) (v : bool) (t : tree bool) : tree bool :=
  match t with
  | E => T E x v E
  | T l y v' r => if ltb x y then T (insert x v l) y v' r
                  else if ltb y x then T l y v' (insert x v r)
                       else T l x v r
  end.
