Inductive letter : Type := | A | B | C | D | F.
Inductive modifier : Type := | Plus | Natural | Minus.
Inductive grade : Type := Grade (l:letter) (m:modifier).
Inductive cmp : Type := | Eq | Lt | Gt.
Definition letter_comparison (l1 l2 : letter) : cmp :=
  match l1, l2 with
  | A, A => Eq
  | A, _ => Gt
  | B, A => Lt
  | B, B => Eq
  | B, _ => Gt
  | C, (A | B) => Lt
  | C, C => Eq
  | C, _ => Gt
  | D, (A | B | C) => Lt
  | D, D => Eq
  | D, _ => Gt
  | F, (A | B | C | D) => Lt
  | F, F => Eq
  end.
Definition lower_letter (l : letter) : letter :=
  match l with
  | A => B
  | B => C
  | C => D
  | D => F
  | F => F
  end.
Definition lower_grade (g : grade) : grade :=
  match g with
  | Grade F Minus => Grade F Minus
  | Grade l Plus => Grade l Natural
  | Grade l Natural => Grade l Minus
  | Grade l Minus => Grade (lower_letter l) Plus
  end.
