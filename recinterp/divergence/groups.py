"""Divergences of a learned machine from the ground truth, grouped by who wrote what.

Both machines run on the same inputs. At the first output index where they differ, one learned rule
writes (or ends), and one rule of the ground truth, with its ι-step, writes the correct token:
inputs that share the pair form a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int

from recinterp.machine.execution.batch import (
    EncodedInputs,
    EventView,
    MachineBatch,
    RunStatus,
    run_batch,
    step_budget,
)
from recinterp.machine.execution.differences import NO_DIFFERENCE, first_difference, written_tokens
from recinterp.machine.nodes import Copy, Emit

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.machine.nodes import Rule


@dataclass(frozen=True, kw_only=True)
class DivergenceGroup:
    """Inputs on which one learned rule diverges from one true step.

    Attributes:
        rule: Index of the learned rule that writes the first wrong token.
        step: Index of the ground truth's rule that writes the correct token.
        rows: Which inputs these are.
    """

    rule: int
    step: int
    rows: Bool[np.ndarray, "rows"]


@dataclass(frozen=True, kw_only=True)
class RunPair:
    """Both machines' runs on the same inputs.

    Attributes:
        learned: Runs of the learned machine.
        truth: Runs of the ground truth.
        first: First output index at which they differ, NO_DIFFERENCE where they do not.
    """

    learned: MachineBatch
    truth: MachineBatch
    first: Int[np.ndarray, "rows"]

    @property
    def diverges(self) -> Bool[np.ndarray, "rows"]:
        """Where the learned machine claims a wrong output, or that the output is wrong."""
        status = self.learned.status
        wrong: Bool[np.ndarray, "rows"] = (status == RunStatus.HALTED) & (
            self.first < NO_DIFFERENCE
        )
        return wrong | np.isin(status, (RunStatus.LOST_WRONG, RunStatus.ENDLESS))

    @cached_property
    def deviates(self) -> Bool[np.ndarray, "rows"]:
        """Where it diverges, or takes a step that the ground truth would not take.

        Such a step can be correct by coincidence: a stuck pointer sometimes reads an equal token.
        """
        deviates, mine, true = self.diverges.copy(), self.learned.machine, self.truth.machine
        if (mine.vocab, mine.registers, mine.frames) != (true.vocab, true.registers, true.frames):
            return deviates
        for event in self.learned.events:
            rule = mine.rules[event.rule]
            if rule.mode in true.modes and rule.lost is None:
                deviates[event.view.inputs] |= ~_as_true(rule, event.view, true)
        return deviates


def _as_true(rule: Rule, view: EventView, truth: Machine) -> Bool[np.ndarray, "events"]:
    """In which states some rule of the truth would have fired and done the same.

    A rule that leads to a mode unknown to the truth may go on there with what the other does at
    once (guard trees write token by token); so far it has done the same.
    """
    same = np.zeros(len(view.rows), dtype=bool)
    begun = rule.goto is not None and rule.goto not in truth.modes
    for other in truth.rules_of(rule.mode):
        if not begun and (_moves(rule) != _moves(other) or len(rule.word) != len(other.word)):
            continue
        if len(rule.word) > len(other.word):
            continue
        fires = view.all_hold(other.guard)
        for a, b in zip(rule.word, other.word, strict=False):
            fires &= _same_piece(a, b, view)
        same |= fires
    return same


def _same_piece(a: str | Copy, b: str | Copy, view: EventView) -> Bool[np.ndarray, "events"]:
    """Whether two pieces of words are one; copies are of one place, not only of equal tokens."""
    if isinstance(a, Copy) and isinstance(b, Copy):
        return view.evaluate(a.at) == view.evaluate(b.at)
    return view.piece_tokens(a) == view.piece_tokens(b)


def _moves(rule: Rule) -> tuple[object, ...]:
    return (rule.goto, *(u for u in rule.updates if not isinstance(u, Emit)))


def run_both(learned: Machine, truth: Machine, inputs: Sequence[Sequence[str]]) -> RunPair:
    """Run both, with events; a learned run ends with a budget of steps taken from the true one."""
    other = run_batch(truth, inputs, record=True)
    max_steps = step_budget(other.words, int(other.t.max(initial=0)))
    same = (truth.vocab, truth.arity) == (learned.vocab, learned.arity)
    words = other.words if same else EncodedInputs(inputs, learned.vocab, learned.arity)
    one = run_batch(learned, words, record=True, max_steps=max_steps)
    if not same:  # compare token numbers of one vocabulary
        table = np.array([words.number.get(x, -2) for x in truth.vocab])
        other.out = table[other.out]
    return RunPair(
        learned=one, truth=other, first=first_difference(written_tokens(one), written_tokens(other))
    )


def group_divergences(runs: RunPair) -> list[DivergenceGroup]:
    """The groups, largest first."""
    rows = np.flatnonzero(runs.diverges)
    learned, truth = _writers(runs.learned, runs.first), _writers(runs.truth, runs.first)
    pairs = np.stack([learned[rows], truth[rows]], axis=1)
    found = []
    for rule, step in np.unique(pairs, axis=0).tolist():
        mask = np.zeros(len(runs.first), dtype=bool)
        mask[rows[(pairs == (rule, step)).all(axis=1)]] = True
        found.append(DivergenceGroup(rule=rule, step=step, rows=mask))
    return sorted(found, key=lambda g: -int(g.rows.sum()))


def _writers(batch: MachineBatch, at: Int[np.ndarray, "rows"]) -> Int[np.ndarray, "rows"]:
    """The rule that wrote output index `at` of each row, or the last that fired before."""
    writer = np.full(len(at), -1)
    for event in batch.events:
        rows = event.view.rows
        mine = event.view.t <= at[rows]
        writer[rows[mine]] = event.rule
    return writer
