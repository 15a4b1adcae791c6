"""Names and types resolved, matches made one level deep: surface syntax to a checked Program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NoReturn

from recinterp.errors import SourceError
from recinterp.semantics import surface_syntax as s
from recinterp.semantics.ast import Arm as CoreArm
from recinterp.semantics.ast import Call, Construct, Expr, Function, Let, Match, Param, Program, Var
from recinterp.semantics.guard import check_guard
from recinterp.semantics.limits import LIMITS
from recinterp.semantics.parse import nesting_error, parse_sentences
from recinterp.semantics.patterns import LIST_SUGAR, Env, NamedTerm, PatternRow, compile_match
from recinterp.semantics.scope import (
    KEYWORDS,
    LIBRARY,
    LIBRARY_CONSTRUCTORS,
    PRELUDE,
    READ_LIBRARIES,
    Scope,
)


class TypeLeftOpen(Exception):
    """The type of a term cannot be read off the term by itself; `pos` is where it stays open."""

    def __init__(self, pos: s.Pos) -> None:
        self.pos = pos


@dataclass
class BodyElaborator:
    """Elaborates the body of one function; `places` maps each call to its place in the text."""

    scope: Scope
    peers: Mapping[str, Function]
    used: set[str] = field(default_factory=set)
    places: dict[int, s.Pos] = field(default_factory=dict)
    placed_calls: list[Expr] = field(default_factory=list)
    size: int = 0

    def fresh_name(self, base: str) -> str:
        """A variable name that nothing else in this function has."""
        name, i = base, 0
        while name in self.used or name in KEYWORDS or self.is_global(name):
            name, i = f"{base}{i}", i + 1
        self.used.add(name)
        return name

    def is_global(self, name: str) -> bool:
        """Whether a name already stands for a type, a constructor or a function."""
        return (
            name in self.scope.declared
            or name in self.scope.constructors
            or bool(self.find_function(name))
        )

    def find_function(self, name: str) -> Function | None:
        """The function a global name stands for."""
        return self.peers.get(name) or self.scope.functions.get(name)

    def count_node(self, pos: s.Pos) -> None:
        """Count one more node; OutsideSubsetError where matches spread out to too many."""
        self.size += 1
        if self.size > LIMITS.max_body_nodes:
            self.scope.refuse_as_outside(
                pos, "a body this large once its matches are spread out", "split it"
            )

    def check_term(self, term: s.STerm, env: Env, wanted: str) -> Expr:
        """The term as a core expression of the type wanted; GallinaTypeError otherwise."""
        expr, type_ = self.infer_term(term, env, wanted)
        if type_ != wanted:
            self.scope.refuse(
                term.pos, f"this has type {type_}", f"a term of type {wanted} is needed"
            )
        return expr

    def infer_term(self, term: s.STerm, env: Env, wanted: str | None = None) -> tuple[Expr, str]:  # noqa: RET503 (what refuses never returns)
        """The term as a core expression, and its type. Raises TypeLeftOpen where it is unknown."""
        self.count_node(term.pos)
        match term:
            case s.SName():
                return self._infer_application(term, (), env, wanted)
            case s.SApply(head=s.SName() as head, args=args):
                return self._infer_application(head, args, env, wanted)
            case s.SApply():
                self.scope.refuse_as_outside(
                    term.pos, "applying what is not a name", "name the function"
                )
            case s.SLet():
                return self._infer_let(term, env, wanted)
            case s.SIf():
                return self._infer_if(term, env, wanted)
            case s.SMatch():
                return self._infer_match(term, env, wanted)
            case s.SNumeral():
                return self._infer_numeral(term)
            case s.SRecord():
                name, args = self.scope.order_fields(term.pos, term.fields, None)
                hidden = sum(not flag for flag in self.scope.implicit[name])
                given = (*(s.SHole(term.pos) for _ in range(hidden)), *args)
                return self._infer_construct(term.pos, name, given, env, wanted)
            case s.SHole():
                self.scope.refuse_as_outside(term.pos, "'_' in a term", "write the term")

    def _infer_application(  # noqa: RET503 (what refuses never returns)
        self, head: s.SName, args: tuple[s.STerm, ...], env: Env, wanted: str | None
    ) -> tuple[Expr, str]:
        name = LIST_SUGAR.get(head.name, head.name)
        if head.name in env:
            if args:
                self.scope.refuse(head.pos, f"{name!r} is not a function")
            return env[name].expr, env[name].type
        if function := self.find_function(name):
            return self._infer_call(head.pos, function, args, env)
        if name in self.scope.constructors:
            return self._infer_construct(head.pos, name, args, env, wanted)
        self.scope.refuse_unknown(head.pos, name, ())

    def _check_saturated(self, pos: s.Pos, name: str, wanted: int, given: int) -> None:
        if given < wanted:
            self.scope.refuse_as_outside(
                pos, f"{name!r} with {given} of its {wanted} arguments", "give it all of them"
            )
        if given > wanted:
            self.scope.refuse(pos, f"{name!r} takes {wanted} arguments, not {given}")

    def _infer_call(
        self, pos: s.Pos, function: Function, args: tuple[s.STerm, ...], env: Env
    ) -> tuple[Expr, str]:
        self._check_saturated(pos, function.name, len(function.params), len(args))
        given = tuple(
            self.check_term(a, env, p.type) for a, p in zip(args, function.params, strict=True)
        )
        call = Call(function.name, given)
        self._record_place(call, pos)
        return call, function.result

    def _record_place(self, call: Call, pos: s.Pos) -> None:
        self.places[id(call)] = pos
        self.placed_calls.append(call)  # an id stays unique only while its object lives

    def record_rebuilt_call(self, old: Call, new: Call) -> None:
        """A call was rebuilt: it stands where the old one stood."""
        self._record_place(new, self.places[id(old)])

    def _infer_construct(
        self, pos: s.Pos, name: str, args: tuple[s.STerm, ...], env: Env, wanted: str | None
    ) -> tuple[Expr, str]:
        generic, index = self.scope.constructors[name]
        declared = self.scope.declared[generic][0]
        shape = declared.constructors[index]
        explicit = sum(not hidden for hidden in self.scope.implicit[name])
        self._check_saturated(pos, name, explicit + len(shape.args), len(args))
        known = self._written_types(name, args[:explicit], env)
        if declared.params and wanted and self.scope.heads[wanted][0] == generic:
            for param, arg in zip(declared.params, self.scope.heads[wanted][1], strict=True):
                known.setdefault(param, arg)
        rest = args[explicit:]
        self._infer_params(known, shape, rest, env)
        if any(p not in known for p in declared.params):
            raise TypeLeftOpen(pos)
        type_ = self.scope.make_instance(generic, tuple(known[p] for p in declared.params))
        types = self.scope.instances[type_].constructors[index].args
        given = tuple(self.check_term(a, env, t) for a, t in zip(rest, types, strict=True))
        return Construct(name, type_, given), type_

    def _written_types(self, name: str, args: Sequence[s.STerm], env: Env) -> dict[str, str]:
        """Type arguments written after a constructor, `_` left open."""
        params = self.scope.declared[self.scope.constructors[name][0]][0].params
        shown = [
            p for p, hidden in zip(params, self.scope.implicit[name], strict=True) if not hidden
        ]
        return {
            p: self.scope.type_instance(_type_of_term(a, self.scope))
            for p, a in zip(shown, args, strict=True)
            if not isinstance(a, s.SHole)
        }

    def _infer_params(
        self, known: dict[str, str], shape: s.SConstructor, args: Sequence[s.STerm], env: Env
    ) -> None:
        """Read type parameters off the arguments whose types can be known."""
        for arg, type_ in zip(args, shape.args, strict=True):
            if not _has_unknown_parameter(type_, known, self.scope):
                continue
            try:
                self._unify_types(type_, self.infer_term(arg, env)[1], known)
            except TypeLeftOpen:
                continue

    def _unify_types(self, pattern: s.SType, actual: str, known: dict[str, str]) -> None:
        if pattern.name not in self.scope.declared:
            known.setdefault(pattern.name, actual)
            return
        head, args = self.scope.heads[actual]
        if head == pattern.name:
            for inner, arg in zip(pattern.args, args, strict=True):
                self._unify_types(inner, arg, known)

    def _infer_let(self, term: s.SLet, env: Env, wanted: str | None) -> tuple[Expr, str]:
        if term.type is not None:
            type_ = self.scope.type_instance(term.type)
            value = self.check_term(term.value, env, type_)
        else:
            value, type_ = self.infer_term(term.value, env)
        name = self.fresh_name(term.name)
        body, result = self.infer_term(
            term.body, {**env, term.name: NamedTerm(Var(name), type_)}, wanted
        )
        return Let(name, type_, value, body), result

    def _infer_if(self, term: s.SIf, env: Env, wanted: str | None) -> tuple[Expr, str]:
        scrutinee, type_ = self.infer_term(term.scrutinee, env)
        constructors = self.scope.instances[type_].constructors
        if len(constructors) != 2:
            what = f"'if' on {type_}, which has {len(constructors)} constructors"
            self.scope.refuse(term.pos, what, "match on it")
        if self.scope.if_is_boolean and type_ != "bool":
            what = f"'if' on {type_} after ssreflect, which has it on bool only,"
            self.scope.refuse(term.pos, what, "match on it, or write 'Open Scope general_if_scope'")
        yes, result = self.infer_term(term.yes, env, wanted)
        no = self.check_term(term.no, env, result)
        arms = tuple(
            CoreArm(c.name, tuple(self.fresh_name("x") for _ in c.args), body)
            for c, body in zip(constructors, (yes, no), strict=True)
        )
        return Match(scrutinee, type_, arms, result), result

    def _infer_numeral(self, term: s.SNumeral) -> tuple[Expr, str]:
        self.scope.check_numerals(term.pos)
        whole = Construct("O", self.scope.make_instance("nat", ()))
        for _ in range(term.value):
            whole = Construct("S", "nat", (whole,))
        return whole, "nat"

    def _infer_match(self, term: s.SMatch, env: Env, wanted: str | None) -> tuple[Expr, str]:
        scrutinees = [self.infer_term(t, env) for t in term.scrutinees]
        result: str | None = wanted
        if result is None:
            result = self._first_known_type(term, env, [t for _, t in scrutinees])
        return compile_match(self, term, scrutinees, env, result), result

    def _first_known_type(self, term: s.SMatch, env: Env, types: list[str]) -> str:
        """The type of the first branch whose type can be read off it."""
        where = term.pos
        for clause in term.clauses:
            row = PatternRow.of(self, clause.rows[0], types, clause)
            inner = {**env, **{n: NamedTerm(Var(n), t) for n, t in row.bound_types(self).items()}}
            try:
                return self.infer_term(clause.body, inner)[1]
            except TypeLeftOpen as error:
                where = error.pos
        raise TypeLeftOpen(where)


def _type_of_term(term: s.STerm, scope: Scope) -> s.SType:  # noqa: RET503 (what refuses never returns)
    if isinstance(term, s.SName):
        return s.SType(term.pos, term.name)
    if isinstance(term, s.SApply) and isinstance(term.head, s.SName):
        return s.SType(term.pos, term.head.name, tuple(_type_of_term(a, scope) for a in term.args))
    scope.refuse(term.pos, "a type is needed here")


def _has_unknown_parameter(written: s.SType, known: Mapping[str, str], scope: Scope) -> bool:
    if written.name not in scope.declared:
        return written.name not in known
    return any(_has_unknown_parameter(a, known, scope) for a in written.args)


def elaborate_program(source: str) -> Program:
    """The checked program of a Gallina text.

    Raises GallinaSyntaxError, GallinaTypeError, NotStructuralError or OutsideSubsetError with the
    place.
    """
    return Elaborator(source).program


@cache
def _parse_prelude() -> tuple[s.Sentence, ...]:
    return parse_sentences(PRELUDE)


class Elaborator:
    """A text taken in, sentence by sentence; afterwards closed terms can be read in its scope."""

    def __init__(self, source: str) -> None:
        self.scope = Scope(source)
        for sentence in _parse_prelude():
            self._take_sentence(sentence)
        self.scope.own.clear()
        try:
            for sentence in parse_sentences(source):
                self._take_sentence(sentence)
        except RecursionError:
            raise nesting_error(source) from None

    @property
    def program(self) -> Program:
        """Types (every instance in use, in order of first use) and functions."""
        functions = tuple(self.scope.functions.values())
        return Program(tuple(self.scope.instances.values()), functions)

    def elaborate_term(self, text: str, wanted: str) -> tuple[Expr, str]:
        """A closed term of a type, elaborated in this program's scope. Raises SourceError."""
        source = f"Definition the_term : {wanted} :=\n{text}\n."
        scope = replace(self.scope, source=source)
        try:
            block, *more = parse_sentences(source)
            assert isinstance(block, s.SBlock)
            (function,) = block.members
            assert isinstance(function, s.SFunction)
            if more:
                scope.refuse(more[0].pos, "a term ends before a '.'", "write one term")
            return BodyElaborator(scope, {}).check_term(function.body, {}, wanted), wanted
        except TypeLeftOpen as error:
            _refuse_open_type(scope, error)
        except SourceError as error:
            line, column = error.line - 1, error.column
            raise type(error)(
                "read a term", error.problem, error.hint, source=text, line=line, column=column
            ) from None

    def _take_sentence(self, sentence: s.Sentence) -> None:
        match sentence:
            case s.SBlock(members=members) if members and isinstance(members[0], s.SInductive):
                types = tuple(m for m in members if isinstance(m, s.SInductive))
                self.scope.declare_types(types)
                self._declare_projections(types[0])
            case s.SBlock(members=members):
                functions = tuple(m for m in members if isinstance(m, s.SFunction))
                if (alias := self._read_alias(functions[0])) is not None:
                    self.scope.declare_alias(functions[0].pos, functions[0].name, alias)
                else:
                    self._declare_functions(functions)
            case s.SArguments():
                self.scope.set_arguments(sentence)
            case s.SPragma():
                self._check_pragma(sentence)

    def _check_pragma(self, sentence: s.SPragma) -> None:
        unknown = [w for w in sentence.words if w not in READ_LIBRARIES]
        if unknown:
            self.scope.refuse_as_outside(
                sentence.pos,
                f"the library {unknown[0]!r}",
                "define what you use of it in this text",
            )
        if any(w.endswith("ssreflect") for w in sentence.words):
            self.scope.if_is_boolean = True
        if "general_if_scope" in sentence.words:
            self.scope.if_is_boolean = False
        hidden = sorted(self.scope.own & (LIBRARY | LIBRARY_CONSTRUCTORS))
        if hidden and "Scope" not in sentence.words:
            self.scope.refuse_as_outside(
                sentence.pos,
                f"a library after {hidden[0]!r}, which it may declare too,",
                "move this sentence to the top",
            )

    def _read_alias(self, written: s.SFunction) -> s.SType | None:
        """The type that a definition gives another name to; None where it defines a term."""
        body, scope = written.body, self.scope
        head = body.head if isinstance(body, s.SApply) else body
        if written.recursive or written.binders or not isinstance(head, s.SName):
            return None
        is_term = head.name in scope.functions or head.name in scope.constructors
        is_type = head.name in scope.declared or head.name in scope.aliases
        return _type_of_term(body, scope) if is_type and not is_term else None

    def _declare_projections(self, record: s.SInductive) -> None:
        """The functions that Coq declares with a record: one for each field."""
        if not record.fields:
            return
        pos = record.pos
        if record.params:  # their projections have type parameters
            for name in record.fields:
                self.scope.declare_field(name, record.name)
            return
        constructor = record.constructors[0]
        for i, (name, type_) in enumerate(zip(record.fields, constructor.args, strict=True)):
            parts: list[s.SPattern] = [s.PAny(pos) for _ in constructor.args]
            parts[i] = s.PName(pos, "x")
            clause = s.SClause(
                pos, ((s.PApply(pos, constructor.name, tuple(parts)),),), s.SName(pos, "x")
            )
            match = s.SMatch(pos, (s.SName(pos, "r"),), (clause,))
            binder = s.SBinder(pos, "r", s.SType(pos, record.name))
            self._declare_functions(
                (s.SFunction(name.pos, name.name, (binder,), None, type_, match, recursive=False),)
            )
            self.scope.fields[name.name] = record.name

    def _declare_functions(self, block: tuple[s.SFunction, ...]) -> None:
        names = tuple(f.name for f in block)
        heads = {f.name: self._function_head(f, names) for f in block}
        done: list[Function] = []
        places: dict[int, s.Pos] = {}
        bodies = []  # the ids in `places` stay unique only while their calls live
        for written in block:
            function, body = self._elaborate_function(written, heads)
            done.append(function)
            places |= body.places
            bodies.append(body)
        for name in names:
            self.scope.declare_name(next(f.pos for f in block if f.name == name), name)
        if block[0].recursive:
            wanted = [_struct_index(self.scope, f) for f in block]
            done = check_guard(self.scope, done, wanted, places, [f.pos for f in block])
        self.scope.functions |= {f.name: f for f in done}

    def _elaborate_function(
        self, written: s.SFunction, heads: Mapping[str, Function]
    ) -> tuple[Function, BodyElaborator]:
        """A function of a block with its body, its structural parameter still open."""
        head = heads[written.name]
        body = BodyElaborator(self.scope, heads if written.recursive else {})
        env: dict[str, NamedTerm] = {}
        params = []
        for binder, param in zip(written.binders, head.params, strict=True):
            name = body.fresh_name("x" if binder.name == "_" else binder.name)
            params.append(Param(name, param.type))
            if binder.name != "_":
                env[binder.name] = NamedTerm(Var(name), param.type)
        try:
            core = body.check_term(written.body, env, head.result)
        except TypeLeftOpen as error:
            _refuse_open_type(self.scope, error)
        return replace(head, params=tuple(params), body=core), body

    def _result_type(self, written: s.SFunction, params: Sequence[Param]) -> str:
        """The result type as written; that of a definition's body where it is left out."""
        if written.result is not None:
            return self.scope.type_instance(written.result)
        if written.recursive:
            self.scope.refuse_as_outside(
                written.pos, "a Fixpoint without its result type", "write ': T'"
            )
        env = {p.name: NamedTerm(Var(p.name), p.type) for p in params}
        try:
            return BodyElaborator(self.scope, {}).infer_term(written.body, env)[1]
        except TypeLeftOpen as error:
            _refuse_open_type(self.scope, error)

    def _function_head(self, written: s.SFunction, block: tuple[str, ...]) -> Function:
        seen: set[str] = set()
        for binder in written.binders:
            if binder.name in seen:
                self.scope.refuse_as_outside(
                    binder.pos, f"the parameter {binder.name!r} twice", "rename one of them"
                )
            seen |= {binder.name} - {"_"}
        params = tuple(Param(b.name, self.scope.type_instance(b.type)) for b in written.binders)
        result = self._result_type(written, params)
        names = block if written.recursive else ()
        return Function(written.name, params, result, Var("_"), None, names)


def _struct_index(scope: Scope, written: s.SFunction) -> int | None:
    if written.struct is None:
        return None
    names = [b.name for b in written.binders]
    if written.struct not in names:
        scope.refuse(written.pos, f"there is no parameter {written.struct!r} to be structural")
    return names.index(written.struct)


def _refuse_open_type(scope: Scope, error: TypeLeftOpen) -> NoReturn:
    what = "a type argument that has to be guessed"
    scope.refuse_as_outside(error.pos, what, "write 'let name : type := …' for it")
