"""What is seen at every step: a machine's control run on the inputs, the outputs beside it.

The true machine says in which control state, with which registers and stack, each output token is
due; what is written there may be something else. To read it so, a machine writes one token at a
time, and where it would halt it stands in a last mode, for outputs that go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recinterp.machine.execution.batch import EventView
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    Atom,
    Const,
    Copy,
    Emit,
    Expr,
    In,
    Out,
    Reg,
    Rule,
    Update,
    add_constant,
    subtract,
)
from recinterp.machine.transform.compose import substitute_in_update
from recinterp.synthesis.dataset import BEHIND
from recinterp.synthesis.edits.guards import candidate_atoms, gather
from recinterp.synthesis.guard_trees.split import NodeData

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from recinterp.synthesis.dataset import Dataset

TAIL, THEN = "the.end", ".then"  # in names of added modes: no function of a program is called so
OWN, STOP, COPY, TOKEN, LOST = "own", "stop", "copy", "token", "lost"
Act: TypeAlias = "tuple[str, str | Copy]"  # what kind, and which token or place
AROUND = (0, 1, -1, 2, -2)
PLACES = 16  # places counted from either end of the input
LONGER = 24  # tokens behind the machine's own output that are looked at


@dataclass(frozen=True)
class ControlStateData:
    """One control state: its events, the atoms and acts to choose from, to give up last of all."""

    mode: str
    atoms: tuple[Atom, ...]
    acts: tuple[Act, ...]
    rules: Int[np.ndarray, "events"]
    scene: NodeData


def single_token_machine(machine: Machine) -> Machine:
    """The same machine, writing at most one token a step, with a last mode that only halts."""
    rules = list[Rule]()
    for rule in machine.rules:
        rules += _apart(rule)
    if any(r.goto is None and r.lost is None for r in rules):
        rules = [replace(r, goto=TAIL) if r.goto is None and r.lost is None else r for r in rules]
        rules.append(Rule(TAIL, TAIL, (), (), None))
    return machine.with_rules(rules)


def _apart(rule: Rule) -> Iterator[Rule]:
    """A rule as a chain of rules of one token each; the last moves everything else.

    What it reads is read as it was before the first: the output is longer by then.
    """
    others = tuple(u for u in rule.updates if not isinstance(u, Emit))
    name, mode, guard = rule.name, rule.mode, rule.guard
    for i, piece in enumerate(rule.word[:-1]):
        after = f"{rule.name}{THEN}{i + 1}"
        emit = shifted((Emit((piece,)),), -i)
        yield replace(rule, name=name, mode=mode, guard=guard, updates=emit, goto=after)
        name, mode, guard = after, after, ()
    last = (Emit(rule.word[-1:]),) if rule.word else ()
    updates = shifted((*last, *others), -max(len(rule.word) - 1, 0))
    yield replace(rule, name=name, mode=mode, guard=guard, updates=updates)


def shifted(updates: Sequence[Update], by: int) -> tuple[Update, ...]:
    """The same updates where so many tokens more (or fewer) have been written."""
    if not by:
        return tuple(updates)
    return tuple(substitute_in_update(u, {"t": add_constant(Reg("t"), by)}) for u in updates)


def stages(
    machine: Machine, dataset: Dataset, weight: np.ndarray, looks_back: bool = True
) -> list[ControlStateData]:
    """The control states in which such a machine writes, with all that is seen there."""
    batch = dataset.run(machine, record=True).batch
    found = list[ControlStateData]()
    for mode in machine.modes:
        events = [
            e for e in batch.events
            if machine.rules[e.rule].mode == mode and (machine.rules[e.rule].word or mode == TAIL)
        ]  # fmt: skip
        if events:
            view = gather(events, np.where(dataset.y < 0, dataset.words.end, dataset.y))
            rules = np.repeat([e.rule for e in events], [len(e.view.rows) for e in events])
            due = _due(view, rules, dataset, mode)
            found.append(_stage(machine, dataset, mode, *due, weight, looks_back))
    return found


def _due(
    view: EventView, rules: np.ndarray, dataset: Dataset, mode: str
) -> tuple[EventView, Int[np.ndarray, "events"]]:
    """The events up to the end of what was written; behind the machine's own end, one a token."""
    size = dataset.size[view.inputs]
    if mode != TAIL:
        kept = np.flatnonzero(view.t <= size)
        return view.select(kept), rules[kept]
    more = np.clip(size - view.t + 1, 0, LONGER)
    index = np.repeat(np.arange(len(size)), more)
    nth = np.arange(len(index)) - np.repeat(np.cumsum(more) - more, more)
    grown = view.select(index)
    return replace(grown, t=grown.t + nth), rules[index]


