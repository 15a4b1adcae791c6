"""Many runs at once: the state of every run is a row of a few integer arrays.

Rows that stand in the same mode are advanced together, rule by rule; a row takes part until its
run halts, is lost or abstains. `MachineBatch.events` records, on request, which rule fired in which
state: synthesis reads its guards from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from recinterp.machine.continuation import continue_output
from recinterp.machine.execution.encoded_inputs import EncodedInputs, Flags, Ints
from recinterp.machine.execution.variants import Variant, Variants
from recinterp.machine.nodes import (
    Add,
    AtLeast,
    Atom,
    Cmp,
    Const,
    Copy,
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
)

if TYPE_CHECKING:
    from recinterp.machine.machine import Machine

__all__ = [
    "EncodedInputs",
    "Event",
    "EventView",
    "Flags",
    "Ints",
    "MachineBatch",
    "RunStatus",
    "Variant",
    "accepts_inputs",
    "advance_batch",
    "begin_batch",
    "run_batch",
    "run_variants",
    "step_budget",
]  # fmt: skip
_COMPARISONS: dict[str, Callable[[Ints, Ints | int], Flags]] = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


class RunStatus(IntEnum):
    """Where a run of a batch stands, as a number in its `status` array."""

    RUNNING = 0
    HALTED = 1
    ABSTAINS = 2
    LOST = 3
    LOST_WRONG = 4
    ENDLESS = 5


@dataclass
class EventView:
    """Rows of runs (or of recorded events) in the state that guards and expressions read."""

    words: EncodedInputs
    rows: Ints
    inputs: Ints
    registers: dict[str, Ints]
    t: Ints
    height: Ints
    top: Ints
    frame: Ints
    out: Int[np.ndarray, "rows time"]
    frames: tuple[str, ...]

    def evaluate(self, e: Expr) -> Ints:
        """The value of an expression, row by row."""
        match e:
            case Const(k):
                return np.full(len(self.rows), k)
            case Reg("n"):
                return self.words.n[self.inputs]
            case Reg("t" | "height" | "top" as name):
                return {"t": self.t, "height": self.height, "top": self.top}[name]
            case Reg(name):
                return self.registers[name]
            case Add(base, Const(number), sign, k):
                moved: Ints = self.evaluate(base) + (sign * number + k)
                return moved
            case Add(base, of, sign, k):
                total: Ints = self.evaluate(base) + sign * self.evaluate(of) + k
                return total
            case Find(start, step, skip):
                return self.words.find_positions(self.inputs, self.evaluate(start), step, skip)
            case Span(at, step):
                return self.words.subtree_ends(self.inputs, self.evaluate(at), step)

    def read_tokens(self, at: Expr) -> Ints:
        """Token numbers read at an expression."""
        return self.words.read_tokens(self.inputs, self.evaluate(at))

    def piece_tokens(self, x: str | Copy) -> Ints:
        """Token numbers of a piece of an emitted word."""
        if isinstance(x, str):
            return np.full(len(self.rows), self.words.number[x])
        return self.read_tokens(x.at)

    def holds(self, atom: Atom) -> Flags:
        """Whether an atom holds, row by row."""
        match atom:
            case In(at, tokens):
                return self.words.token_mask(tokens)[self.read_tokens(at)]
            case Out(back, tokens):
                when = self.t - back
                written = self.out[self.rows, np.maximum(when, 0)]
                last = np.where(when >= 0, written, self.words.end)
                return self.words.token_mask(tokens)[last]
            case TopIs(frame):
                on_top: Flags = self.frame == (-1 if frame is None else self.frames.index(frame))
                return on_top
            case Cmp(a, op, b):
                other = b.k if isinstance(b, Const) else self.evaluate(b)
                return _COMPARISONS[op](self.evaluate(a), other)
            case AtLeast(least, atoms):
                votes = np.array([self.holds(x) for x in atoms], dtype=np.int8)
                enough: Flags = votes.reshape(len(atoms), len(self.rows)).sum(axis=0) >= least
                return enough

    def all_hold(self, guard: Sequence[Atom]) -> Flags:
        """Whether a conjunction holds, row by row."""
        held = np.ones(len(self.rows), dtype=bool)
        for atom in guard:
            held &= self.holds(atom)
        return held

    def select(self, index: Ints | Flags) -> EventView:
        """A view of some of the rows."""
        return EventView(
            self.words,
            self.rows[index],
            self.inputs[index],
            {k: v[index] for k, v in self.registers.items()},
            self.t[index],
            self.height[index],
            self.top[index],
            self.frame[index],
            self.out,
            self.frames,
        )


@dataclass
class Event:
    """One rule firing in some rows: the rule's number and the view it fired in."""

    rule: int
    view: EventView


