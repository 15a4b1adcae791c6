Inductive e := X | Y.
Inductive queue := Q (front back : list e).
Fixpoint rev_app (l m : list e) : list e := match l with nil => m | cons x t => rev_app t (cons x m) end.
Definition push (q : queue) (x : e) : queue := match q with Q f b => Q f (cons x b) end.
Definition norm (q : queue) : queue := match q with Q nil b => Q (rev_app b nil) nil | _ => q end.
Definition pop (q : queue) : option e := match norm q with Q (cons x _) _ => Some x | Q nil _ => None end.
