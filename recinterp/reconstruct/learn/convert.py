"""Learned states as a machine: one mode each, named by the shortest way there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as Set_
from dataclasses import replace
from itertools import groupby
from typing import TypeAlias

from recinterp.machine.flip import flip
from recinterp.machine.minimise import minimise
from recinterp.machine.syntax import (
    END,
    Atom,
    Cmp,
    Const,
    Copy,
    Emit,
    Find,
    In,
    Machine,
    Reg,
    Rule,
    Set,
    plus,
)
from recinterp.reconstruct.learn.align import INDEX, View, Word
from recinterp.reconstruct.learn.merge import State

HERE, NEXT = Reg("p"), plus(Reg("p"), 1)
ONWARD = Set("p", NEXT)
Written: TypeAlias = "tuple[str | Copy, ...]"
Act: TypeAlias = "tuple[Written, State | None, tuple[str | bool | None, ...]]"


def machine_of(states: Sequence[State], view: View, like: Machine, last: Set_[str]) -> Machine:
    """The machine of learned states, for inputs of `like`'s domain; it halts on a `last` token."""
    names = _names(states)
    rules: list[Rule] = []
    for state in states:
        for act, tokens in _acts(state, last).items():
            rules.append(_rule(names, state, act, tokens, view, len(rules)))
    written = {x for state in states for word, _ in state.edges.values() for x in word}
    vocab = (*like.vocab, *sorted(written - {*like.vocab}))
    arity = (*like.arity, *(0 for _ in vocab[len(like.vocab) :]))
    first = (("p", Const(0)),)
    made = _named(minimise(Machine(vocab, names[states[0]], first, (), tuple(rules), arity=arity)))
    return replace(flip(made) if view.backwards else made, domain=like.domain)


def _acts(state: State, last: Set_[str]) -> dict[Act, list[str]]:
    """What a state does, with the tokens it does it on; several tokens kept are one copy."""
    found: dict[Act, list[str]] = {}
    for act, tokens in _grouped(state, last, copied=True).items():
        if len(tokens) > 1:
            found[act] = tokens
    taken = {(t, act[2]) for act, tokens in found.items() for t in tokens}
    for act, tokens in _grouped(state, last, copied=False).items():
        left = [t for t in tokens if (t, act[2]) not in taken]
        if left:
            found[act] = left
    return found


def _grouped(state: State, last: Set_[str], *, copied: bool) -> dict[Act, list[str]]:
    found: dict[Act, list[str]] = {}
    for (token, *known), (word, to) in state.edges.items():
        kept: Written = tuple(Copy(HERE) if copied and x == token else x for x in word)
        goes_on = None if token in last else to
        found.setdefault((kept, goes_on, tuple(known)), []).append(token)
    return found


def _rule(
    names: dict[State, str], state: State, act: Act, tokens: list[str], view: View, number: int
) -> Rule:
    word, to, (after, filled, reached) = act
    guard: list[Atom] = [In(HERE, tuple(tokens))]
    if isinstance(after, str):
        guard.append(In(NEXT, (after,)))
    if filled is not None:
        guard.append(Cmp(Find(NEXT, 1, view.rest), "=" if filled else "!=", Reg("n")))
    if reached is not None and view.bound is not None:
        on = HERE if view.bound[0] == INDEX else Reg("n")
        guard.append(Cmp(on, ">=" if reached else "<", Const(view.bound[1])))
    updates = ((Emit(word),) if word else ()) + ((ONWARD,) if to is not None else ())
    return Rule(
        f"r{number}", names[state], tuple(guard), updates, None if to is None else names[to]
    )


def _names(states: Sequence[State]) -> dict[State, str]:
    """start, and `after-` the tokens of a shortest way there, runs as X1x3."""
    ways: dict[State, Word] = {states[0]: ()}
    work = [states[0]]
    while work:
        state = work.pop(0)
        for symbol, (_, to) in state.edges.items():
            if to not in ways:
                ways[to] = (*ways[state], symbol[0])
                work.append(to)
    named: dict[State, str] = {}
    for state in states:
        name = _way(ways.get(state, ())) or "start"
        while name in named.values():
            name += "'"
        named[state] = name
    return named


def _plain(token: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", token) or "x"


def _way(tokens: Word) -> str:
    runs = [(_plain(t), len([*run])) for t, run in groupby(tokens)]
    parts = [t if n == 1 else f"{t}x{n}" for t, n in runs]
    return f"after-{'-'.join(parts[-4:])}" if parts else ""


def _named(machine: Machine) -> Machine:
    """Rules named by their mode and what they read; a mode that only copies is called copy."""
    copying = next((mode for mode in machine.modes if _copies(machine, mode)), None)
    if copying is not None:
        machine = _renamed(machine, copying, "copy")
    rules: list[Rule] = []
    for rule in machine.rules:
        reads = next(a.tokens for a in rule.guard if isinstance(a, In))
        seen = ("end" if t == END else _plain(t) for t in reads[:3])
        name = _fresh("-".join([rule.mode, *seen]), {r.name for r in rules})
        rules.append(replace(rule, name=name))
    return machine.with_rules(rules)


def _copies(machine: Machine, mode: str) -> bool:
    rules = machine.rules_of(mode)
    words = [r.word for r in rules if r.word]
    stays = all(r.goto in (mode, None) for r in rules)
    return stays and bool(words) and all(w == (Copy(HERE),) for w in words)


def _renamed(machine: Machine, old: str, new: str) -> Machine:
    def name(mode: str | None) -> str | None:
        return new if mode == old else mode

    rules = tuple(replace(r, mode=name(r.mode) or r.mode, goto=name(r.goto)) for r in machine.rules)
    return replace(machine, start=name(machine.start) or machine.start, rules=rules)


def _fresh(base: str, taken: set[str]) -> str:
    name, i = base, 1
    while name in taken:
        i += 1
        name = f"{base}.{i}"
    return name