@dataclass
class MachineBatch:
    """Runs of one machine over many inputs, as arrays."""

    machine: Machine
    words: EncodedInputs
    source: Ints
    mode: Ints
    registers: dict[str, Ints]
    frame: Int[np.ndarray, "rows height"]
    pointer: Int[np.ndarray, "rows height"]
    height: Ints
    out: Int[np.ndarray, "rows time"]
    t: Ints
    status: Ints
    events: list[Event] = field(default_factory=list)

    def view_rows(self, rows: Ints) -> EventView:
        """The state of some rows."""
        height = self.height[rows]
        below = np.maximum(height - 1, 0)
        empty = height == 0
        return EventView(
            self.words,
            rows,
            self.source[rows],
            {k: v[rows] for k, v in self.registers.items()},
            self.t[rows],
            height,
            np.where(empty, -1, self.pointer[rows, below]),
            np.where(empty, -1, self.frame[rows, below]),
            self.out,
            self.machine.frames,
        )

    def outputs(self) -> list[list[str] | None]:
        """Each run's output, None where it abstains or is lost."""
        halted = (self.status == RunStatus.HALTED).tolist()
        return [w if h else None for w, h in zip(self.prefixes(), halted, strict=True)]

    def prefixes(self) -> list[list[str]]:
        """The tokens that each run has written."""
        names = self.words.vocab
        return [
            [names[x] for x in row[:t]]
            for row, t in zip(self.out.tolist(), self.t.tolist(), strict=True)
        ]

    def apply_rule(self, rule: Rule, view: EventView) -> None:
        """Fire a rule in the rows of a view, reading only the view."""
        word = [view.piece_tokens(x) for x in rule.word]
        bad = np.zeros(len(view.rows), dtype=bool)
        for column in word:
            bad |= column == self.words.end
        pops = sum(isinstance(u, Pop) for u in rule.updates)
        bad |= view.height < pops
        pushed = [(u.frame, view.evaluate(u.at)) for u in rule.updates if isinstance(u, Push)]
        sets = {u.reg: view.evaluate(u.to) for u in rule.updates if isinstance(u, Set)}
        self.status[view.rows[bad]] = RunStatus.ABSTAINS
        good = ~bad
        rows = view.rows[good]
        for k, column in enumerate(word):
            self._write_tokens(rows, view.t[good] + k, column[good])
        for name, value in sets.items():
            self.registers[name][rows] = value[good]
        self.height[rows] -= pops
        for label, at in pushed:
            self._push_frame(rows, self.machine.frames.index(label), at[good])
        self._enter_mode(rule, rows)

    def _enter_mode(self, rule: Rule, rows: Ints) -> None:
        if rule.lost is not None:
            self.status[rows] = RunStatus.LOST_WRONG if rule.lost.wrong else RunStatus.LOST
        elif rule.goto is None:
            self.status[rows] = RunStatus.HALTED
        else:
            self.mode[rows] = self.machine.modes.index(rule.goto)

    def _write_tokens(self, rows: Ints, at: Ints, tokens: Ints) -> None:
        if len(at) and int(at.max()) >= self.out.shape[1]:
            self.out = np.pad(self.out, ((0, 0), (0, self.out.shape[1])))
        self.out[rows, at] = tokens
        self.t[rows] = at + 1

    def _push_frame(self, rows: Ints, label: int, at: Ints) -> None:
        if len(rows) and int(self.height[rows].max()) >= self.frame.shape[1]:
            self.frame = np.pad(self.frame, ((0, 0), (0, self.frame.shape[1])))
            self.pointer = np.pad(self.pointer, ((0, 0), (0, self.pointer.shape[1])))
        self.frame[rows, self.height[rows]] = label
        self.pointer[rows, self.height[rows]] = at
        self.height[rows] += 1


def run_batch(
    machine: Machine,
    inputs: Sequence[Sequence[str]] | EncodedInputs,
    *,
    record: bool = False,
    max_steps: int | None = None,
) -> MachineBatch:
    """Run a machine over many inputs; `record` keeps the events.

    most: steps after which a run abstains, where the machine's own limit is too patient.
    """
    words = (
        inputs
        if isinstance(inputs, EncodedInputs)
        else EncodedInputs(inputs, machine.vocab, machine.arity)
    )
    batch = begin_batch(machine, words, np.arange(len(words.n)))

    def fire(index: int, rule: Rule, view: EventView) -> None:
        if record:
            batch.events.append(Event(index, view))
        batch.apply_rule(rule, view)

    advance_batch(batch, fire, max_steps)
    if machine.continuation:
        _look_positions_up(batch, max_steps or machine.limit)
    return batch


