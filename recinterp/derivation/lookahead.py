"""Reverse order without a stack: what the natural machine would know is read off what comes after.

The natural machine reaches the token at p after reading all that stands behind it in the reversed
input. Where it has one mode, or two of which it never comes back from the second, "it is still in
the first" says that everything after p is in a set of tokens: one `find`. It must read all there
is: what it halts before would come first in the reversed input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    Atom,
    Cmp,
    Const,
    Copy,
    Emit,
    Find,
    In,
    Reg,
    Rule,
    Set,
    add_constant,
)
from recinterp.machine.transform.minimise import minimise_machine
from recinterp.tokens import END_OF_INPUT

_HERE = Reg("p")
_ONWARD = Set("p", add_constant(_HERE, 1))


def derive_lookahead_machine(natural: Machine, last: tuple[str, ...]) -> Machine | None:
    """The machine for the reversed order, None where one lookahead does not express it.

    `last`: the tokens that end every input (`$` where only its end does).
    """
    if not _is_expressible(natural, last):
        return None
    first, second = natural.start, natural.modes[-1]
    keeps = {x for r in natural.rules_of(first) if r.goto == first for x in _tokens_read(r)}
    still = Find(add_constant(_HERE, 1), 1, tuple(x for x in natural.vocab if x in keeps))
    rules = []
    for rule in natural.rules:
        if END_OF_INPUT in _tokens_read(rule):
            continue
        seen: tuple[Atom, ...] = ()
        if first != second:
            seen = (Cmp(still, "=" if rule.mode == first else "!=", Reg("n")),)
        rules.append(_reverse_rule(rule, seen, first))
    end = Rule(f"{first}-end", first, (In(_HERE, (END_OF_INPUT,)),), (), None)
    return minimise_machine(replace(natural, registers=(("p", Const(0)),), rules=(*rules, end)))


def _is_expressible(natural: Machine, last: Sequence[str]) -> bool:
    """Whether one pass with at most two modes, never back to the first, ends at the last token."""
    if not _reads_once(natural) or len(natural.modes) > 2:
        return False
    if any((r.goto is None) != (x in last) for r in natural.rules for x in _tokens_read(r)):
        return False
    first, second = natural.start, natural.modes[-1]
    return first == second or all(r.goto != first for r in natural.rules_of(second))


def _tokens_read(rule: Rule) -> tuple[str, ...]:
    atom = rule.guard[0]
    assert isinstance(atom, In)
    return atom.tokens


def _reads_once(machine: Machine) -> bool:
    """Whether every rule reads the token at p only, and moves on by one unless it halts."""
    one_pointer = not machine.frames and [n for n, _ in machine.registers] == ["p"]
    return one_pointer and all(map(_reads_here, machine.rules))


def _reads_here(rule: Rule) -> bool:
    match rule.guard:
        case (In(at, tokens),) if at == _HERE:
            if END_OF_INPUT in tokens and (rule.word or rule.goto is not None):
                return False
        case _:
            return False
    others = [u for u in rule.updates if not isinstance(u, Emit)]
    if rule.goto is not None and others != [_ONWARD]:
        return False
    return all(x.at == _HERE for x in rule.word if isinstance(x, Copy))


def _reverse_rule(rule: Rule, seen: tuple[Atom, ...], mode: str) -> Rule:
    word = rule.word[::-1]
    updates = (Emit(word), _ONWARD) if word else (_ONWARD,)
    return replace(rule, mode=mode, guard=(*rule.guard, *seen), updates=updates, goto=mode)
