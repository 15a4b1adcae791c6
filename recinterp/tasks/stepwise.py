"""Step-wise tasks: reduce a term by k ι-match steps, leftmost-outermost, as a Gallina program of
its own.

A call that is not reduced yet is a constructor with the function's name: `succ X1 01` is the term
`succ (X1 One)`, one step makes it `X0 succ 01`, two `X0 X0 01`. The program redeclares the types
with these constructors, and steps by structural recursion, so that it is accepted, sampled, traced
and explained as any other. δ, β, ι-fix and ζ cost nothing here: every ι-match is one step. A
function whose body matches again inside a branch is cut up, `add` and `add_1`, so that each match
has a call. Source: the step-wise tasks of Zhang et al., arXiv 2305.14699.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from recinterp.errors import TaskError
from recinterp.semantics.ast import (
    Arm,
    Call,
    Construct,
    Expr,
    Function,
    Let,
    Match,
    Param,
    Program,
    Var,
    walk,
)
from recinterp.semantics.elaborate import elaborate_program

if TYPE_CHECKING:
    from recinterp.tasks.task import Task


def stepwise_source(program: Program, function: str, k: int) -> tuple[str, str]:
    """(Gallina text, name of its function) for k steps of the terms that a function's runs pass
    through.

    TaskError where k < 1.
    """
    if k < 1:
        raise TaskError("make a stepwise task", f"k is {k}", "pass k >= 1")
    cut = _MatchSplitter(program)
    cut.drop_unreached(function)
    return _StepwiseWriter(program, cut).write_program(program.function(function).result, k)


def stepwise_task(task: Task, k: int) -> Task:
    """The task "reduce k ι-match steps" of a task; tokens and encoding stay. TaskError if k < 1."""
    source, function = stepwise_source(task.program, task.function, k)
    names = {c.name for t in elaborate_program(source).types for c in t.constructors}
    return task.from_gallina(
        source,
        function,
        task.order,
        {name: token for name, token in task.shown if name in names},
        bare_lists=task.bare_lists,
        brackets=task.brackets,
        name=f"{task.name}-stepwise-{k}",
    )


@dataclass
class _MatchSplitter:
    """Every function as either one match on a parameter, or an expression that is put in its
    place.
    """

    program: Program
    matching: dict[str, Function] = field(default_factory=dict)
    inlined: dict[str, Function] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for function in self.program.functions:
            self._add_function(function)

    def _add_function(self, function: Function) -> None:
        body = function.body
        if isinstance(body, Match) and isinstance(body.scrutinee, Var):
            index = next(
                (i for i, p in enumerate(function.params) if p.name == body.scrutinee.name), None
            )
            if index is not None:
                arms = self._flatten_arms(body, function, {p.name: p.type for p in function.params})
                self.matching[function.name] = replace(
                    function, body=replace(body, arms=arms), struct=index
                )
                return
        types = {p.name: p.type for p in function.params}
        self.inlined[function.name] = replace(function, body=self._flatten(body, function, types))

    def _flatten_arms(
        self, match: Match, function: Function, types: Mapping[str, str]
    ) -> tuple[Arm, ...]:
        ind = self.program.type(match.type)
        return tuple(
            replace(
                arm,
                body=self._flatten(
                    arm.body,
                    function,
                    {
                        **types,
                        **dict(zip(arm.names, ind.constructor(arm.constructor).args, strict=True)),
                    },
                ),
            )
            for arm in match.arms
        )

    def _flatten(self, expr: Expr, function: Function, types: Mapping[str, str]) -> Expr:
        """The expression without matches and lets: a match becomes a call of a function of its
        own.
        """
        match expr:
            case Var():
                return expr
            case Construct(args=args) | Call(args=args):
                return self._inline_call(
                    replace(expr, args=tuple(self._flatten(a, function, types) for a in args))
                )
            case Let(name=name, value=value, body=body):
                put = self._flatten(value, function, types)
                inner = self._flatten(body, function, {**types, name: expr.type})
                return _replace_variables(inner, {name: put})
            case Match():
                return self._lift_match(expr, function, types)

    def _inline_call(self, expr: Expr) -> Expr:
        if isinstance(expr, Call) and expr.function in self.inlined:
            callee = self.inlined[expr.function]
            given = {p.name: a for p, a in zip(callee.params, expr.args, strict=True)}
            return _replace_variables(callee.body, given)
        return expr

    def _lift_match(self, expr: Match, function: Function, types: Mapping[str, str]) -> Expr:
        """A call of a new function that makes this match, on the scrutinee and what its branches
        use.
        """
        used, name = _free_variables(expr), self._fresh_name(function.name)
        given: Expr
        if isinstance(expr.scrutinee, Var):
            head, given = expr.scrutinee.name, expr.scrutinee
        else:
            head, given = "scrutinee", self._flatten(expr.scrutinee, function, types)
            while head in types:
                head += "_"
            used = [n for n in used if any(n in _free_variables(arm.body) for arm in expr.arms)]
        rest = [n for n in used if n != head]
        params = (Param(head, expr.type), *(Param(n, types[n]) for n in rest))
        # Known before its branches are cut, so that names stay distinct.
        self.matching[name] = Function(name, params, expr.result, expr, 0)
        arms = self._flatten_arms(expr, function, types)
        whole = replace(expr, scrutinee=Var(head), arms=arms)
        self.matching[name] = Function(name, params, expr.result, whole, 0)
        return Call(name, (given, *(Var(n) for n in rest)))

    def _fresh_name(self, base: str) -> str:
        i = 1
        taken = {*self.program.function_names, *self.matching, *self.program.symbols}
        while f"{base}_{i}" in taken:
            i += 1
        return f"{base}_{i}"

    def drop_unreached(self, function: str) -> None:
        """Forget the functions that a function's runs never call."""
        found: dict[str, None] = {}
        work = [function]
        while work:
            name = work.pop()
            if name not in found:
                found[name] = None
                body = (self.matching.get(name) or self.inlined[name]).body
                work += [e.function for e in walk(body) if isinstance(e, Call)]
        self.matching = {n: f for n, f in self.matching.items() if n in found}

    def unused_prefix(self, base: str) -> str:
        """A name that no type, constructor or function of the program begins with."""
        taken = [*self.matching, *self.program.function_names, *self.program.symbols]
        taken += [t.name for t in self.program.types]
        while any(name.startswith(base) for name in taken):
            base += "_"
        return base

    def functions_returning(self, type_: str) -> list[Function]:
        """The functions whose calls can stand for a term of a type."""
        return [f for f in self.matching.values() if f.result == type_]