def _stage(
    machine: Machine,
    dataset: Dataset,
    mode: str,
    view: EventView,
    rules: np.ndarray,
    weight: np.ndarray,
    looks_back: bool,
) -> ControlStateData:
    y = dataset.y[view.inputs, np.minimum(view.t, dataset.y.shape[1] - 1)]
    fits: dict[Act, np.ndarray] = {(OWN, ""): _own(machine, view, rules, mode) == y}
    if mode != TAIL:
        fits[STOP, ""] = y == BEHIND
    for number, token in enumerate(machine.vocab):
        fits[TOKEN, token] = y == number
    for at in places(machine, view):
        fits[COPY, Copy(at)] = view.read_tokens(at) == y
    table = _distinct(fits)
    asked = _atoms(machine, view)
    atoms = {a: mask for a, mask in asked if looks_back or not isinstance(a, Out)}
    return ControlStateData(
        mode,
        tuple(atoms),
        (*table, (LOST, ""), (LOST, "wrong")),
        rules,
        NodeData(
            _columns(list(atoms.values()), len(y)),
            _columns(list(table.values()), len(y)),
            view.inputs,
            weight[view.inputs],
        ),
    )


def _own(machine: Machine, view: EventView, rules: np.ndarray, mode: str) -> np.ndarray:
    """The token that the machine itself writes at each event."""
    if mode == TAIL:
        return np.full(len(rules), BEHIND)
    own = np.zeros(len(rules), dtype=np.int64)
    for number in np.unique(rules).tolist():
        mine = rules == number
        own[mine] = view.select(mine).piece_tokens(machine.rules[number].word[0])
    return own


def places(machine: Machine, view: EventView) -> list[Expr]:
    """Where a token may be read: around every pointer, the step, its mirror, and from both ends."""
    n, t = Reg("n"), Reg("t")
    pointers: list[Expr] = [Reg(name) for name, _ in machine.registers]
    if machine.frames:
        pointers.append(Reg("top"))
    last = subtract(n, t, -1)
    around = [add_constant(e, k) for e in (*pointers, t, last) for k in AROUND]
    longest = min(int(view.words.n.max(initial=0)), PLACES)
    ends = [e for k in range(longest) for e in (Const(k), add_constant(n, -1 - k))]
    found = dict[bytes, Expr]()
    for e in (*around, *ends):
        found.setdefault(view.evaluate(e).tobytes(), e)
    return list(found.values())


def _atoms(machine: Machine, view: EventView) -> Iterator[tuple[Atom, Bool[np.ndarray, "events"]]]:
    """Everything a guard may ask, those that hold at the same events once."""
    seen = set[bytes]()
    for atom, mask in _all_atoms(machine, view):
        key = mask.tobytes()
        if mask.any() and not mask.all() and key not in seen:
            seen.update((key, (~mask).tobytes()))
            yield atom, mask


def _all_atoms(
    machine: Machine, view: EventView
) -> Iterator[tuple[Atom, Bool[np.ndarray, "events"]]]:
    yield from candidate_atoms(machine, view)
    for at in places(machine, view):
        read = view.read_tokens(at)
        for number in np.unique(read).tolist():
            yield In(at, (view.words.vocab[number],)), read == number


def _distinct(fits: dict[Act, np.ndarray]) -> dict[Act, np.ndarray]:
    """Acts that explain something, of those that explain the same only the first."""
    first = dict[bytes, Act]()
    for act, mask in fits.items():
        if mask.any() or act[0] == OWN:
            first.setdefault(mask.tobytes(), act)
    return {act: fits[act] for act in first.values()}


def _columns(masks: list[np.ndarray], events: int) -> Bool[np.ndarray, "events masks"]:
    return np.ascontiguousarray(np.array(masks, dtype=bool).reshape(len(masks), events).T)
