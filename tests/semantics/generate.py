# ruff: noqa: E501 (tables and templates of programs)
"""Random Gallina programs of the subset, with terms to run them on, and mutants that break the
guard.

Every program says which constructs it uses, so that a suite can show that each was exercised.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from random import Random

from tests.semantics.pieces import (
    MARK,
    Ctor,
    Fn,
    Generated,
    Pattern,
    Shape,
    Types,
    apply,
    choices,
    specialise,
)

CONSTRUCTS = (
    "enumeration", "several constructors", "parameters, implicit", "parameters, explicit", "mutual types",
    "arrow constructors", "Definition", "struct found", "struct given", "nested match", "several columns",
    "or-pattern", "wildcard", "as", "let", "typed let", "if", "match on a call", "mutual recursion",
    "accumulator", "nested call", "call of another function", "comment", "unicode names", "alias type",
    "numeral", "numeral in a pattern", "record by fields", "record in a pattern", "projection", "Require",
    "if … is", "a parameter without its sort", "Arguments in square brackets",
)  # fmt: skip


@dataclass
class Generator(Types):
    """Grows one program."""

    functions: list[Fn] = field(default_factory=list)
    calls_left: int = 0
    own: tuple[Fn, ...] = ()

    # values
    def value(self, type_: str, size: int) -> str:
        ctors = self.types[type_]
        ctor = self.rng.choice(ctors) if size > 0 else ctors[0]  # the first leads to an end
        return self.construct(type_, ctor, [self.value(a, size - 1) for a in ctor.args])

    def construct(self, type_: str, ctor: Ctor, args: list[str]) -> str:
        """A constructor applied; a record or a number in its own notation now and then."""
        if type_ == "nat" and not args and self.rng.random() < 0.7:
            self.used.add("numeral")
            return str(self.rng.choice([0, 0, 1, 2, 3]))
        if type_ in self.fields and self.rng.random() < 0.5:
            self.used.add("record by fields")
            named = [f"{f} := {a}" for f, a in zip(self.fields[type_], args, strict=True)]
            self.rng.shuffle(named)
            return f"{{| {'; '.join(named)} |}}"
        return apply(ctor.term, args)

    # expressions
    def expr(self, type_: str, env: dict[str, str], smaller: set[str], fuel: int) -> str:
        """A term of a type; `smaller` are the variables a recursive call may be on."""
        if fuel <= 0:
            names = [n for n, t in env.items() if t == type_]
            return (
                self.rng.choice(names)
                if names and self.rng.random() < 0.8
                else self.value(type_, 0)
            )
        ways = [self._variable, self._construct, self._construct, self._call, self._own_call,
                self._own_call, self._own_call, self._let, self._if, self._match, self._if_is]  # fmt: skip
        if self.own and self.rng.random() < 0.4:
            ways.append(self._call)
        self.rng.shuffle(ways)
        for way in ways:
            text = way(type_, env, smaller, fuel)
            if text is not None:
                return text
        return self.value(type_, 1)

    def _variable(
        self, type_: str, env: dict[str, str], smaller: set[str], fuel: int
    ) -> str | None:
        names = [n for n, t in env.items() if t == type_]
        return self.rng.choice(names) if names else None

    def _construct(
        self, type_: str, env: dict[str, str], smaller: set[str], fuel: int
    ) -> str | None:
        ctor = self.rng.choice(self.types[type_])
        args = [self.expr(a, env, smaller, fuel - 1) for a in ctor.args]
        return self.construct(type_, ctor, args)

    def _call(self, type_: str, env: dict[str, str], smaller: set[str], fuel: int) -> str | None:
        known = [f for f in self.functions if f.result == type_]
        if not known or fuel < 2:
            return None
        callee = self.rng.choice(known)
        args = []
        for param in callee.params:
            inner = self._own_call(param, env, smaller, fuel) if self.rng.random() < 0.9 else None
            if inner is not None:
                self.used.add("nested call")
            args.append(inner or self.expr(param, env, smaller, fuel - 2))
        self.used.add("call of another function")
        if callee.name in {f for fields in self.fields.values() for f in fields}:
            self.used.add("projection")
            if self.rng.random() < 0.5:
                return f"({args[0]}.({callee.name}))"
        return apply(callee.name, args)

    def _own_call(
        self, type_: str, env: dict[str, str], smaller: set[str], fuel: int
    ) -> str | None:
        for callee in self.rng.sample(self.own, len(self.own)):
            assert callee.struct is not None
            fit = [n for n in smaller if env[n] == callee.params[callee.struct]]
            if callee.result != type_ or not fit or self.calls_left <= 0:
                continue
            self.calls_left -= 1
            args = [self.expr(p, env, set(), fuel - 2) for p in callee.params]
            heads = "/".join(
                n for n, t in env.items() if n[0] == "a" and t == callee.params[callee.struct]
            )
            args[callee.struct] = f"<<{callee.name}:{self.rng.choice(sorted(fit))}:{heads}>>"
            if len(args) > 1:
                self.used.add("accumulator")
            return apply(callee.name, args)
        return None

    def _let(self, type_: str, env: dict[str, str], smaller: set[str], fuel: int) -> str | None:
        if fuel < 2:
            return None
        name, bound = self.fresh("v"), self.rng.choice(list(self.types))
        value = self.expr(bound, env, smaller, fuel - 2)
        small = smaller | {name} if value in smaller else smaller
        body = self.expr(type_, {**env, name: bound}, small, fuel - 1)
        typed = bound in self.guessed or self.rng.random() < 0.5
        self.used.add("typed let" if typed else "let")
        return f"(let {name}{f' : {bound}' if typed else ''} := {value} in {body})"

    def _if(self, type_: str, env: dict[str, str], smaller: set[str], fuel: int) -> str | None:
        two = [t for t, c in self.types.items() if len(c) == 2 and t not in self.guessed]
        if not two or fuel < 2:
            return None
        on = self.expr(self.rng.choice(two), env, smaller, fuel - 2)
        self.used.add("if")
        yes, no = (self.expr(type_, env, smaller, fuel - 1) for _ in range(2))
        return f"(if {on} then {yes} else {no})"

    def _if_is(self, type_: str, env: dict[str, str], smaller: set[str], fuel: int) -> str | None:
        if fuel < 2 or not self.ssreflect:
            return None
        name = self.rng.choice(sorted(env))
        on = env[name]
        pattern = self._pattern_of(self.rng.choice(self.types[on]), on, self.rng.choice([1, 2]))
        if not self.useful([[c] for c in choices(pattern.shape)], [None], [on]):
            return None
        self.used.add("if … is")
        row, rest = self._clause([pattern], [(name, on)], type_, env, smaller, fuel - 1), env
        yes = row.split(" => ", 1)[1]
        no = self.expr(type_, rest, smaller, fuel - 1)
        return f"(if {name} is {pattern.text} then {yes} else {no})"

    def _match(self, type_: str, env: dict[str, str], smaller: set[str], fuel: int) -> str | None:
        if fuel < 2:
            return None
        if self.rng.random() < 0.3:
            on = self.rng.choice([t for t in self.types if t not in self.guessed])
            text = self.expr(on, env, smaller, fuel - 2)
            if text not in env:
                self.used.add("match on a call")
            return self.match([(text, on)], type_, env, smaller, fuel - 1)
        names = self.rng.sample(sorted(env), min(len(env), self.rng.choice([1, 1, 2])))
        return self.match([(n, env[n]) for n in names], type_, env, smaller, fuel - 1)

    # matches
    def match(
        self,
        on: list[tuple[str, str]],
        type_: str,
        env: dict[str, str],
        smaller: set[str],
        fuel: int,
    ) -> str:
        """A match on terms; parts of `smaller` variables, and of the structural one, are smaller."""
        depth = self.rng.choice([1, 1, 2])
        first = on[0][1]
        starts = (
            self.types[first] if self.rng.random() < 0.7 else self.rng.sample(self.types[first], 1)
        )
        rows = [
            [self._pattern_of(c, first, depth), *(self._pattern(t, depth - 1) for _, t in on[1:])]
            for c in starts
        ]
        if len(on) > 1 and self.rng.random() < 0.6:
            column = self.rng.randrange(len(on))
            row = [Pattern("_") for _ in on]
            row[column] = self._pattern_of(
                self.rng.choice(self.types[on[column][1]]), on[column][1], 1
            )
            rows.insert(self.rng.randint(0, len(rows)), row)
        if len(on) > 1 and self.rng.random() < 0.4:
            rows[0][1:] = [Pattern("_") for _ in on[1:]]
        rows.append([Pattern("_") for _ in on])
        kept: list[list[Pattern]] = []
        seen: list[list[Shape]] = []
        for row in rows:
            # Coq wants every alternative of an or-pattern to be of use.
            ways = [list(c) for c in product(*(choices(p.shape) for p in row))]
            if all(self.useful(seen + ways[:i], c, [t for _, t in on]) for i, c in enumerate(ways)):
                kept.append(row)
                seen += ways
        if len(on) > 1:
            self.used.add("several columns")
        clauses = [self._clause(row, on, type_, env, smaller, fuel) for row in kept]
        return f"(match {', '.join(t for t, _ in on)} with {' '.join(clauses)} end)"

    def useful(self, rows: list[list[Shape]], row: list[Shape], types: list[str]) -> bool:
        """Whether a row matches something that the rows before it do not (Maranget 2007)."""
        if not rows or not row:
            return not rows
        first, rest = row[0], row[1:]
        if first is None and all(r[0] is None for r in rows):
            return self.useful([r[1:] for r in rows], rest, types[1:])
        for ctor in self.types[types[0]]:
            if first is not None and first[0] != ctor.term:
                continue
            inner = [s for r in rows for s in specialise(r, ctor)]
            (mine,) = specialise(row, ctor)
            if self.useful(inner, mine, [*ctor.args, *types[1:]]):
                return True
        return False

    def _clause(
        self, row: list[Pattern], on: list[tuple[str, str]], type_: str,
        env: dict[str, str], smaller: set[str], fuel: int,
    ) -> str:  # fmt: skip
        bound, small = dict(env), set(smaller)
        for (text, t), pattern in zip(on, row, strict=True):
            bound |= pattern.inside | pattern.whole
            if text in smaller or text == self.struct:
                small |= {n for n, u in pattern.inside.items() if u in self.blocks[t]}
            if text in smaller:
                small |= set(pattern.whole)
        patterns = ", ".join(p.text for p in row)
        return f"| {patterns} => {self.expr(type_, bound, small, fuel)}"

    struct: str = ""

    def _pattern(self, type_: str, depth: int) -> Pattern:
        if depth <= 0 or self.rng.random() < 0.4:
            if self.rng.random() < 0.4:
                self.used.add("wildcard")
                return Pattern("_")
            name = self.fresh("p")
            return Pattern(name, None, {}, {name: type_})
        return self._pattern_of(self.rng.choice(self.types[type_]), type_, depth)

    def _numeral_pattern(self) -> Pattern:
        self.used.add("numeral in a pattern")
        number = self.rng.randint(0, 2)
        shape: Shape = ("O", [])
        for _ in range(number):
            shape = ("S", [shape])
        return Pattern(str(number), shape)

    def _record_pattern(self, type_: str, parts: list[Pattern]) -> str:
        self.used.add("record in a pattern")
        named = [
            f"{f} := {p.text}"
            for f, p in zip(self.fields[type_], parts, strict=True)
            if p.text != "_"
        ]
        self.rng.shuffle(named)
        return f"{{| {'; '.join(named)} |}}"

    def _pattern_of(self, ctor: Ctor, type_: str, depth: int) -> Pattern:
        if type_ == "nat" and not ctor.args and self.rng.random() < 0.7:
            return self._numeral_pattern()
        parts = [self._pattern(a, depth - 1) for a in ctor.args]
        if any(p.shape is not None for p in parts):
            self.used.add("nested match")
        inside: dict[str, str] = {}
        for part in parts:
            inside |= part.inside | part.whole
        pattern = Pattern(
            apply(ctor.pattern, [p.text for p in parts]),
            (ctor.term, [p.shape for p in parts]),
            inside,
        )
        if type_ in self.fields and any(p.text != "_" for p in parts) and self.rng.random() < 0.8:
            pattern.text = self._record_pattern(type_, parts)
        others = [c for c in self.types[type_] if c != ctor and not c.args]
        if not inside and others and self.rng.random() < 0.3:
            self.used.add("or-pattern")
            other = self.rng.choice(others)
            pattern.text = f"({pattern.text} | {other.pattern})"
            pattern.shape = ("or", [pattern.shape, (other.term, [])])
        if self.rng.random() < 0.2:
            alias = self.fresh("w")
            pattern.whole = {alias: type_}
            pattern.text = f"({pattern.text} as {alias})"
            self.used.add("as")
        return pattern

    # functions
    def definition(self) -> None:
        name = self.fresh("f")
        params = [
            (self.fresh("a"), self.rng.choice(list(self.types)))
            for _ in range(self.rng.randint(1, 2))
        ]
        result = self.rng.choice(list(self.types))
        self.own, self.struct = (), ""
        body = self.expr(result, dict(params), set(), 3)
        binders = " ".join(f"({n} : {self.written(t)})" for n, t in params)
        self.sentences.append(f"Definition {name} {binders} : {self.written(result)} := {body}.")
        self.functions.append(Fn(name, tuple(t for _, t in params), result))
        self.used.add("Definition")

    def fixpoint(self) -> None:
        on = self.rng.choice([t for t in self.types if any(t in c.args for c in self.types[t])
                              or len(self.blocks[t]) > 1])  # fmt: skip
        heads = []
        both = (
            self.blocks[on] if len(self.blocks[on]) > 1 else (on, on)[: self.rng.choice([1, 1, 2])]
        )
        for type_ in both:
            struct = self.rng.randint(0, 1)
            params = [
                self.rng.choice(list(self.types)) for _ in range(self.rng.choice([0, 0, 1, 2]))
            ]
            struct = min(struct, len(params))
            params.insert(struct, type_)
            result = self.rng.choice(list(self.types))
            heads.append(Fn(self.fresh("f"), tuple(params), result, struct))
        bodies = [self._fixpoint_body(head, tuple(heads)) for head in heads]
        self.sentences.append(f"Fixpoint {' with '.join(bodies)}.")
        self.functions += heads
        if len(heads) > 1:
            self.used.add("mutual recursion")

    def _fixpoint_body(self, head: Fn, block: tuple[Fn, ...]) -> str:
        assert head.struct is not None
        names = [self.fresh("a") for _ in head.params]
        env = dict(zip(names, head.params, strict=True))
        self.own, self.struct, self.calls_left = block, names[head.struct], 2
        on = [(self.struct, head.params[head.struct])]
        if len(names) > 1 and self.rng.random() < 0.3:
            other = self.rng.choice([n for n in names if n != self.struct])
            on.append((other, env[other]))
        body = self.match(on, head.result, env, set(), 3)
        given = self.rng.random() < 0.5 or len(block) > 1
        self.used.add("struct given" if given else "struct found")
        binders = " ".join(f"({n} : {self.written(t)})" for n, t in env.items())
        struct = f" {{struct {self.struct}}}" if given else ""
        return f"{head.name} {binders}{struct} : {self.written(head.result)} := {body}"


def program(seed: int, *, mutant: bool = False) -> Generated | None:
    """A random program; None for the few seeds that give no mutant where one is wanted."""
    g = Generator(Random(seed))
    g.unicode, g.ssreflect = g.rng.random() < 0.2, g.rng.random() < 0.3
    if g.ssreflect or g.rng.random() < 0.2:
        g.used.add("Require")
        g.sentences.append("Require Import Bool List Arith.")
        if g.ssreflect:
            g.sentences.append("From Coq Require Import ssreflect.")
            g.sentences.append("Open Scope general_if_scope.")
    labels = [g.enumeration() for _ in range(g.rng.randint(1, 2))]
    g.recursive(g.rng.choice(labels))
    if g.rng.random() < 0.4:
        g.mutual(g.rng.choice(labels))
    if g.rng.random() < 0.6:
        g.parameterised(g.rng.choice(labels))
    if g.rng.random() < 0.3:
        g.numbers()
    if g.rng.random() < 0.4:
        g.alias()
    if g.rng.random() < 0.4:
        g.record()
        g.functions += g.projections
    for _ in range(g.rng.randint(0, 2)):
        g.definition()
    for _ in range(g.rng.randint(1, 2)):
        g.fixpoint()
    if g.rng.random() < 0.3:
        g.sentences.insert(
            len(g.sentences) // 2, "(* a comment (* in a comment *) | with . in it *)"
        )
        g.used.add("comment")
    if mutant and not _mutate(g):
        return None
    g.sentences = [MARK.sub(lambda m: m[2], s) for s in g.sentences]
    last = g.functions[-1]
    arguments = [[g.value(p, size) for p in last.params] for size in (1, 2, 3, 4)]
    aliases = tuple(g.aliases.values())
    return Generated(g.sentences, last.name, arguments, g.used, mutant, aliases)


def _mutate(g: Generator) -> bool:
    """Break the guard in the last sentence: a recursive call on something that is no strict
    subterm.
    """
    text = g.sentences[-1]
    marks = list(MARK.finditer(text))
    if not marks:
        return False
    mark = g.rng.choice(marks)
    callee = next(f for f in g.functions if f.name == mark[1])
    assert callee.struct is not None
    type_ = callee.params[callee.struct]
    ways = [g.value(type_, 2), *(n for n in mark[3].split("/") if n)]
    for ctor in g.types[type_]:
        if type_ in ctor.args:
            inner = [mark[2] if a == type_ else g.value(a, 0) for a in ctor.args]
            ways.append(apply(ctor.term, inner))
    g.sentences[-1] = text[: mark.start()] + g.rng.choice(ways) + text[mark.end() :]
    return True
