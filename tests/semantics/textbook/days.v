(** * Days of the week *)
Inductive day : Type :=
  | monday
  | tuesday
  | wednesday
  | thursday
  | friday
  | saturday
  | sunday.

Definition next_weekday (d:day) : day :=
  match d with
  | monday    => tuesday
  | tuesday   => wednesday
  | wednesday => thursday
  | thursday  => friday
  | friday    => monday
  | saturday  => monday
  | sunday    => monday
  end.

Definition is_weekend (d : day) : bool :=
  match d with saturday | sunday => true | _ => false end.

Definition twice_next (d:day) : day := next_weekday (next_weekday d).
