"""Two rules as one: two steps of a run done in one, where nothing can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    Add,
    AtLeast,
    Atom,
    Cmp,
    Const,
    Copy,
    Emit,
    Expr,
    Find,
    In,
    Out,
    Pop,
    Push,
    Reg,
    Rule,
    Set,
    Span,
    TopIs,
    Update,
    add_constant,
    walk,
)


def compose_steps(machine: Machine, tidy: Callable[[Machine], Machine]) -> Machine:
    """Replace modes that only pass on, or follow one silent rule, by what they do.

    The latter only where that makes the machine, tidied, no larger than by a little.
    """
    for mode in machine.modes:
        if mode == machine.start:
            continue
        into = [r for r in machine.rules if r.goto == mode]
        out = machine.rules_of(mode)
        if any(r.mode == mode for r in into) or not into:
            continue
        passes_on = len(out) == 1 and not out[0].guard
        follows = len(into) == 1 and not into[0].word and not _moves_stack(into[0])
        if not passes_on and not follows:
            continue
        joined = [[compose_rules(a, b) for b in out] for a in into]
        if any(x is None for row in joined for x in row):
            continue
        kept = [r for r in machine.rules if r.goto != mode and r.mode != mode]
        new = machine.with_rules([*kept, *(x for row in joined for x in row if x is not None)])
        if passes_on or tidy(new).size <= machine.size + 2:
            return new
    return machine


def _moves_stack(rule: Rule) -> bool:
    return any(isinstance(u, Push | Pop) for u in rule.updates)


def compose_rules(first: Rule, then: Rule) -> Rule | None:
    """One rule that does two in turn; None where the second reads what the first brings about."""
    nodes = [x for part in (*then.guard, *then.updates) for x in walk(part)]
    pushes = [u for u in first.updates if isinstance(u, Push)]
    pops = sum(isinstance(u, Pop) for u in first.updates)
    if first.lost is not None:
        return None
    if any(isinstance(x, Out | TopIs) for x in nodes) and (first.word or _moves_stack(first)):
        return None
    if any(isinstance(x, Reg) and x.name in ("t", "height") for x in nodes):
        return None
    if _moves_stack(first) and any(isinstance(x, Pop) or x == Reg("top") for x in nodes):
        return None
    env = {u.reg: u.to for u in first.updates if isinstance(u, Set)}
    guard = tuple(dict.fromkeys((*first.guard, *(substitute_in_atom(a, env) for a in then.guard))))
    later = [substitute_in_update(u, env) for u in then.updates]
    word = first.word + tuple(x for u in later if isinstance(u, Emit) for x in u.word)
    sets = env | {u.reg: u.to for u in later if isinstance(u, Set)}
    updates: list[Update] = [Emit(word)] if word else []
    updates += [Pop()] * (pops + sum(isinstance(u, Pop) for u in later))
    updates += [Set(name, e) for name, e in sets.items() if e != Reg(name)]
    updates += [*pushes, *(u for u in later if isinstance(u, Push))]
    updates += [u for u in then.updates if u == then.lost]
    name = first.name if not then.guard else f"{first.name}-{then.name.partition('-')[2]}"
    origin = (first.origin if first.word else then.origin) or first.origin or then.origin
    return Rule(name, first.mode, guard, tuple(updates), then.goto, origin, first.evidence)


def substitute_registers(e: Expr, env: Mapping[str, Expr]) -> Expr:
    """An expression with registers replaced."""
    match e:
        case Const():
            return e
        case Reg(name):
            return env.get(name, e)
        case Add(base, Const(c), sign, k):
            return add_constant(substitute_registers(base, env), sign * c + k)
        case Add(base, of, sign, k):
            return Add(substitute_registers(base, env), substitute_registers(of, env), sign, k)
        case Find(start, step, skip):
            return Find(substitute_registers(start, env), step, skip)
        case Span(at, step):
            return Span(substitute_registers(at, env), step)


def substitute_in_atom(a: Atom, env: Mapping[str, Expr]) -> Atom:
    """A guard atom with registers replaced."""
    match a:
        case In(at, tokens):
            return In(substitute_registers(at, env), tokens)
        case Cmp(x, op, y):
            return Cmp(substitute_registers(x, env), op, substitute_registers(y, env))
        case AtLeast(least, atoms):
            return AtLeast(least, tuple(substitute_in_atom(x, env) for x in atoms))
        case _:
            return a


def substitute_in_update(u: Update, env: Mapping[str, Expr]) -> Update:
    """An update with registers replaced in what it reads."""
    match u:
        case Emit(word):
            return Emit(
                tuple(
                    Copy(substitute_registers(x.at, env)) if isinstance(x, Copy) else x
                    for x in word
                )
            )
        case Set(reg, to):
            return Set(reg, substitute_registers(to, env))
        case Push(frame, at):
            return Push(frame, substitute_registers(at, env))
        case _:
            return u
