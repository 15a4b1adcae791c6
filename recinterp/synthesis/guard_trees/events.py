"""What is observed at every step: a machine's control run on the inputs, beside the outputs.

The true machine says in which control state, with which registers and stack, each output token is
due; what is written there may be something else. To read it so, a machine writes one token at a
time, and where it would halt it stands in a last mode, for outputs that go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recinterp.machine.execution.batch import EventView
from recinterp.machine.execution.differences import PAST_END
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    Atom,
    Const,
    Copy,
    Emit,
    Expr,
    Out,
    Reg,
    Rule,
    Update,
    add_constant,
    subtract,
)
from recinterp.machine.transform.compose import substitute_in_update
from recinterp.synthesis.edits.guards import candidate_atoms, gather, tokens_read
from recinterp.synthesis.guard_trees.split import NodeData

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from recinterp.synthesis.config import GuardTreeConfig, SearchConfig
    from recinterp.synthesis.dataset import Dataset

# Parts of the names of added control states: no function of a program is called so.
TAIL, THEN = "the.end", ".then"


class TreeActKind(StrEnum):
    """What a leaf of a guard tree does."""

    OWN = "own"
    STOP = "stop"
    COPY = "copy"
    TOKEN = "token"
    ABSTAIN = "abstain"
    ABSTAIN_FAILING = "abstain-failing"


class TreeAct(NamedTuple):
    """What a leaf does, and the token it writes or the place it copies from."""

    kind: TreeActKind
    what: str | Copy = ""


OWN = TreeAct(TreeActKind.OWN)
ABSTAIN, ABSTAIN_FAILING = TreeAct(TreeActKind.ABSTAIN), TreeAct(TreeActKind.ABSTAIN_FAILING)


@dataclass(frozen=True)
class ControlStateData:
    """One control state: its events, and the atoms and acts to choose from.

    Attributes:
        mode: the control state.
        atoms: what a question may ask, one for each column of `data.holds`.
        acts: what a leaf may do, one for each column of `data.fits`; then the two ways to abstain.
        rules: the number of the rule that fired at each event.
        data: the events as arrays.
    """

    mode: str
    atoms: tuple[Atom, ...]
    acts: tuple[TreeAct, ...]
    rules: Int[np.ndarray, "events"]
    data: NodeData


def single_token_machine(machine: Machine) -> Machine:
    """An equal machine that writes at most one token a step, with a last mode that only halts."""
    rules = list[Rule]()
    for rule in machine.rules:
        rules += _single_token_rules(rule)
    if any(r.goto is None and r.lost is None for r in rules):
        rules = [replace(r, goto=TAIL) if r.goto is None and r.lost is None else r for r in rules]
        rules.append(Rule(TAIL, TAIL, (), (), None))
    return machine.with_rules(rules)


def _single_token_rules(rule: Rule) -> Iterator[Rule]:
    """A rule as a chain of rules of one token each; the last moves everything else.

    What it reads is read as it was before the first: the output is longer by then.
    """
    others = tuple(u for u in rule.updates if not isinstance(u, Emit))
    name, mode, guard = rule.name, rule.mode, rule.guard
    for i, piece in enumerate(rule.word[:-1]):
        after = f"{rule.name}{THEN}{i + 1}"
        emit = shift_output_index((Emit((piece,)),), -i)
        yield replace(rule, name=name, mode=mode, guard=guard, updates=emit, goto=after)
        name, mode, guard = after, after, ()
    last = (Emit(rule.word[-1:]),) if rule.word else ()
    updates = shift_output_index((*last, *others), -max(len(rule.word) - 1, 0))
    yield replace(rule, name=name, mode=mode, guard=guard, updates=updates)


def shift_output_index(updates: Sequence[Update], by: int) -> tuple[Update, ...]:
    """Equal updates for a state in which so many tokens more (or fewer) have been written."""
    if not by:
        return tuple(updates)
    return tuple(substitute_in_update(u, {"t": add_constant(Reg("t"), by)}) for u in updates)


def collect_control_states(
    machine: Machine,
    dataset: Dataset,
    weight: np.ndarray,
    config: SearchConfig,
    *,
    reads_outputs: bool = True,
) -> list[ControlStateData]:
    """The control states in which a single-token machine writes, with the events seen there.

    Args:
        machine: as `single_token_machine` makes it.
        dataset: inputs and outputs.
        weight: of each input's events.
        config: which atoms and places are offered.
        reads_outputs: whether atoms may ask what was written before.
    """
    batch = dataset.run(machine, record=True).batch
    found = list[ControlStateData]()
    for mode in machine.modes:
        events = [
            e
            for e in batch.events
            if machine.rules[e.rule].mode == mode and (machine.rules[e.rule].word or mode == TAIL)
        ]
        if events:
            end = dataset.encoded.end
            view = gather(events, np.where(dataset.output_ids < 0, end, dataset.output_ids))
            rules = np.repeat([e.rule for e in events], [len(e.view.rows) for e in events])
            due = _due_events(view, rules, dataset, mode, config.trees)
            collector = _Collector(machine, dataset, mode, *due, config)
            found.append(collector.collect(weight, reads_outputs))
    return found


def _due_events(
    view: EventView, rules: np.ndarray, dataset: Dataset, mode: str, config: GuardTreeConfig
) -> tuple[EventView, Int[np.ndarray, "events"]]:
    """The events up to the end of each output; past the machine's own end, one for each token."""
    length = dataset.output_lengths[view.inputs]
    if mode != TAIL:
        within = np.flatnonzero(view.t <= length)
        return view.select(within), rules[within]
    more = np.clip(length - view.t + 1, 0, config.max_tail)
    index = np.repeat(np.arange(len(length)), more)
    nth = np.arange(len(index)) - np.repeat(np.cumsum(more) - more, more)
    tail = view.select(index)
    return replace(tail, t=tail.t + nth), rules[index]


