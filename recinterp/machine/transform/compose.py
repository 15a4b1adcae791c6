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
    """Remove the first mode that only passes on or follows one silent rule, by composing rules.

    The latter only where that makes the machine, tidied, no larger than by a little.
    """
    for mode in machine.modes:
        if mode != machine.start:
            smaller = _without_mode(machine, mode, tidy)
            if smaller is not None:
                return smaller
    return machine


def _without_mode(
    machine: Machine, mode: str, tidy: Callable[[Machine], Machine]
) -> Machine | None:
    """The machine with the rules of a mode composed with those that enter it, where that helps."""
    leaving = machine.rules_of(mode)
    passes_on = len(leaving) == 1 and not leaving[0].guard
    rules = _compose_through(machine, mode, passes_on)
    if rules is None:
        return None
    others = [r for r in machine.rules if mode not in (r.goto, r.mode)]
    new = machine.with_rules([*others, *rules])
    return new if passes_on or tidy(new).size <= machine.size + 2 else None


def _compose_through(machine: Machine, mode: str, passes_on: bool) -> list[Rule] | None:
    """Every rule that enters a mode composed with every one that leaves it; None if one cannot."""
    entering = [r for r in machine.rules if r.goto == mode]
    follows_silent_rule = len(entering) == 1 and _is_silent(entering[0])
    if not entering or any(r.mode == mode for r in entering):
        return None
    if not passes_on and not follows_silent_rule:
        return None
    composed = [compose_rules(a, b) for a in entering for b in machine.rules_of(mode)]
    rules = [r for r in composed if r is not None]
    return rules if len(rules) == len(composed) else None


def _is_silent(rule: Rule) -> bool:
    return not rule.word and not _moves_stack(rule)


def _moves_stack(rule: Rule) -> bool:
    return any(isinstance(u, Push | Pop) for u in rule.updates)


def compose_rules(first: Rule, then: Rule) -> Rule | None:
    """One rule that does two in turn; None where the second reads what the first brings about."""
    if first.lost is not None or _reads_effects(then, first):
        return None
    env = {u.reg: u.to for u in first.updates if isinstance(u, Set)}
    guard = tuple(dict.fromkeys((*first.guard, *(substitute_in_atom(a, env) for a in then.guard))))
    updates = _compose_updates(first, then, env)
    name = first.name if not then.guard else f"{first.name}-{then.name.partition('-')[2]}"
    origin = (first.origin if first.word else then.origin) or first.origin or then.origin
    return Rule(name, first.mode, guard, updates, then.goto, origin, first.evidence)


def _reads_effects(then: Rule, first: Rule) -> bool:
    """Whether a rule reads what another one changes, other than its registers."""
    moves_stack = _moves_stack(first)
    for node in (x for part in (*then.guard, *then.updates) for x in walk(part)):
        if isinstance(node, Out | TopIs) and not _is_silent(first):
            return True
        if node in (Reg("t"), Reg("height")):
            return True
        if moves_stack and (isinstance(node, Pop) or node == Reg("top")):
            return True
    return False


def _compose_updates(first: Rule, then: Rule, env: Mapping[str, Expr]) -> tuple[Update, ...]:
    """The updates of two rules in turn; `env` is what the first one sets registers to."""
    both = (*first.updates, *(substitute_in_update(u, env) for u in then.updates))
    word = tuple(x for u in both if isinstance(u, Emit) for x in u.word)
    sets = {u.reg: u.to for u in both if isinstance(u, Set)}
    emit = [Emit(word)] if word else []
    pops = [u for u in both if isinstance(u, Pop)]
    set_ = [Set(name, e) for name, e in sets.items() if e != Reg(name)]
    pushes = [u for u in both if isinstance(u, Push)]
    lost = [] if then.lost is None else [then.lost]
    return (*emit, *pops, *set_, *pushes, *lost)


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
