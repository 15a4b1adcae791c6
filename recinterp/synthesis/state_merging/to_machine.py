"""MergedMachine states as a machine: one mode each, named by the shortest way there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as Set_
from dataclasses import replace
from itertools import groupby
from typing import TypeAlias

from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    Add,
    Atom,
    Cmp,
    Const,
    Copy,
    Emit,
    Expr,
    Find,
    In,
    Reg,
    Rule,
    Set,
    add_constant,
)
from recinterp.machine.transform.minimise import minimise_machine
from recinterp.machine.transform.reverse import reverse_machine
from recinterp.synthesis.state_merging.merge import MergeState
from recinterp.synthesis.state_merging.views import BoundOn, View, Word
from recinterp.tokens import END_OF_INPUT

HERE = Reg("p")
Written: TypeAlias = "tuple[str | Copy, ...]"
Facts: TypeAlias = "tuple[str | bool | None, ...]"  # of a symbol, besides the token read
StateAct: TypeAlias = "tuple[Written, MergeState | None, Facts]"


def count_rules(states: Sequence[MergeState], last: Set_[str]) -> int:
    """The number of rules that the machine of learned states has before it is minimised."""
    return sum(len(_acts(state, last)) for state in states)


def build_merged_machine(
    states: Sequence[MergeState], view: View, like: Machine, last: Set_[str]
) -> tuple[Machine, View]:
    """The machine of learned states, for inputs of `like`'s domain, and what of the view it uses.

    It halts on a `last` token. Errors: MachineError where a rule writes what is not read.
    """
    names = _names(states)
    rules: list[Rule] = []
    for state in states:
        for act, tokens in _acts(state, last).items():
            rules.append(_rule(names, state, act, tokens, view, len(rules)))
    written = {x for state in states for word, _ in state.edges.values() for x in word}
    vocab = (*like.vocab, *sorted(written - {*like.vocab}))
    arity = (*like.arity, *(0 for _ in vocab[len(like.vocab) :]))
    zero: Expr = add_constant(Reg("n"), -1) if _direct(view) else Const(0)
    first = (("p", zero),)
    made = _with_rule_names(
        minimise_machine(Machine(vocab, names[states[0]], first, (), tuple(rules), arity=arity))
    )
    whole = reverse_machine(made) if view.mirrored else made
    return replace(whole, domain=like.domain), _used(made, view)


def _used(machine: Machine, view: View) -> View:
    """The view without what no guard asks about."""
    guards = [r.guard for r in machine.rules]
    compared = [a for guard in guards for a in guard if isinstance(a, Cmp)]
    return replace(
        view,
        ahead=any(sum(isinstance(a, In) for a in guard) > 1 for guard in guards),
        rest=view.rest if any(isinstance(a.a, Find) for a in compared) else (),
        bound=view.bound if any(not isinstance(a.a, Find) for a in compared) else None,
    )


def _direct(view: View) -> bool:
    """Whether the machine itself goes from right to left; what is mirrored too is turned whole."""
    return view.backwards and not view.mirrored


def _acts(state: MergeState, last: Set_[str]) -> dict[StateAct, list[str]]:
    """What a state does, with the tokens it does it on; copies of several tokens are one act."""
    found: dict[StateAct, list[str]] = {}
    for act, tokens in _grouped(state, last, copied=True).items():
        if len(tokens) > 1:
            found[act] = tokens
    taken = {(t, act[2]) for act, tokens in found.items() for t in tokens}
    for act, tokens in _grouped(state, last, copied=False).items():
        left = [t for t in tokens if (t, act[2]) not in taken]
        if left:
            found[act] = left
    return found


def _grouped(state: MergeState, last: Set_[str], *, copied: bool) -> dict[StateAct, list[str]]:
    found: dict[StateAct, list[str]] = {}
    for token in dict.fromkeys(symbol[0] for symbol in state.edges):
        acts: dict[Facts, tuple[Word, MergeState]] = {}
        acts |= {symbol[1:]: act for symbol, act in state.edges.items() if symbol[0] == token}
        for known, (word, to) in _needed_facts(acts).items():
            written: Written = tuple(Copy(HERE) if copied and x == token else x for x in word)
            goes_on = None if token in last else to
            found.setdefault((written, goes_on, known), []).append(token)
    return found


def _needed_facts(
    acts: dict[Facts, tuple[Word, MergeState]],
) -> dict[Facts, tuple[Word, MergeState]]:
    """What happens by what is known, without the facts that make no difference."""
    for i in range(3):
        less: dict[Facts, tuple[Word, MergeState]] = {}
        for known, act in acts.items():
            fewer = (*known[:i], None, *known[i + 1 :])
            if less.setdefault(fewer, act) != act:
                break
        else:
            acts = less
    return acts


def _rule(
    names: dict[MergeState, str],
    state: MergeState,
    act: StateAct,
    tokens: list[str],
    view: View,
    number: int,
) -> Rule:
    word, to, (after, filled, reached) = act
    step = -1 if _direct(view) else 1
    further = add_constant(HERE, step)
    guard: list[Atom] = [In(HERE, tuple(tokens))]
    if isinstance(after, str):
        guard.append(In(further, (after,)))
    if filled is not None:
        beyond = Reg("n") if step > 0 else Const(-1)
        guard.append(Cmp(Find(further, step, view.rest), "=" if filled else "!=", beyond))
    if reached is not None and view.bound is not None:
        kind, k = view.bound
        index = HERE if step > 0 else Add(Reg("n"), HERE, -1, -1)
        guard.append(
            Cmp(index if kind == BoundOn.INDEX else Reg("n"), ">=" if reached else "<", Const(k))
        )
    updates = ((Emit(word),) if word else ()) + ((Set("p", further),) if to is not None else ())
    goto = None if to is None else names[to]
    return Rule(f"r{number}", names[state], tuple(guard), updates, goto)


def _names(states: Sequence[MergeState]) -> dict[MergeState, str]:
    """start, and `after-` the tokens of a shortest way there, runs as X1x3."""
    ways: dict[MergeState, Word] = {states[0]: ()}
    work = [states[0]]
    while work:
        state = work.pop(0)
        for symbol, (_, to) in state.edges.items():
            if to not in ways:
                ways[to] = (*ways[state], symbol[0])
                work.append(to)
    named: dict[MergeState, str] = {}
    for state in states:
        name = _name_of_way(ways.get(state, ())) or "start"
        while name in named.values():
            name += "'"
        named[state] = name
    return named


def _alphanumeric(token: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", token) or "x"


def _name_of_way(tokens: Word) -> str:
    runs = [(_alphanumeric(t), len([*run])) for t, run in groupby(tokens)]
    parts = [t if n == 1 else f"{t}x{n}" for t, n in runs]
    return f"after-{'-'.join(parts[-4:])}" if parts else ""


def _with_rule_names(machine: Machine) -> Machine:
    """Rules named by their mode and what they read; a mode that only copies is called copy."""
    copying = next((mode for mode in machine.modes if _copies(machine, mode)), None)
    if copying is not None:
        machine = _rename_mode(machine, copying, "copy")
    rules: list[Rule] = []
    for rule in machine.rules:
        reads = next(a.tokens for a in rule.guard if isinstance(a, In))
        seen = ("end" if t == END_OF_INPUT else _alphanumeric(t) for t in reads[:3])
        name = _fresh("-".join([rule.mode, *seen]), {r.name for r in rules})
        rules.append(replace(rule, name=name))
    return machine.with_rules(rules)


def _copies(machine: Machine, mode: str) -> bool:
    rules = machine.rules_of(mode)
    words = [r.word for r in rules if r.word]
    stays = all(r.goto in (mode, None) for r in rules)
    return stays and bool(words) and all(w == (Copy(HERE),) for w in words)


def _rename_mode(machine: Machine, old: str, new: str) -> Machine:
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