def _look_positions_up(batch: MachineBatch, max_tokens: int) -> None:
    """Replace outputs by those of a machine that looks its position up before each token.

    Only an output in which a token is repeated can differ from that of the own run.
    """
    names, vocab = {x: i for i, x in enumerate(batch.words.vocab)}, batch.words.vocab
    for row, t in enumerate(batch.t.tolist()):
        own = [vocab[i] for i in batch.out[row, :t].tolist()]
        if len(set(own)) == len(own):
            continue
        written, ended = continue_output(own, batch.machine.continuation, max_tokens)
        if len(written) > batch.out.shape[1]:
            batch.out = np.pad(batch.out, ((0, 0), (0, len(written) - batch.out.shape[1])))
        batch.out[row, : len(written)] = [names[x] for x in written]
        batch.t[row] = len(written)
        if not ended:
            batch.status[row] = RunStatus.ENDLESS


def step_budget(words: EncodedInputs, written: int, *, steps_per_token: int = 4) -> int:
    """Steps after which a run on some inputs is taken not to terminate.

    Args:
        words: The inputs.
        written: Tokens of the longest output that is expected.
        steps_per_token: Steps for each token that can be read or written; a run that takes more
            goes in circles.
    """
    return steps_per_token * (2 + int(words.n.max(initial=0)) + written)


def accepts_inputs(machine: Machine, inputs: Sequence[Sequence[str]]) -> Flags:
    """Which inputs are written in the machine's vocabulary and lie in its domain."""
    words = EncodedInputs(inputs, machine.vocab, machine.arity)
    return begin_batch(machine, words, np.arange(len(words.n))).status == RunStatus.RUNNING


def run_variants(
    machine: Machine,
    words: EncodedInputs,
    rows: Sequence[Ints],
    variants: Sequence[Variant],
    max_steps: int | None = None,
) -> MachineBatch:
    """Run every variant of a machine on inputs of its own, one variant's after the other's."""
    batch = begin_batch(machine, words, np.concatenate(rows))
    arranged = Variants(machine, variants, [len(r) for r in rows])
    return advance_batch(
        batch, lambda index, rule, view: arranged.fire_rule(batch, index, rule, view), max_steps
    )


def advance_batch(
    batch: MachineBatch, fire: Callable[[int, Rule, EventView], None], max_steps: int | None = None
) -> MachineBatch:
    """Run a batch to its end; `fire` fires a rule (its number, the rule) in the rows of a view."""
    machine = batch.machine
    number = {id(r): i for i, r in enumerate(machine.rules)}
    for _ in range(max_steps or machine.limit):
        running = np.flatnonzero(batch.status == RunStatus.RUNNING)
        if not len(running):
            return batch
        modes = batch.mode[running]
        for mode in np.unique(modes):
            _step_mode(batch, machine.modes[mode], number, running[modes == mode], fire)
    batch.status[batch.status == RunStatus.RUNNING] = RunStatus.ABSTAINS
    return batch


def begin_batch(machine: Machine, words: EncodedInputs, source: Ints) -> MachineBatch:
    """Every run before its first step; `source` is the input of each row."""
    size = len(source)

    def zeros(*width: int) -> Int[np.ndarray, "..."]:
        return np.zeros((size, *width), dtype=np.int64)

    start = np.full(size, machine.modes.index(machine.start))
    room = words.tokens.shape[1] + 4
    batch = MachineBatch(
        machine,
        words,
        source,
        start,
        {},
        zeros(4),
        zeros(4),
        zeros(),
        zeros(room),
        zeros(),
        zeros(),
    )
    everything = batch.view_rows(np.arange(size))
    batch.registers = {name: everything.evaluate(e).copy() for name, e in machine.registers}
    outside = ~(words.known[source] & batch.view_rows(np.arange(size)).all_hold(machine.domain))
    batch.status[outside] = RunStatus.ABSTAINS
    return batch


def _step_mode(
    batch: MachineBatch,
    mode: str,
    number: dict[int, int],
    rows: Ints,
    fire: Callable[[int, Rule, EventView], None],
) -> None:
    """Fire in each row the rule of a mode that can; rules share atoms, each is tested once."""
    view = batch.view_rows(rows)
    atoms, guards = batch.machine.guards_of(mode)
    known: list[Flags | None] = [None] * len(atoms)
    free = np.ones(len(rows), dtype=bool)
    for rule, guard in guards:
        fires = free
        for i in guard:
            held = known[i]
            if held is None:
                held = known[i] = view.holds(atoms[i])
            fires = fires & held
            if not fires.any():
                break
        if not fires.any():
            continue
        free = free & ~fires
        fire(number[id(rule)], rule, view if fires.all() else view.select(fires))
    batch.status[rows[free]] = RunStatus.ABSTAINS
