# ruff: noqa: E501 (templates of programs)
"""Random Python functions over frozen dataclasses, in the styles that people write."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

HEAD = """from __future__ import annotations
from dataclasses import dataclass
from enum import Enum
"""
STYLES = (
    "match", "nested pattern", "or-pattern", "guard", "as", "columns", "isinstance chain", "conditional",
    "comparison", "and, or, not", "local variable", "list pattern", "tuple", "unpacking", "helper",
    "mutual recursion", "single class", "keyword arguments", "early return",
)  # fmt: skip
Env = dict[str, str]


@dataclass
class Program:
    """A module's text, the name of its last function, and the styles it uses."""

    text: str
    function: str
    used: set[str]


@dataclass
class Writer:
    """Writes one module."""

    rng: Random
    cases: dict[str, list[tuple[str, list[tuple[str, str]]]]] = field(default_factory=dict)
    functions: list[tuple[str, list[str], str]] = field(default_factory=list)
    own: list[tuple[str, list[str], str]] = field(default_factory=list)
    calls_left: int = 0
    lines: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    count: int = 0

    def fresh(self, base: str) -> str:
        self.count += 1
        return f"{base}{self.count}"

    # types
    def declare_types(self) -> None:
        members = ["A", "B", "C"][: self.rng.randint(2, 3)]
        self.lines += [
            "",
            "",
            "class Lab(Enum):",
            *(f"    {m} = {i}" for i, m in enumerate(members)),
        ]
        self.cases["Lab"] = [(f"Lab.{m}", []) for m in members]
        shapes: list[list[str]] = [[], ["T"]]
        for _ in range(self.rng.randint(1, 2)):
            shapes.append(
                [self.rng.choice(["T", "T", "Lab", "bool"]) for _ in range(self.rng.randint(1, 2))]
            )
        self.union("T", [f"K{i}" for i in range(len(shapes))], shapes)
        if self.rng.random() < 0.5:
            self.union("P", ["P"], [["Lab", "T"]])
            self.used.add("single class")

    def union(self, name: str, classes: list[str], shapes: list[list[str]]) -> None:
        self.cases[name] = []
        for cls, shape in zip(classes, shapes, strict=True):
            fields = [(f"{chr(97 + i)}", t) for i, t in enumerate(shape)]
            body = [f"    {f}: {t}" for f, t in fields] or ["    pass"]
            self.lines += ["", "", "@dataclass(frozen=True)", f"class {cls}:", *body]
            self.cases[name].append((cls, fields))
        if classes != [name]:
            self.lines += ["", "", f"{name} = {' | '.join(classes)}"]

    def type(self) -> str:
        kinds = [
            "T",
            "T",
            "Lab",
            "bool",
            "list[Lab]",
            "tuple[Lab, T]",
            *(["P"] if "P" in self.cases else []),
        ]
        return self.rng.choice(kinds)

    # expressions
    def value(self, type_: str, env: Env, smaller: set[str], fuel: int) -> str:
        names = [n for n, t in env.items() if t == type_]
        if names and self.rng.random() < (0.3 if fuel > 0 else 0.8):
            return self.rng.choice(names)
        if fuel > 0 and self.calls_left > 0 and self.rng.random() < 0.7:
            for name, params, result in self.rng.sample(self.own, len(self.own)):
                fit = sorted(n for n in smaller if env.get(n) == params[0])
                if result == type_ and fit:
                    self.calls_left -= 1
                    rest = [self.value(p, env, set(), fuel - 2) for p in params[1:]]
                    return f"{name}({', '.join([self.rng.choice(fit), *rest])})"
        if fuel > 1 and self.rng.random() < 0.3:
            known = [f for f in self.functions if f[2] == type_]
            if known:
                self.used.add("helper")
                name, params, _ = self.rng.choice(known)
                return f"{name}({', '.join(self.value(p, env, smaller, fuel - 2) for p in params)})"
        if fuel > 1 and self.rng.random() < 0.2:
            self.used.add("conditional")
            test = self.truth(env, smaller, fuel - 2)
            yes, no = (self.value(type_, env, smaller, fuel - 2) for _ in range(2))
            return f"({yes} if {test} else {no})"
        return self.construct(type_, env, smaller, fuel)

    def construct(self, type_: str, env: Env, smaller: set[str], fuel: int) -> str:
        if type_ == "bool":
            return self.truth(env, smaller, fuel - 1)
        if type_ == "list[Lab]":
            items = [
                self.value("Lab", env, smaller, fuel - 1) for _ in range(self.rng.randint(0, 2))
            ]
            lists = [n for n, t in env.items() if t == type_]
            if lists and self.rng.random() < 0.6:
                items.append(f"*{self.rng.choice(lists)}")
            return f"[{', '.join(items)}]"
        if type_ == "tuple[Lab, T]":
            self.used.add("tuple")
            parts = (self.value(t, env, smaller, fuel - 1) for t in ("Lab", "T"))
            return f"({', '.join(parts)})"
        cases = self.cases[type_]
        name, fields = self.rng.choice(cases) if fuel > 0 else cases[0]
        if type_ == "Lab":
            return name
        args = [self.value(t, env, smaller, fuel - 1) for _, t in fields]
        if args and self.rng.random() < 0.2:
            self.used.add("keyword arguments")
            args = [f"{f}={a}" for (f, _), a in zip(fields, args, strict=True)][::-1]
        return f"{name}({', '.join(args)})"

    def truth(self, env: Env, smaller: set[str], fuel: int) -> str:
        labels = [n for n, t in env.items() if t == "Lab"]
        if labels and self.rng.random() < 0.5:
            self.used.add("comparison")
            other = self.rng.choice([*labels, self.cases["Lab"][0][0]])
            return f"({self.rng.choice(labels)} {self.rng.choice(['==', '!=', 'is'])} {other})"
        if fuel > 0 and self.rng.random() < 0.5:
            self.used.add("and, or, not")
            one, two = (self.truth(env, smaller, fuel - 1) for _ in range(2))
            return self.rng.choice([f"(not {one})", f"({one} and {two})", f"({one} or {two})"])
        truths = [n for n, t in env.items() if t == "bool"]
        known = {n.split(".")[0] for n in env if "." in n}  # whose case is known
        trees = [n for n, t in env.items() if t == "T" and n not in known]
        if trees and self.rng.random() < 0.4:
            return f"isinstance({self.rng.choice(trees)}, K1)"
        return self.rng.choice([*truths, "True", "False"])

    # patterns
    def pattern(self, type_: str, depth: int) -> tuple[str, Env]:
        if depth <= 0 or self.rng.random() < 0.4:
            if self.rng.random() < 0.3:
                return "_", {}
            name = self.fresh("p")
            return name, {name: type_}
        if type_ == "list[Lab]":
            self.used.add("list pattern")
            first, bound = self.pattern("Lab", depth - 1)
            rest = self.fresh("r")
            return f"[{first}, *{rest}]", {**bound, rest: type_}
        if type_ == "tuple[Lab, T]":
            one, left = self.pattern("Lab", depth - 1)
            two, right = self.pattern("T", depth - 1)
            return f"({one}, {two})", {**left, **right}
        if type_ == "bool":
            return self.rng.choice(["True", "False"]), {}
        text, bound = self.case_pattern(*self.rng.choice(self.cases[type_]), depth)
        if self.rng.random() < 0.2:
            alias = self.fresh("w")
            self.used.add("as")
            return f"({text} as {alias})", {**bound, alias: type_}
        return text, bound

    def case_pattern(self, name: str, fields: list[tuple[str, str]], depth: int) -> tuple[str, Env]:
        if "." in name:
            return name, {}
        parts, bound = [], {}
        for _, t in fields:
            text, more = self.pattern(t, depth - 1)
            parts.append(text)
            bound |= more
        if any("(" in p for p in parts):
            self.used.add("nested pattern")
        if not bound and self.rng.random() < 0.5:
            self.used.add("or-pattern")
            return f"{name}({', '.join(parts)}) | K0()" if name != "K0" else "K0()", {}
        return f"{name}({', '.join(parts)})", bound

    # statements
    def body(self, params: Env, result: str, pad: str) -> None:
        first = next(iter(params))
        way = self.rng.random()
        if self.rng.random() < 0.3:
            name, type_ = self.fresh("v"), self.type()
            self.used.add("local variable")
            note = f": {type_}" if type_ == "list[Lab]" else ""
            self.lines.append(f"{pad}{name}{note} = {self.value(type_, params, set(), 1)}")
            params = {**params, name: type_}
        pairs = [n for n, t in params.items() if t == "tuple[Lab, T]"]
        if pairs and self.rng.random() < 0.5:
            one, two = self.fresh("u"), self.fresh("u")
            self.used.add("unpacking")
            self.lines.append(f"{pad}{one}, {two} = {self.rng.choice(pairs)}")
            params = {**params, one: "Lab", two: "T"}
        if self.rng.random() < 0.3:
            self.used.add("early return")
            self.lines.append(f"{pad}if {self.truth(params, set(), 1)}:")
            self.lines.append(f"{pad}    return {self.value(result, params, set(), 2)}")
        if params[first] == "T" and way < 0.3:
            self.chain(first, params, result, pad)
        else:
            self.match(first, params, result, pad)

    def chain(self, name: str, env: Env, result: str, pad: str) -> None:
        self.used.add("isinstance chain")
        for cls, fields in self.cases["T"][:-1]:
            inner = {**env, **{f"{name}.{f}": t for f, t in fields}}
            small = {f"{name}.{f}" for f, t in fields if t == "T"}
            self.lines.append(f"{pad}if isinstance({name}, {cls}):")
            self.lines.append(f"{pad}    return {self.value(result, inner, small, 3)}")
        _, fields = self.cases["T"][-1]
        inner = {**env, **{f"{name}.{f}": t for f, t in fields}}
        small = {f"{name}.{f}" for f, t in fields if t == "T"}
        self.lines.append(f"{pad}return {self.value(result, inner, small, 3)}")

    def match(self, name: str, env: Env, result: str, pad: str) -> None:
        self.used.add("match")
        others = [n for n in env if n != name and "." not in n]
        second = self.rng.choice(others) if others and self.rng.random() < 0.3 else None
        self.lines.append(f"{pad}match {name}{f', {second}' if second else ''}:")
        type_ = env[name]
        starts = self.cases.get(type_, [])[:-1] if type_ == "T" else []
        for cls, fields in self.rng.sample(starts, len(starts)):
            text, bound = self.case_pattern(cls, fields, 2)
            small = {n for n, t in bound.items() if t == "T"}
            guard = ""
            if second:
                self.used.add("columns")
                text = f"({text}), _"
            if self.rng.random() < 0.2:
                self.used.add("guard")
                guard = f" if {self.truth({**env, **bound}, set(), 1)}"
            self.lines.append(f"{pad}    case {text}{guard}:")
            if self.rng.random() < 0.2 and bound:
                self.lines.append(f"{pad}        pass")
                continue
            value = self.value(result, {**env, **bound}, small, 3)
            self.lines.append(f"{pad}        return {value}")
        if type_ != "T":
            text, bound = self.pattern(type_, 2)
            if text.isidentifier():
                text, bound = "_", {}
            text = f"({text}), _" if second else text
            self.lines.append(f"{pad}    case {text}:")
            self.lines.append(
                f"{pad}        return {self.value(result, {**env, **bound}, set(), 3)}"
            )
        self.lines.append(f"{pad}return {self.value(result, env, set(), 2)}")

    def function(self, name: str, params: list[str], result: str) -> None:
        names = [self.fresh("x") for _ in params]
        head = ", ".join(f"{n}: {t}" for n, t in zip(names, params, strict=True))
        self.lines += ["", "", f"def {name}({head}) -> {result}:"]
        self.calls_left = 2
        self.body(dict(zip(names, params, strict=True)), result, "    ")


def write_program(seed: int) -> Program:
    """A module of types, helpers and recursive functions."""
    w = Writer(Random(seed))
    w.declare_types()
    for _ in range(w.rng.randint(0, 2)):
        helper = (w.fresh("h"), [w.type() for _ in range(w.rng.randint(1, 2))], w.type())
        w.function(*helper)
        w.functions.append(helper)
    block = []
    for _ in range(w.rng.choice([1, 1, 2])):
        params = ["T", *(w.type() for _ in range(w.rng.choice([0, 0, 1])))]
        block.append((w.fresh("f"), params, w.type()))
    if len(block) > 1:
        w.used.add("mutual recursion")
    w.own = block
    for each in block:
        w.function(*each)
    return Program(HEAD + "\n".join(w.lines) + "\n", block[-1][0], w.used)