@dataclass(frozen=True)
class _Collector:
    """Events of one control state, from which its atoms and acts are collected."""

    machine: Machine
    dataset: Dataset
    mode: str
    view: EventView
    rules: Int[np.ndarray, "events"]
    config: SearchConfig

    def collect(self, weight: np.ndarray, reads_outputs: bool) -> ControlStateData:
        """The state's events as arrays."""
        fits = _distinct_acts(self._explaining_acts())
        atoms = {
            a: mask for a, mask in self._distinct_atoms() if reads_outputs or not isinstance(a, Out)
        }
        events = len(self.rules)
        return ControlStateData(
            self.mode,
            tuple(atoms),
            (*fits, ABSTAIN, ABSTAIN_FAILING),
            self.rules,
            NodeData(
                _columns(list(atoms.values()), events),
                _columns(list(fits.values()), events),
                self.view.inputs,
                weight[self.view.inputs],
            ),
        )

    def _explaining_acts(self) -> dict[TreeAct, np.ndarray]:
        """Every act, with the events at which it writes what the output has there."""
        ids = self.dataset.output_ids
        due = ids[self.view.inputs, np.minimum(self.view.t, ids.shape[1] - 1)]
        fits: dict[TreeAct, np.ndarray] = {OWN: self._own_tokens() == due}
        if self.mode != TAIL:
            fits[TreeAct(TreeActKind.STOP)] = due == PAST_END
        for number, token in enumerate(self.machine.vocab):
            fits[TreeAct(TreeActKind.TOKEN, token)] = due == number
        for at in self._places():
            fits[TreeAct(TreeActKind.COPY, Copy(at))] = self.view.read_tokens(at) == due
        return fits

    def _own_tokens(self) -> np.ndarray:
        """The token that the machine itself writes at each event."""
        if self.mode == TAIL:
            return np.full(len(self.rules), PAST_END)
        own = np.zeros(len(self.rules), dtype=np.int64)
        for number in np.unique(self.rules).tolist():
            mine = self.rules == number
            own[mine] = self.view.select(mine).piece_tokens(self.machine.rules[number].word[0])
        return own

    def _places(self) -> list[Expr]:
        return readable_places(self.machine, self.view, self.config.trees)

    def _distinct_atoms(self) -> Iterator[tuple[Atom, Bool[np.ndarray, "events"]]]:
        """What a guard may ask; of atoms that hold at the same events, or opposite ones, one."""
        seen = set[bytes]()
        for atom, mask in self._all_atoms():
            key = mask.tobytes()
            if mask.any() and not mask.all() and key not in seen:
                seen.update((key, (~mask).tobytes()))
                yield atom, mask

    def _all_atoms(self) -> Iterator[tuple[Atom, Bool[np.ndarray, "events"]]]:
        yield from candidate_atoms(self.machine, self.view, self.config.guards)
        for at in self._places():
            yield from tokens_read(at, self.view)


def readable_places(machine: Machine, view: EventView, config: GuardTreeConfig) -> list[Expr]:
    """Where a token may be read: around every pointer, the step, its mirror, and from both ends."""
    n, t = Reg("n"), Reg("t")
    pointers: list[Expr] = [Reg(name) for name, _ in machine.registers]
    if machine.frames:
        pointers.append(Reg("top"))
    mirror = subtract(n, t, -1)
    around = [add_constant(e, k) for e in (*pointers, t, mirror) for k in config.offsets]
    longest = min(int(view.words.n.max(initial=0)), config.end_places)
    ends = [e for k in range(longest) for e in (Const(k), add_constant(n, -1 - k))]
    found = dict[bytes, Expr]()
    for e in (*around, *ends):
        found.setdefault(view.evaluate(e).tobytes(), e)
    return list(found.values())


def _distinct_acts(fits: dict[TreeAct, np.ndarray]) -> dict[TreeAct, np.ndarray]:
    """Acts that explain something; of those that explain the same events only the first."""
    first = dict[bytes, TreeAct]()
    for act, mask in fits.items():
        if mask.any() or act == OWN:
            first.setdefault(mask.tobytes(), act)
    return {act: fits[act] for act in first.values()}


def _columns(masks: list[np.ndarray], events: int) -> Bool[np.ndarray, "events masks"]:
    return np.ascontiguousarray(np.array(masks, dtype=bool).reshape(len(masks), events).T)
