(* ListOps over the digits 0 to 3: nested minimum, maximum, first and sum modulo 4 of argument lists.
   An operator holds its arguments as a chain: Arg t rest, closed by Last t. *)

Inductive digit : Set := D0 | D1 | D2 | D3.

Inductive term : Set :=
  | Digit (x : digit)
  | Min (ts : args)
  | Max (ts : args)
  | First (ts : args)
  | SumMod (ts : args)
with args : Set :=
  | Last (t : term)
  | Arg (t : term) (ts : args).

Inductive op : Set := OpMin | OpMax | OpFirst | OpSum.

Definition next (x : digit) : digit := match x with D0 => D1 | D1 => D2 | D2 => D3 | D3 => D0 end.

Definition sum (x y : digit) : digit :=
  match x with
  | D0 => y
  | D1 => next y
  | D2 => next (next y)
  | D3 => next (next (next y))
  end.

Definition min (x y : digit) : digit :=
  match x, y with
  | D0, _ | _, D0 => D0
  | D1, _ | _, D1 => D1
  | D2, _ | _, D2 => D2
  | D3, D3 => D3
  end.

Definition max (x y : digit) : digit :=
  match x, y with
  | D3, _ | _, D3 => D3
  | D2, _ | _, D2 => D2
  | D1, _ | _, D1 => D1
  | D0, D0 => D0
  end.

Definition apply (o : op) (x y : digit) : digit :=
  match o with
  | OpMin => min x y
  | OpMax => max x y
  | OpFirst => x
  | OpSum => sum x y
  end.

Fixpoint eval (t : term) : digit :=
  match t with
  | Digit x => x
  | Min ts => fold OpMin ts
  | Max ts => fold OpMax ts
  | First ts => fold OpFirst ts
  | SumMod ts => fold OpSum ts
  end
with fold (o : op) (ts : args) : digit :=
  match ts with
  | Last t => eval t
  | Arg t rest => apply o (eval t) (fold o rest)
  end.