def _replace_variables(expr: Expr, given: Mapping[str, Expr]) -> Expr:
    match expr:
        case Var(name=name):
            return given.get(name, expr)
        case Construct() | Call():
            return replace(expr, args=tuple(_replace_variables(a, given) for a in expr.args))
        case _:
            raise AssertionError("matches and lets are gone by now")


def _free_variables(expr: Expr) -> list[str]:
    bound = {n for e in walk(expr) if isinstance(e, Match) for a in e.arms for n in a.names}
    bound |= {e.name for e in walk(expr) if isinstance(e, Let)}
    return list(
        dict.fromkeys(e.name for e in walk(expr) if isinstance(e, Var) and e.name not in bound)
    )


@dataclass(frozen=True)
class _StepwiseWriter:
    """The Gallina text; types of the program get plain names, `list label` becomes list_label."""

    program: Program
    cut: _MatchSplitter

    def unused_prefix(self, base: str) -> str:
        return self.cut.unused_prefix(base)

    def write_program(self, root: str, k: int) -> tuple[str, str]:
        """(the whole text, the name of its last function)."""
        types = self._reached_types(root)
        t, steps = self.unused_prefix("t"), self.unused_prefix("steps")
        truth, yes, no = map(self.unused_prefix, ("truth", "yes", "no"))
        body, type_ = t, _plain_type_name(root)
        for _ in range(k):
            body = f"{self._step_name(root)} {body if body == t else f'({body})'}"
        parts = [
            f"(* {k} match steps, leftmost-outermost; a call not reduced yet is a constructor. *)",
            f"Inductive {truth} : Set := {yes} | {no}.",
            f"Inductive {self._join_mutual(types, self._write_declaration)}.",
            f"Fixpoint {self._join_mutual(types, self._write_normal_test)}.",
            f"Fixpoint {self._join_mutual(types, self._write_step)}.",
            f"Definition {steps} ({t} : {type_}) : {type_} := {body}.",
        ]
        return "\n\n".join(parts) + "\n", steps

    def _join_mutual(self, types: Sequence[str], write: Callable[[str], str]) -> str:
        return "\nwith ".join(write(t) for t in types)

    def _reached_types(self, root: str) -> list[str]:
        """Every type that terms on the way can contain."""
        found: dict[str, None] = {}
        work = [root]
        while work:
            type_ = work.pop(0)
            if type_ not in found:
                found[type_] = None
                work += [a for _, args, _ in self._type_shapes(type_) for a in args]
        return list(found)

    def _type_shapes(self, type_: str) -> list[tuple[str, tuple[str, ...], Function | None]]:
        """(name, argument types, the function where it is a call) for every constructor."""
        plain = [(c.name, c.args, None) for c in self.program.type(type_).constructors]
        calls = [
            (f.name, tuple(p.type for p in f.params), f)
            for f in self.cut.functions_returning(type_)
        ]
        return [*plain, *calls]

    def _field_names(self, args: Sequence[object], base: str = "x") -> list[str]:
        return [f"{self.unused_prefix(base)}{i}" for i in range(len(args))]

    def _step_name(self, type_: str) -> str:
        return f"{self.unused_prefix('step')}_{_plain_type_name(type_)}"

    def _write_declaration(self, type_: str) -> str:
        shapes = (
            " ".join(
                [
                    name,
                    *(
                        f"({x} : {_plain_type_name(a)})"
                        for x, a in zip(self._field_names(args), args, strict=True)
                    ),
                ]
            )
            for name, args, _ in self._type_shapes(type_)
        )
        return f"{_plain_type_name(type_)} : Set :=\n  | " + "\n  | ".join(shapes)

    def _write_fixpoint(self, name: str, type_: str, result: str, arms: Sequence[str]) -> str:
        t = self.unused_prefix("t")
        on = f"({t} : {_plain_type_name(type_)}) {{struct {t}}}"
        head = f"{name} {on} : {result} :=\n  match {t} with\n"
        return head + "".join(f"  | {arm}\n" for arm in arms) + "  end"

    def _write_normal_test(self, type_: str) -> str:
        """Whether no call is left in a term."""
        arms = []
        for name, args, function in self._type_shapes(type_):
            xs = self._field_names(args)
            value = self.unused_prefix("no") if function else self._all_normal(args, xs)
            arms.append(f"{' '.join([name, *xs])} => {value}")
        return self._write_fixpoint(
            self._normal_name(type_), type_, self.unused_prefix("truth"), arms
        )

    def _normal_name(self, type_: str) -> str:
        return f"{self.unused_prefix('normal')}_{_plain_type_name(type_)}"

    def _all_normal(self, args: Sequence[str], xs: Sequence[str]) -> str:
        if not args:
            return self.unused_prefix("yes")
        tests = [f"{self._normal_name(a)} {x}" for a, x in zip(args, xs, strict=True)]
        text = tests[-1]
        for test in reversed(tests[:-1]):
            text = f"if {test} then {text} else {self.unused_prefix('no')}"
        return text

    def _write_step(self, type_: str) -> str:
        arms = []
        for name, args, function in self._type_shapes(type_):
            xs = self._field_names(args)
            made = (
                self._call_step(function, xs)
                if function
                else self._write_inner_step(name, args, xs)
            )
            arms.append(f"{' '.join([name, *xs])} =>{made}")
        return self._write_fixpoint(self._step_name(type_), type_, _plain_type_name(type_), arms)

    def _write_inner_step(self, name: str, args: Sequence[str], xs: Sequence[str]) -> str:
        """A constructor steps in its leftmost argument that is not normal."""
        text = "" if args else name
        for i in range(len(xs) - 1, -1, -1):
            stepped = [*xs]
            stepped[i] = f"({self._step_name(args[i])} {xs[i]})"
            here = " ".join([name, *stepped])
            test = f"{self._normal_name(args[i])} {xs[i]}"
            text = f"if {test} then {text} else {here}" if text else here
        return f" {text}"

    def _call_step(self, function: Function, xs: list[str]) -> str:
        """A call is reduced where its argument shows a constructor, and steps in it otherwise."""
        assert function.struct is not None
        assert isinstance(function.body, Match)
        on = function.params[function.struct].type
        given = {p.name: x for p, x in zip(function.params, xs, strict=True)}
        arms = []
        for arm in function.body.arms:
            ys = self._field_names(arm.names, "y")
            body = _expression_text(arm.body, {**given, **dict(zip(arm.names, ys, strict=True))})
            arms.append(f"{' '.join([arm.constructor, *ys])} => {body}")
        stepped = [*xs]
        stepped[function.struct] = f"({self._step_name(on)} {xs[function.struct]})"
        for callee in self.cut.functions_returning(on):
            pattern = " ".join([callee.name, *("_" for _ in callee.params)])
            arms.append(f"{pattern} => {' '.join([function.name, *stepped])}")
        lines = "".join(f"    | {arm}\n" for arm in arms)
        return f"\n    match {xs[function.struct]} with\n{lines}    end"


def _plain_type_name(type_: str) -> str:
    return type_.replace("(", "").replace(")", "").replace(" ", "_")


def _expression_text(expr: Expr, env: Mapping[str, str]) -> str:
    match expr:
        case Var(name=name):
            return env[name]
        case Construct(constructor=head, args=args) | Call(function=head, args=args):
            parts = [_expression_text(a, env) for a in args]
            return " ".join([head, *(f"({p})" if " " in p else p for p in parts)])
        case _:
            raise AssertionError("matches and lets are gone by now")
