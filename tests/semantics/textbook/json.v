Inductive atom := Null | T | F.
Inductive value := Atom (x : atom) | Arr (vs : values)
with values := Empty | Val (v : value) (vs : values).
Fixpoint depth (v : value) : nat := match v with Atom _ => O | Arr vs => S (depths vs) end
with depths (vs : values) : nat :=
  match vs with Empty => O | Val v Empty => depth v | Val _ vs => depths vs end.
Fixpoint neg (v : value) : value :=
  match v with Atom T => Atom F | Atom F => Atom T | Atom Null => v | Arr vs => Arr (negs vs) end
with negs (vs : values) : values := match vs with Empty => Empty | Val v vs => Val (neg v) (negs vs) end.
Fixpoint atoms (v : value) (acc : list atom) {struct v} : list atom :=
  match v with Atom x => cons x acc | Arr vs => atomss vs acc end
with atomss (vs : values) (acc : list atom) {struct vs} : list atom :=
  match vs with Empty => acc | Val v vs => atoms v (atomss vs acc) end.
