Inductive binop : Set := Plus | Times.
Inductive exp : Set :=
| Const : nat -> exp
| Binop : binop -> exp -> exp -> exp.
Fixpoint plus (n m : nat) : nat := match n with O => m | S p => S (plus p m) end.
Fixpoint times (n m : nat) : nat := match n with O => O | S p => plus m (times p m) end.
Definition binopDenote (b : binop) (n m : nat) : nat :=
  match b with
    | Plus => plus n m
    | Times => times n m
  end.
Fixpoint expDenote (e : exp) : nat :=
  match e with
    | Const n => n
    | Binop b e1 e2 => (binopDenote b) (expDenote e1) (expDenote e2)
  end.
Inductive instr : Set :=
| iConst : nat -> instr
| iBinop : binop -> instr.
Fixpoint appi (l m : list instr) : list instr :=
  match l with nil => m | cons x t => cons x (appi t m) end.
Definition instrDenote (i : instr) (s : list nat) : option (list nat) :=
  match i with
    | iConst n => Some (cons n s)
    | iBinop b =>
      match s with
        | cons arg1 (cons arg2 s') => Some (cons (binopDenote b arg1 arg2) s')
        | _ => None
      end
  end.
Fixpoint progDenote (p : list instr) (s : list nat) : option (list nat) :=
  match p with
    | nil => Some s
    | cons i p' =>
      match instrDenote i s with
        | None => None
        | Some s' => progDenote p' s'
      end
  end.
Fixpoint compile (e : exp) : list instr :=
  match e with
    | Const n => cons (iConst n) nil
    | Binop b e1 e2 => appi (compile e2) (appi (compile e1) (cons (iBinop b) nil))
  end.
