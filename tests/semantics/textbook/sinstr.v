Inductive sinstr : Type :=
| SPush (n : nat)
| SPlus
| SMinus.
Inductive aexp : Type := ANum (n : nat) | APlus (a b : aexp) | AMinus (a b : aexp).
Fixpoint plus (n m : nat) : nat := match n with O => m | S p => S (plus p m) end.
Fixpoint minus (n m : nat) : nat := match n, m with S k, S l => minus k l | _, _ => n end.
Fixpoint s_execute (stack : list nat) (prog : list sinstr) : list nat :=
  match prog with
  | nil => stack
  | cons i rest =>
    match i, stack with
    | SPush n, _ => s_execute (cons n stack) rest
    | SPlus, cons b (cons a s) => s_execute (cons (plus a b) s) rest
    | SMinus, cons b (cons a s) => s_execute (cons (minus a b) s) rest
    | _, _ => s_execute stack rest
    end
  end.
Fixpoint app (l m : list sinstr) : list sinstr :=
  match l with nil => m | cons x t => cons x (app t m) end.
Fixpoint s_compile (e : aexp) : list sinstr :=
  match e with
  | ANum n => cons (SPush n) nil
  | APlus a b => app (s_compile a) (app (s_compile b) (cons SPlus nil))
  | AMinus a b => app (s_compile a) (app (s_compile b) (cons SMinus nil))
  end.
