(* Binary trees with labelled nodes: their traversals, as lists of labels, and their mirror image. *)

Inductive label : Set := a | b | c | d | e | f | g | h.

Inductive tree : Set := Leaf | Node (x : label) (l r : tree).

Inductive list (A : Type) : Type := nil | cons (x : A) (l : list A).
Arguments nil {A}.
Arguments cons {A} x l.

Fixpoint append (l m : list label) : list label :=
  match l with
  | nil => m
  | cons x t => cons x (append t m)
  end.

Fixpoint preorder (t : tree) : list label :=
  match t with
  | Leaf => nil
  | Node x l r => cons x (append (preorder l) (preorder r))
  end.

Fixpoint inorder (t : tree) : list label :=
  match t with
  | Leaf => nil
  | Node x l r => append (inorder l) (cons x (inorder r))
  end.

Fixpoint postorder (t : tree) : list label :=
  match t with
  | Leaf => nil
  | Node x l r => append (postorder l) (append (postorder r) (cons x nil))
  end.

Fixpoint mirror (t : tree) : tree :=
  match t with
  | Leaf => Leaf
  | Node x l r => Node x (mirror r) (mirror l)
  end.
