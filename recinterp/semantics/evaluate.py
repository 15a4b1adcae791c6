"""A program run fast: each function as a Python function over values, call by value.

Recursion that outgrows Python's stack is taken over by `evaluate_on_stack`, which interprets the
same program on a stack of its own; tests hold both equal to the small steps of `StepReducer`. In
the counting version every function carries the number of own unfoldings it is nested in, and
`deepest` records the largest: that is a task's recursion depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recinterp.errors import TaskError
from recinterp.semantics.ast import (
    Call,
    Construct,
    Expr,
    Function,
    Let,
    Match,
    Program,
    Var,
    children,
)
from recinterp.semantics.limits import RUN_LIMITS
from recinterp.semantics.terms import Value


@dataclass(frozen=True)
class CompiledProgram:
    """The functions of a program in Python, in two versions: plain, and counting depths.

    Attributes:
        program: The program.
        functions: Each function as a Python function over values; empty where Python's compiler
            cannot nest so deep.
        counted: The versions that count, which take the nesting as a further argument.
        deepest: One number, the deepest nesting of the run under way.
        own: The functions whose unfoldings are counted.
        fuel: One number, the calls left to the run under way of functions that call themselves
            more than once: only with those can a run of few nested calls be very long.
    """

    program: Program
    functions: Mapping[str, Callable[..., Value]]
    counted: Mapping[str, Callable[..., Value]]
    deepest: list[int]
    own: frozenset[str]
    fuel: list[int]

    def run_function(self, function: str, args: Sequence[Value]) -> Value:
        """The value of a function at values."""
        self.fuel[0] = RUN_LIMITS.max_steps
        try:
            return self.functions[function](*args)
        except _OutOfFuelError:
            raise _overrun_error(function, args, RUN_LIMITS.max_steps) from None
        except (RecursionError, KeyError):
            return evaluate_on_stack(self.program, function, args, frozenset())[0]

    def measure_depth(self, function: str, args: Sequence[Value]) -> int:
        """The longest chain of nested unfoldings of own functions, minus one (-1: none ran)."""
        self.deepest[0], self.fuel[0] = 0, RUN_LIMITS.max_steps
        try:
            self.counted[function](*args, 1 if function in self.own else 0)
        except _OutOfFuelError:
            raise _overrun_error(function, args, RUN_LIMITS.max_steps) from None
        except (RecursionError, KeyError):
            return evaluate_on_stack(self.program, function, args, self.own)[1] - 1
        return self.deepest[0] - 1


def compile_program(program: Program, own: frozenset[str]) -> CompiledProgram:
    """Python functions for every function of a program; `own` are counted in depths."""
    deepest, fuel = [0], [RUN_LIMITS.max_steps]
    plain: dict[str, Any] = {"fuel": fuel, "OutOfFuel": _OutOfFuelError}
    counted: dict[str, Any] = {**plain, "deepest": deepest}
    try:
        for function in program.functions:
            exec(_FunctionWriter(program, None).function_source(function), plain)
            exec(_FunctionWriter(program, own).function_source(function), counted)
    except (SyntaxError, RecursionError, MemoryError):  # nested too deep for Python's own compiler
        return CompiledProgram(program, {}, {}, deepest, own, fuel)
    names = program.function_names
    return CompiledProgram(
        program,
        {n: plain[_function_identifier(n)] for n in names},
        {n: counted[_function_identifier(n)] for n in names},
        deepest,
        own,
        fuel,
    )


class _OutOfFuelError(Exception):
    """A run took more steps than are allowed."""


def _overrun_error(function: str, args: Sequence[Value], steps: int) -> TaskError:
    size = sum(map(_count_constructors, args))
    return TaskError(
        f"run {function!r}",
        f"on an input of {size:,} constructors it takes more than {steps:,} steps",
        "pass shorter inputs, or write the function so that it calls itself once on each part",
    )


def _count_constructors(value: Value, max_size: int = 1_000_000) -> int:
    size, stack = 0, [value]
    while stack and size < max_size:
        here = stack.pop()
        size += 1
        stack.extend(here[1:])
    return size


def _calls_itself_twice(function: Function) -> bool:
    """Whether a run of one call can make two calls of the same block of fixpoints."""

    def count(expr: Expr) -> int:
        match expr:
            case Match(scrutinee=scrutinee, arms=arms):
                return count(scrutinee) + max((count(arm.body) for arm in arms), default=0)
            case Call(function=name, args=args):
                return (name in function.block) + sum(map(count, args))
            case _:
                return sum(map(count, children(expr)))

    return function.is_recursive and count(function.body) > 1


def _function_identifier(name: str) -> str:
    return "f_" + _plain_name(name)


def _variable_identifier(name: str) -> str:
    return "v_" + _plain_name(name)


def _plain_name(name: str) -> str:
    """The name in ASCII, different for different names: Python makes one name of `x₁` and `x1`."""
    return "".join(_SPELLED.get(c, c) if c.isascii() else f"_u{ord(c):x}_" for c in name)


_SPELLED = {"_": "__", "'": "_q"}


@dataclass
class _FunctionWriter:
    """Writes one function; `own` is None for the plain version."""

    program: Program
    own: frozenset[str] | None
    temporaries: int = 0

    def function_source(self, function: Function) -> str:
        params = [_variable_identifier(p.name) for p in function.params] + (
            ["d"] if self.own is not None else []
        )
        lines = [f"def {_function_identifier(function.name)}({', '.join(params)}):"]
        if self.own is not None and function.name in self.own:
            lines.append(" if d > deepest[0]: deepest[0] = d")
        if _calls_itself_twice(function):
            lines += [" fuel[0] -= 1", " if fuel[0] < 0: raise OutOfFuel"]
        return "\n".join(lines + self.block_lines(function.body, " ", "return "))

    def block_lines(self, expr: Expr, pad: str, to: str) -> list[str]:
        """Lines that leave the value of `expr` in `to`: `return `, or `name = `."""
        if isinstance(expr, Match):
            before, scrutinee = self.named_value(expr.scrutinee, pad)
            return before + self.arm_lines(expr, scrutinee, pad, to)
        if isinstance(expr, Let):
            return [
                *self.block_lines(expr.value, pad, f"{_variable_identifier(expr.name)} = "),
                *self.block_lines(expr.body, pad, to),
            ]
        before, text = self.value_expression(expr, pad)
        return [*before, f"{pad}{to}{text}"]

    def arm_lines(self, expr: Match, scrutinee: str, pad: str, to: str) -> list[str]:
        lines = []
        last, first = len(expr.arms) - 1, self.program.first_id[expr.type]
        for i, arm in enumerate(expr.arms):
            inner = pad
            if last:
                word = "if" if i == 0 else "elif"
                lines.append(
                    f"{pad}else:" if i == last else f"{pad}{word} {scrutinee}[0] == {first + i}:"
                )
                inner = pad + " "
            lines += [
                f"{inner}{_variable_identifier(n)} = {scrutinee}[{k}]"
                for k, n in enumerate(arm.names, 1)
            ]
            lines += self.block_lines(arm.body, inner, to)
        return lines

    def named_value(self, expr: Expr, pad: str) -> tuple[list[str], str]:
        """Lines to run first, and a name that then holds the value."""
        if isinstance(expr, Var):
            return [], _variable_identifier(expr.name)
        name = f"t{self.temporaries}"
        self.temporaries += 1
        return self.block_lines(expr, pad, f"{name} = "), name

    def value_expression(self, expr: Expr, pad: str) -> tuple[list[str], str]:
        """Lines to run first, and a Python expression for the value."""
        match expr:
            case Var(name=name):
                return [], _variable_identifier(name)
            case Construct(constructor=constructor, type=type_, args=args):
                before, parts = self.value_expressions(args, pad)
                index = str(self.program.ids[type_, constructor])
                return before, f"({', '.join([index, *parts])},)"
            case Call(function=function, args=args):
                before, parts = self.value_expressions(args, pad)
                given = ", ".join([*parts, *self.nesting_argument(function)])
                return before, f"{_function_identifier(function)}({given})"
            case _:
                return self.named_value(expr, pad)

    def nesting_argument(self, callee: str) -> list[str]:
        """The nesting passed on: one more where an own function is called."""
        if self.own is None:
            return []
        return ["d + 1" if callee in self.own else "d"]

    def value_expressions(self, exprs: Sequence[Expr], pad: str) -> tuple[list[str], list[str]]:
        lines, parts = [], []
        for expr in exprs:
            before, part = self.value_expression(expr, pad)
            lines += before
            parts.append(part)
        return lines, parts


def evaluate_on_stack(
    program: Program, function: str, args: Sequence[Value], own: frozenset[str]
) -> tuple[Value, int]:
    """(value, deepest nesting of own unfoldings), on an explicit stack.

    A work item is (expression, environment, nesting) or a closure over the values already made.
    """
    deepest, steps = [0], 0
    size = sum(map(_count_constructors, args))
    max_steps = RUN_LIMITS.max_steps + RUN_LIMITS.steps_per_symbol * size
    values: list[Value] = list(args)
    work: list[Any] = [(Call(function, tuple(Var("_") for _ in args)), None, 0, True)]
    while work:
        expr, env, nesting, ready = work.pop()
        steps += 1
        if steps > max_steps:
            raise _overrun_error(function, args, max_steps)
        match expr:
            case Var(name=name):
                values.append(env[name])
            case Let(value=value) if not ready:
                work += [(expr, env, nesting, True), (value, env, nesting, False)]
            case Let(name=name, body=body):
                work.append((body, {**env, name: values.pop()}, nesting, False))
            case Match(scrutinee=scrutinee) if not ready:
                work += [(expr, env, nesting, True), (scrutinee, env, nesting, False)]
            case Match(type=type_, arms=arms):
                whole = values.pop()
                arm = arms[whole[0] - program.first_id[type_]]
                bound = dict(zip(arm.names, whole[1:], strict=True))
                work.append((arm.body, {**env, **bound} if bound else env, nesting, False))
            case Construct(args=parts) | Call(args=parts) if not ready and parts:
                work.append((expr, env, nesting, True))
                work += [(part, env, nesting, False) for part in reversed(parts)]
            case Construct(constructor=constructor, type=type_, args=parts):
                values.append((program.ids[type_, constructor], *_pop_many(values, len(parts))))
            case Call(function=name, args=parts):
                callee = program.function(name)
                inner = nesting + (name in own)
                deepest[0] = max(deepest[0], inner)
                names = (p.name for p in callee.params)
                env = dict(zip(names, _pop_many(values, len(parts)), strict=True))
                work.append((callee.body, env, inner, False))
    return values[0], deepest[0]


def _pop_many(values: list[Value], n: int) -> list[Value]:
    if not n:
        return []
    top = values[-n:]
    del values[-n:]
    return top
