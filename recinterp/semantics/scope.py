"""The meaning of names: declared types (with parameters), their constructors, and functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeVar

from recinterp.errors import GallinaTypeError, OutsideSubsetError, SourceError
from recinterp.semantics import surface_syntax as s
from recinterp.semantics.ast import Constructor, Function, Inductive

# Types that coqc knows without any Require, with the implicit arguments it gives them.
PRELUDE = """
Inductive bool : Set := true | false.
Inductive nat : Set := O | S (n : nat).
Inductive unit : Set := tt.
Inductive comparison : Set := Eq | Lt | Gt.
Inductive option (A : Type) : Type := Some (a : A) | None.
Inductive prod (A B : Type) : Type := pair (a : A) (b : B).
Inductive sum (A B : Type) : Type := inl (a : A) | inr (b : B).
Inductive list (A : Type) : Type := nil | cons (a : A) (l : list A).
Arguments Some {A} a. Arguments None {A}. Arguments pair {A} {B} a b.
Arguments inl {A} {B} a. Arguments inr {A} {B} b. Arguments nil {A}. Arguments cons {A} a l.
"""
# Functions of Coq's own library that a text may call without defining them.
LIBRARY = frozenset(
    """
    negb andb orb xorb implb eqb ifb pred plus mult minus max min add mul sub divmod div modulo pow
    tail_add tail_mul square sqrt log2 gcd compare leb ltb even odd double div2 iter id
    app rev length map fst snd fold_left fold_right hd tl last filter concat tail nth seq existsb
    forallb flat_map rev_append option_map removelast firstn skipn repeat combine split find
    partition nth_error nth_default count_occ list_prod In incl Forall Exists
    eq eq_refl eq_nat_dec CompOpp CompareSpec Empty_set True False I and or not iff ex conj sig sigT
    sig2 sumbool sumor exist existT left right inleft inright projT1 projT2 proj1_sig proj2_sig Acc
    Exc value error curry uncurry prod_curry prod_uncurry identity all unique is_true reflect
    """.split()  # noqa: SIM905 (one a line is longer than the rest of the file)
)
# Constructors that coqc 8.16 knows without a Require, or with that of List: no pattern's variables.
LIBRARY_CONSTRUCTORS = frozenset(
    """
    Acc_intro Add_cons Add_head BoolSpecF BoolSpecT CompEq CompEqT CompGt CompGtT CompLt CompLtT
    Exists_cons_hd Exists_cons_tl FOP_cons FOP_nil Forall2_cons Forall2_nil Forall_cons Forall_nil
    I NoDup_cons NoDup_nil conj eq_refl ex_intro ex_intro2 exist exist2 existT existT2 inhabits
    inleft inright is_eq_true le_S le_n left or_introl or_intror right
    """.split()  # noqa: SIM905 (one a line is longer than the rest of the file)
)
# What Coq declares together with every Inductive type.
ELIMINATORS = ("_rect", "_rec", "_ind", "_sind")
# Words that Coq keeps for itself, or that printing a variable under would change its meaning.
KEYWORDS = frozenset(
    """
    as at cofix else end exists fix for forall fun if in let match return then using where with
    Prop SProp Set Type Definition Fixpoint Inductive IF mod
    """.split()  # noqa: SIM905 (one a line is longer than the rest of the file)
)


# Libraries that a text may require: what they declare is in LIBRARY, or has qualified names only.
READ_LIBRARIES = frozenset(
    """
    Coq List ListNotations Coq.Lists.List Lists.List list_scope nat_scope bool_scope type_scope
    general_if_scope
    Bool Coq.Bool.Bool Bool.Bool Arith Coq.Arith.Arith Arith.Arith PeanoNat Coq.Arith.PeanoNat
    Arith.PeanoNat Nat Coq.Init.Nat Init.Nat Datatypes Coq.Init.Datatypes Init.Datatypes Lia
    Coq.micromega.Lia micromega.Lia ssreflect Coq.ssr.ssreflect ssr.ssreflect
    """.split()  # noqa: SIM905 (one a line is longer than the rest of the file)
)
_Node = TypeVar("_Node", s.STerm, s.SPattern)


@dataclass
class Scope:
    """Everything the text has declared so far."""

    source: str
    declared: dict[str, tuple[s.SInductive, tuple[s.SInductive, ...]]] = field(default_factory=dict)
    constructors: dict[str, tuple[str, int]] = field(default_factory=dict)
    implicit: dict[str, tuple[bool, ...]] = field(default_factory=dict)
    instances: dict[str, Inductive] = field(default_factory=dict)
    heads: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    aliases: dict[str, s.SType] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    if_is_boolean: bool = False  # ssreflect reads a plain `if` on bool only

    def refuse(self, pos: s.Pos, problem: str, hint: str = "") -> NoReturn:
        """Raise GallinaTypeError at a place."""
        raise self._source_error(GallinaTypeError, pos, problem, hint)

    def refuse_as_outside(self, pos: s.Pos, problem: str, hint: str) -> NoReturn:
        """Raise OutsideSubsetError at a place."""
        raise self._source_error(
            OutsideSubsetError, pos, f"{problem} is outside the subset that is read", hint
        )

    def _source_error(
        self, kind: type[SourceError], pos: s.Pos, problem: str, hint: str
    ) -> SourceError:
        return kind(
            "check a program", problem, hint, source=self.source, line=pos.line, column=pos.column
        )

    def declare_name(self, pos: s.Pos, name: str) -> None:
        """Note a new global name; GallinaTypeError if this text has it already."""
        if "." in name:
            self.refuse(pos, f"{name!r} is a qualified name", "declare a plain name")
        if name in self.own:
            self.refuse(pos, f"{name!r} is declared twice", "give one of them another name")
        self.own.add(name)
        self.constructors.pop(name, None)
        self.functions.pop(name, None)
        self.aliases.pop(name, None)
        self.fields.pop(name, None)

    def declare_alias(self, pos: s.Pos, name: str, type_: s.SType) -> None:
        """Note a name for a closed type: `Definition env := list bool`."""
        self.type_instance(type_)
        self.declare_name(pos, name)
        self.declared.pop(name, None)
        self.aliases[name] = self.expand_aliases(type_)

    def expand_aliases(self, written: s.SType) -> s.SType:
        """The type without names that only stand for another type."""
        args = tuple(self.expand_aliases(a) for a in written.args)
        if written.name not in self.aliases:
            return replace(written, args=args)
        if args:
            self.refuse(written.pos, f"{written.name} takes 0 type arguments, not {len(args)}")
        return replace(self.aliases[written.name], pos=written.pos)

    def declare_types(self, block: tuple[s.SInductive, ...]) -> None:
        """Note the types of one Inductive sentence. GallinaTypeError or OutsideSubsetError."""
        for ind in block:
            self.declare_name(ind.pos, ind.name)
        block = tuple(self._expand_constructors(ind) for ind in block)
        for ind in block:
            self.declared[ind.name] = (ind, block)
        for ind in block:
            if ind.params != block[0].params:
                self.refuse(ind.pos, "types joined by 'with' need the same parameters")
            for i, c in enumerate(ind.constructors):
                self.declare_name(c.pos, c.name)
                self.constructors[c.name] = (ind.name, i)
                self.implicit[c.name] = (False,) * len(ind.params)
        for ind in block:
            self._check_declaration(ind, block)

    def _expand_constructors(self, ind: s.SInductive) -> s.SInductive:
        constructors = (
            replace(
                c,
                args=tuple(self.expand_aliases(a) for a in c.args),
                result=None if c.result is None else self.expand_aliases(c.result),
            )
            for c in ind.constructors
        )
        return replace(ind, constructors=tuple(constructors))

    def _check_declaration(self, ind: s.SInductive, block: tuple[s.SInductive, ...]) -> None:
        if not ind.constructors:
            self.refuse_as_outside(ind.pos, "a type without constructors", "give it one")
        names = {i.name for i in block}
        for c in ind.constructors:
            if c.result is not None and str(c.result) != " ".join([ind.name, *ind.params]):
                self.refuse(c.pos, f"{c.name!r} ends in {c.result}", f"end it in {ind.name}")
            for arg in c.args:
                self._check_argument(arg, ind.params, names)

    def _check_argument(self, arg: s.SType, params: tuple[str, ...], block: set[str]) -> None:
        if arg.name in block:
            if tuple(str(a) for a in arg.args) != params:
                what = f"{arg} inside the declaration of {arg.name}, at other parameters,"
                self.refuse_as_outside(arg.pos, what, "keep the parameters the same throughout")
            return
        if arg.name in params:
            if arg.args:
                self.refuse(arg.pos, f"the parameter {arg.name!r} takes no arguments")
            return
        if arg.name not in self.declared:
            self.refuse_unknown(arg.pos, arg.name, self.declared)
        for inner in _inner_types(arg):
            if inner.name in block:
                what = f"the type {arg}, which nests {inner.name} in another type,"
                self.refuse_as_outside(
                    arg.pos, what, "declare both types together, joined by 'with'"
                )
            if inner.name not in params and inner.name not in self.declared:
                self.refuse_unknown(inner.pos, inner.name, self.declared)
        self._check_arity(arg)

    def _check_arity(self, written: s.SType) -> None:
        wanted = len(self.declared[written.name][0].params)
        if len(written.args) != wanted:
            self.refuse(
                written.pos,
                f"{written.name} takes {wanted} type arguments, not {len(written.args)}",
            )

    def set_arguments(self, sentence: s.SArguments) -> None:
        """Take an Arguments sentence: which type arguments of a constructor are left unwritten."""
        if sentence.name not in self.constructors:
            self.refuse_unknown(sentence.pos, sentence.name, self.constructors)
        params = len(self.declared[self.constructors[sentence.name][0]][0].params)
        if any(sentence.implicit[params:]):
            self.refuse_as_outside(
                sentence.pos, "an implicit argument that is not a type", "make only types implicit"
            )
        flags = sentence.implicit[:params]
        explicit = len(self._shape_of(sentence.name).args)
        for i, late in enumerate(sentence.before_others[:params]):
            if late and all(flags[i:]) and len(flags) == params and not explicit:
                self.refuse(
                    sentence.pos,
                    f"no argument of {sentence.name!r} follows the implicit one in square brackets",
                    "write it in braces, {A}",
                )
        self.implicit[sentence.name] = flags + (False,) * (params - len(flags))

    def _shape_of(self, constructor: str) -> s.SConstructor:
        name, index = self.constructors[constructor]
        return self.declared[name][0].constructors[index]

    def order_fields(
        self, pos: s.Pos, named: Sequence[tuple[s.SName, _Node]], filler: _Node | None
    ) -> tuple[str, tuple[_Node, ...]]:
        """(constructor, arguments in order) of a record written by its fields.

        `filler` stands in for what is left out; where it is None, nothing may be.
        """
        if not named:
            self.refuse_as_outside(pos, "a record without a field", "write its constructor")
        for field_name, _ in named:
            if field_name.name not in self.fields:
                self.refuse(field_name.pos, f"{field_name.name!r} is no field of a record")
        type_ = self.fields[named[0][0].name]
        ind = self.declared[type_][0]
        found: dict[str, _Node] = {}
        for field_name, node in named:
            if self.fields[field_name.name] != type_ or field_name.name in found:
                what = "given twice" if field_name.name in found else f"no field of {type_}"
                self.refuse(field_name.pos, f"{field_name.name!r} is {what}")
            found[field_name.name] = node
        missing = [f.name for f in ind.fields if f.name not in found]
        if missing and filler is None:
            self.refuse(pos, f"the field {missing[0]!r} is missing", "give every field")
        args = tuple(found.get(f.name, filler) for f in ind.fields)
        return ind.constructors[0].name, args  # type: ignore[return-value]  # none is missing

    def declare_field(self, name: s.SName, record: str) -> None:
        """Note a field of a record that has no projection here."""
        self.declare_name(name.pos, name.name)
        self.fields[name.name] = record

    def check_numerals(self, pos: s.Pos) -> None:
        """Refuse a numeral where `nat`, `O` or `S` are the text's own: it is of Coq's type."""
        found = self.constructors.get("O", ("",))[0] == self.constructors.get("S", ("",))[0]
        if not found or self.own & {"nat", "O", "S"}:
            self.refuse_as_outside(
                pos, "a numeral beside an own type of numbers", "write the constructors, S (S O)"
            )

    def check_variable(self, pos: s.Pos, name: str) -> None:
        """Refuse a name in a pattern that coqc would take for a constructor of its library."""
        if name in LIBRARY_CONSTRUCTORS and name not in self.own:
            self.refuse_as_outside(
                pos, f"{name!r}, a constructor of Coq's library,", "choose another name"
            )

    def refuse_unknown(self, pos: s.Pos, name: str, known: object) -> NoReturn:
        """Refuse a name nobody declared; OutsideSubsetError where Coq's own library has it."""
        if name in self.fields:
            self.refuse_as_outside(
                pos, f"{name!r}, the projection of a record with type parameters,", "match on it"
            )
        if name in self.declared or name in self.aliases:
            self.refuse_as_outside(
                pos, f"the type {name!r} as a term", "write it as a type, where it is used"
            )
        of_library = name.rsplit(".", 1)[-1] in LIBRARY or name.endswith(ELIMINATORS)
        if of_library or "." in name:
            self.refuse_as_outside(pos, f"{name!r}, of Coq's library,", "define it in this text")
        if name in ("->", "Set", "Type"):
            self.refuse_as_outside(pos, f"{name!r} here", "write the type's name")
        self.refuse(pos, f"{name!r} is not declared", "declare it above")

    def type_instance(self, written: s.SType) -> str:
        """The name of a closed type's instance, made where it is new."""
        written = self.expand_aliases(written)
        if written.name not in self.declared:
            self.refuse_unknown(written.pos, written.name, self.declared)
        self._check_arity(written)
        return self.make_instance(written.name, tuple(self.type_instance(a) for a in written.args))

    def make_instance(self, name: str, args: tuple[str, ...]) -> str:
        """The instance of a declared type at closed arguments, made where it is new."""
        ind, block = self.declared[name]
        full = instance_name(name, args)
        if full not in self.instances or self.heads[full] != (name, args):
            self.heads[full] = (name, args)
            self.instances[full] = Inductive(full, ())
            given = dict(zip(ind.params, args, strict=True))
            constructors = tuple(
                self._instantiate_constructor(c, given, args) for c in ind.constructors
            )
            members = tuple(instance_name(i.name, args) for i in block)
            self.instances[full] = Inductive(full, constructors, members, args)
            for member in block:
                self.make_instance(member.name, args)
        return full

    def _instantiate_constructor(
        self, c: s.SConstructor, given: dict[str, str], args: tuple[str, ...]
    ) -> Constructor:
        flags = self.implicit[c.name]
        written = tuple(a for a, hidden in zip(args, flags, strict=True) if not hidden)
        return Constructor(c.name, tuple(self._close_type(a, given) for a in c.args), written)

    def _close_type(self, written: s.SType, given: dict[str, str]) -> str:
        if written.name in given:
            return given[written.name]
        return self.make_instance(
            written.name, tuple(self._close_type(a, given) for a in written.args)
        )


def instance_name(name: str, args: tuple[str, ...]) -> str:
    """The type as Gallina writes it: `list (list label)`."""
    return " ".join([name, *(f"({a})" if " " in a else a for a in args)])


def _inner_types(written: s.SType) -> Iterator[s.SType]:
    for arg in written.args:
        yield arg
        yield from _inner_types(arg)
