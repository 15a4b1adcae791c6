Inductive label : Set := a | b.
Inductive tree : Set := node : label -> forest -> tree
with forest : Set := leaf : label -> forest | cons : tree -> forest -> forest.
Fixpoint tree_size (t:tree) : nat :=
  match t with
    | node b f => S (forest_size f)
    | node _ f => forest_size f
  end
with forest_size (f:forest) : nat :=
  match f with
    | leaf _ => S O
    | cons t f' => match forest_size f' with O => tree_size t | S n => S n end
  end.
Fixpoint tmap (t : tree) : tree :=
  match t with node x f => node (match x with a => b | b => a end) (fmap f) end
with fmap (f : forest) : forest :=
  match f with leaf x => leaf (match x with a => b | b => a end) | cons t g => cons (tmap t) (fmap g) end.
