Inductive tree (A : Type) : Type :=
  | Leaf : tree A
  | Node : tree A -> A -> tree A -> tree A.
Arguments Leaf {A}.
Arguments Node {A} _ _ _.
Fixpoint size (t : tree bool) : nat :=
  match t with
  | Leaf => O
  | Node l _ r => S (match size l with O => size r | S k => S k end)
  end.
Fixpoint mirror (t : tree bool) : tree bool :=
  match t with
  | Leaf => Leaf
  | Node l x r => Node (mirror r) x (mirror l)
  end.
Fixpoint app (l m : list bool) : list bool := match l with nil => m | cons x t => cons x (app t m) end.
Fixpoint flatten (t : tree bool) : list bool :=
  match t with
  | Leaf => nil
  | Node l x r => app (flatten l) (cons x (flatten r))
  end.
Fixpoint flatten_aux (t : tree bool) (acc : list bool) {struct t} : list bool :=
  match t with
  | Leaf => acc
  | Node l x r => flatten_aux l (cons x (flatten_aux r acc))
  end.
Definition flatten' (t : tree bool) : list bool := flatten_aux t nil.
