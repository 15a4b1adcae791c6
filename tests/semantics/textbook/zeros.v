Fixpoint eval_list (l : list bool) (acc : nat) : nat :=
  match l with
  | nil => acc
  | cons true l => eval_list l (S acc)
  | cons false l => eval_list l acc
  end.
Fixpoint gray (l : list bool) (prev : bool) : list bool :=
  match l with
  | nil => nil
  | cons b l => cons (match b, prev with true, true | false, false => false | _, _ => true end) (gray l b)
  end.
Fixpoint inc (l : list bool) : list bool :=
  match l with nil => cons true nil | cons false t => cons true t | cons true t => cons false (inc t) end.
Fixpoint add (l m : list bool) (carry : bool) : list bool :=
  match l with
  | nil => if carry then inc m else m
  | cons x l' =>
    match m with
    | nil => if carry then inc l else l
    | cons y m' =>
      match x, y, carry with
      | true, true, true => cons true (add l' m' true)
      | true, true, false | true, false, true | false, true, true => cons false (add l' m' true)
      | false, false, false => cons false (add l' m' false)
      | _, _, _ => cons true (add l' m' false)
      end
    end
  end.
