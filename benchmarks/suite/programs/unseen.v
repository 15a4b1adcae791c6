(* Functions that no method was tried on before its rows were counted. *)

Inductive bool : Set := true | false.
Inductive label : Set := a | b | c | d.
Inductive order : Set := Lt | Eq | Gt.

Inductive list (A : Type) : Type := nil | cons (x : A) (l : list A).
Arguments nil {A}.
Arguments cons {A} x l.

Fixpoint append (l m : list label) : list label :=
  match l with
  | nil => m
  | cons x t => cons x (append t m)
  end.

(* Base three, the lowest digit outermost. *)
Inductive three : Set := H1 | H2 | D0 (x : three) | D1 (x : three) | D2 (x : three).

Fixpoint succ3 (x : three) : three :=
  match x with
  | H1 => H2
  | H2 => D0 H1
  | D0 y => D1 y
  | D1 y => D2 y
  | D2 y => D0 (succ3 y)
  end.

(* Whether an odd number of bits was true so far. *)
Fixpoint parity_from (odd : bool) (l : list bool) : list bool :=
  match l with
  | nil => nil
  | cons true t =>
      match odd with
      | true => cons false (parity_from false t)
      | false => cons true (parity_from true t)
      end
  | cons false t => cons odd (parity_from odd t)
  end.

Definition parities (l : list bool) : list bool := parity_from false l.

(* Neighbours that are the same become one. *)
Fixpoint same (x y : label) : bool :=
  match x, y with
  | a, a => true
  | b, b => true
  | c, c => true
  | d, d => true
  | _, _ => false
  end.

Fixpoint after (x : label) (l : list label) : list label :=
  match l with
  | nil => nil
  | cons y t => match same x y with true => after x t | false => cons y (after y t) end
  end.

Definition squeeze (l : list label) : list label :=
  match l with
  | nil => nil
  | cons x t => cons x (after x t)
  end.

(* What stands before the first d. *)
Fixpoint until (l : list label) : list label :=
  match l with
  | nil => nil
  | cons d _ => nil
  | cons x t => cons x (until t)
  end.

Fixpoint comma (l : list label) : list label :=
  match l with
  | nil => nil
  | cons x nil => cons x nil
  | cons x t => cons x (cons d (comma t))
  end.

Definition rotate (l : list label) : list label :=
  match l with
  | nil => nil
  | cons x t => append t (cons x nil)
  end.

Fixpoint reverse (l : list label) : list label :=
  match l with
  | nil => nil
  | cons x t => append (reverse t) (cons x nil)
  end.

Definition there_and_back (l : list label) : list label := append l (reverse l).

Fixpoint onto (l m : list label) : list label :=
  match l with
  | nil => m
  | cons x t => onto t (cons x m)
  end.

Fixpoint compare (l m : list bool) : order :=
  match l, m with
  | nil, nil => Eq
  | nil, _ => Lt
  | _, nil => Gt
  | cons true t, cons true u => compare t u
  | cons false t, cons false u => compare t u
  | cons true _, cons false _ => Gt
  | cons false _, cons true _ => Lt
  end.

Inductive fork : Set := Tip (x : label) | Fork (l r : fork).

Fixpoint tips (t : fork) : list label :=
  match t with
  | Tip x => cons x nil
  | Fork l r => append (tips l) (tips r)
  end.

Fixpoint flip (t : fork) : fork :=
  match t with
  | Tip x => Tip x
  | Fork l r => Fork (flip r) (flip l)
  end.

Inductive formula : Set :=
  | P | Q | Not (f : formula) | And (f g : formula) | Or (f g : formula).

Fixpoint pushed (positive : bool) (f : formula) : formula :=
  match f, positive with
  | P, true => P
  | P, false => Not P
  | Q, true => Q
  | Q, false => Not Q
  | Not g, true => pushed false g
  | Not g, false => pushed true g
  | And g h, true => And (pushed true g) (pushed true h)
  | And g h, false => Or (pushed false g) (pushed false h)
  | Or g h, true => Or (pushed true g) (pushed true h)
  | Or g h, false => And (pushed false g) (pushed false h)
  end.

Definition nnf (f : formula) : formula := pushed true f.

Fixpoint holds (p q : bool) (f : formula) : bool :=
  match f with
  | P => p
  | Q => q
  | Not g => match holds p q g with true => false | false => true end
  | And g h => match holds p q g with true => holds p q h | false => false end
  | Or g h => match holds p q g with true => true | false => holds p q h end
  end.

Definition mixed (f : formula) : bool := holds true false f.
