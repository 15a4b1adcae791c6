"""What generated programs are made of: constructors, patterns with their shapes, functions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product
from random import Random
from typing import TypeAlias


@dataclass(frozen=True)
class Ctor:
    """A constructor: how terms and patterns write it, and its argument types."""

    term: str
    pattern: str
    args: tuple[str, ...]


# A recursive call's structural argument, until the text is done: callee, variable, parameters that
# fit.
MARK = re.compile(r"<<(\w+):(\w+):([\w/]*)>>")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
Shape: TypeAlias = "tuple[str, list[Shape]] | None"  # None: anything; ("or", choices) too


@dataclass
class Pattern:
    """A pattern: text, shape, the variables strictly inside it, and those for the whole."""

    text: str
    shape: Shape = None
    inside: dict[str, str] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fn:
    """A function that can be called; `struct` is None for a definition."""

    name: str
    params: tuple[str, ...]
    result: str
    struct: int | None = None


@dataclass
class Generated:
    """A program's sentences, its last function, argument tuples, and what it exercises."""

    sentences: list[str]
    function: str
    arguments: list[list[str]]
    used: set[str]
    mutant: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        return "\n".join(self.sentences) + "\n"


@dataclass
class Types:
    """Grows the types of one program; names are numbered so that none clash."""

    rng: Random
    types: dict[str, list[Ctor]] = field(default_factory=dict)
    blocks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    guessed: set[str] = field(default_factory=set)
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of each record
    aliases: dict[str, str] = field(default_factory=dict)  # type -> a name for it
    projections: list[Fn] = field(default_factory=list)
    count: int = 0
    unicode: bool = False
    ssreflect: bool = False

    def fresh(self, base: str) -> str:
        self.count += 1
        if not self.unicode:
            return f"{base}{self.count}"
        self.used.add("unicode names")
        return f"{base}λ{str(self.count).translate(SUBSCRIPTS)}"

    def written(self, type_: str) -> str:
        """The type as text, by a name of its own now and then."""
        if type_ in self.aliases and self.rng.random() < 0.5:
            self.used.add("alias type")
            return self.aliases[type_]
        return type_

    def alias(self) -> None:
        type_, name = self.rng.choice(list(self.types)), self.fresh("al")
        sort = self.rng.choice(["", " : Set"])
        self.sentences.append(f"Definition {name}{sort} := {type_}.")
        self.aliases[type_] = name

    def numbers(self) -> None:
        """Coq's own natural numbers, which numerals write."""
        self.types["nat"] = [Ctor("O", "O", ()), Ctor("S", "S", ("nat",))]
        self.blocks["nat"] = ("nat",)

    def record(self) -> str:
        name, maker = self.fresh("rec"), self.fresh("Mk")
        args = tuple(self.rng.choice(list(self.types)) for _ in range(self.rng.randint(1, 3)))
        fields = tuple(self.fresh("fd") for _ in args)
        text = "; ".join(f"{f} : {self.written(t)}" for f, t in zip(fields, args, strict=True))
        self.sentences.append(f"Record {name} : Set := {maker} {{ {text} }}.")
        self.types[name] = [Ctor(maker, maker, args)]
        self.blocks[name] = (name,)
        self.fields[name] = fields
        self.projections += [Fn(f, (name,), t) for f, t in zip(fields, args, strict=True)]
        return name

    def enumeration(self) -> str:
        name = self.fresh("lab")
        ctors = [self.fresh("L") for _ in range(self.rng.randint(2, 4))]
        self.sentences.append(f"Inductive {name} : Set := {' | '.join(ctors)}.")
        self.types[name] = [Ctor(c, c, ()) for c in ctors]
        self.blocks[name] = (name,)
        self.used.add("enumeration")
        return name

    def recursive(self, label: str) -> str:
        name = self.fresh("ty")
        shapes = [()] + [self._args((name,), label) for _ in range(self.rng.randint(1, 3))]
        if not any(name in s for s in shapes):
            shapes.append((name,))
        self.sentences.append(f"Inductive {self._body(name, shapes)}.")
        self.blocks[name] = (name,)
        self.used.add("several constructors")
        return name

    def mutual(self, label: str) -> str:
        one, two = self.fresh("ty"), self.fresh("ty")
        first = [(), (*self._args((two,), label), two)]
        second = [(one,), self._args((one, two), label)]
        bodies = [self._body(one, first), self._body(two, second)]
        self.sentences.append(f"Inductive {bodies[0]}\nwith {bodies[1]}.")
        self.blocks[one] = self.blocks[two] = (one, two)
        self.used.add("mutual types")
        return one

    def _args(self, own: tuple[str, ...], label: str) -> tuple[str, ...]:
        return tuple(self.rng.choice([*own, *own, label]) for _ in range(self.rng.randint(1, 3)))

    def _body(self, name: str, shapes: list[tuple[str, ...]]) -> str:
        ctors, texts = [], []
        arrows = self.rng.random() < 0.3
        for shape in shapes:
            c = self.fresh("C")
            ctors.append(Ctor(c, c, shape))
            if arrows:
                texts.append(f"{c} : {' -> '.join([*shape, name])}")
            else:
                texts.append(" ".join([c, *(f"(x{i} : {t})" for i, t in enumerate(shape))]))
        if arrows:
            self.used.add("arrow constructors")
        self.types[name] = ctors
        return f"{name} : Set := {' | '.join(texts)}"

    def parameterised(self, label: str) -> str:
        name, nil, cons = self.fresh("seq"), self.fresh("Nil"), self.fresh("Cons")
        param = "(A : Type)"
        if self.rng.random() < 0.3:
            param = "A"
            self.used.add("a parameter without its sort")
        self.sentences.append(
            f"Inductive {name} {param} : Type := {nil} | {cons} (x : A) (l : {name} A)."
        )
        full = f"{name} {label}"
        if self.rng.random() < 0.5:
            shown = "{A}"
            if self.rng.random() < 0.5:
                shown = "[A]"
                self.used.add("Arguments in square brackets")
            self.sentences += [f"Arguments {nil} {{A}}.", f"Arguments {cons} {shown} x l."]
            self.used.add("parameters, implicit")
            self.guessed.add(full)
            self.types[full] = [Ctor(nil, nil, ()), Ctor(cons, cons, (label, full))]
        else:
            self.used.add("parameters, explicit")
            self.types[full] = [
                Ctor(f"{nil} {label}", f"{nil} _", ()),
                Ctor(f"{cons} {label}", f"{cons} _", (label, full)),
            ]
        self.blocks[full] = (full,)
        return full


def choices(shape: Shape) -> list[Shape]:
    """The shape without or-patterns, once for each way through them."""
    if shape is None:
        return [None]
    if shape[0] == "or":
        return [c for choice in shape[1] for c in choices(choice)]
    return [(shape[0], list(args)) for args in product(*(choices(a) for a in shape[1]))]


def specialise(row: list[Shape], ctor: Ctor) -> list[list[Shape]]:
    first, rest = row[0], row[1:]
    if first is None:
        return [[*(None for _ in ctor.args), *rest]]
    return [[*first[1], *rest]] if first[0] == ctor.term else []


def apply(head: str, args: list[str]) -> str:
    """`(head arg …)`, without brackets where there is nothing to bracket."""
    return f"({' '.join([head, *args])})" if args or " " in head else head
