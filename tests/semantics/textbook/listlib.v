Require Import List.
Import ListNotations.
Inductive label : Set := a | b | c.
Fixpoint rev_append (l l' : list label) : list label :=
  match l with
    | [] => l'
    | x :: l => rev_append l (x :: l')
  end.
Definition rev' (l : list label) : list label := rev_append l [].
Fixpoint app' (l m : list label) : list label := match l with [] => m | x :: l' => x :: app' l' m end.
Fixpoint rev (l : list label) : list label :=
  match l with
    | [] => []
    | x :: l' => app' (rev l') [x]
  end.
Fixpoint nth (n : nat) (l : list label) (default : label) {struct l} : label :=
  match n, l with
    | O, x :: l' => x
    | O, other => default
    | S m, [] => default
    | S m, x :: t => nth m t default
  end.
Fixpoint nth_ok (n : nat) (l : list label) (default : label) {struct l} : bool :=
  match n, l with
    | O, x :: l' => true
    | O, other => false
    | S m, [] => false
    | S m, x :: t => nth_ok m t default
  end.
Fixpoint nth_error (l : list label) (n : nat) {struct n} : option label :=
  match n, l with
    | O, x :: _ => Some x
    | S n, _ :: l => nth_error l n
    | _, _ => None
  end.
Fixpoint last (l : list label) (d : label) : label :=
  match l with
    | [] => d
    | [x] => x
    | x :: l => last l d
  end.
Fixpoint removelast (l : list label) : list label :=
  match l with
    | [] => []
    | [x] => []
    | x :: l => x :: removelast l
  end.
Fixpoint firstn (n:nat)(l:list label) : list label :=
  match n with
    | O => nil
    | S n => match l with
               | nil => nil
               | x::l => x::(firstn n l)
             end
  end.
Fixpoint skipn (n:nat)(l:list label) : list label :=
  match n with
    | O => l
    | S n => match l with
               | nil => nil
               | x::l => skipn n l
             end
  end.
Fixpoint repeat (x : label) (n: nat ) : list label :=
  match n with
    | O => []
    | S k => x::(repeat x k)
  end.
Fixpoint seq (start len:nat) : list nat :=
  match len with
    | O => nil
    | S len => start :: seq (S start) len
  end.
Fixpoint combine (l : list label) (l' : list nat) : list (prod label nat) :=
  match l,l' with
    | x::tl, y::tl' => (pair x y)::(combine tl tl')
    | _, _ => nil
  end.
Fixpoint split (l:list (prod label bool)) : prod (list label) (list bool) :=
  match l with
    | [] => pair [] []
    | pair x y :: tl => match split tl with pair u v => pair (x::u) (y::v) end
  end.
