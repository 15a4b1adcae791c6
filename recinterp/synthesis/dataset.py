"""Inputs with the outputs that were seen, as arrays, and how a machine's runs compare with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from recinterp.machine.execution.batch import (
    EncodedInputs,
    MachineBatch,
    RunStatus,
    Variant,
    run_batch,
    run_variants,
    step_budget,
)

if TYPE_CHECKING:
    from recinterp.machine import Machine

NEVER = 1 << 30  # index of the first difference where there is none
UNKNOWN = -2  # a token the machine cannot write
BEHIND = -1  # behind the end of an output
SURE = 0.95  # of the outputs seen somewhere: if so many were wrong, one there is called wrong


@dataclass(frozen=True)
class Dataset:
    """What was asked and answered, and where the answer is known not to be the true one.

    vocab, arity: those of the machines to compare with.
    """

    inputs: Sequence[Sequence[str]]
    outputs: Sequence[Sequence[str]]
    vocab: tuple[str, ...]
    arity: tuple[int, ...] = ()
    failed: Bool[np.ndarray, "rows"] | None = None

    @cached_property
    def words(self) -> EncodedInputs:
        """The inputs as arrays."""
        return EncodedInputs(self.inputs, self.vocab, self.arity)

    @property
    def failures(self) -> Bool[np.ndarray, "rows"]:
        """Where the answer is known not to be the true one."""
        return np.zeros(len(self.inputs), dtype=bool) if self.failed is None else self.failed

    @cached_property
    def y(self) -> Int[np.ndarray, "rows time"]:
        """The outputs as token numbers, BEHIND after their end."""
        number = {x: i for i, x in enumerate(self.vocab)}
        table = np.full((len(self.outputs), 1 + max(map(len, self.outputs), default=0)), BEHIND)
        for row, out in enumerate(self.outputs):
            table[row, : len(out)] = [number.get(x, UNKNOWN) for x in out]
        return table

    @cached_property
    def size(self) -> Int[np.ndarray, "rows"]:
        """Lengths of the outputs."""
        return np.array([len(x) for x in self.outputs], dtype=np.int64)

    def take(self, rows: Int[np.ndarray, "some"]) -> Dataset:
        """Some of them."""
        return replace(
            self,
            inputs=[self.inputs[i] for i in rows],
            outputs=[self.outputs[i] for i in rows],
            failed=self.failures[rows],
        )

    def reversed(self) -> Dataset:
        """Inputs and outputs read from their right ends."""
        return replace(
            self, inputs=[x[::-1] for x in self.inputs], outputs=[y[::-1] for y in self.outputs]
        )

    def run(self, machine: Machine, *, record: bool = False) -> Outcome:
        """A machine's runs on the inputs, beside the outputs; one that circles abstains.

        A machine may write tokens of its own: then the outputs are numbered as its tokens are.
        """
        same = (self.vocab, self.arity) == (machine.vocab, machine.arity)
        dataset = self if same else replace(self, vocab=machine.vocab, arity=machine.arity)
        return Outcome(
            dataset, run_batch(machine, dataset.words, record=record, max_steps=self.most)
        )

    def run_variants(
        self, machine: Machine, rows: Sequence[Int[np.ndarray, "some"]], variants: Sequence[Variant]
    ) -> Outcome:
        """Every variant's runs on inputs of its own, one variant's after the other's."""
        return Outcome(self, run_variants(machine, self.words, rows, variants, self.most))

    @cached_property
    def most(self) -> int:
        """A few times the steps that reading and writing all take."""
        return step_budget(self.words, int(self.size.max(initial=0)))


@dataclass(frozen=True)
class Outcome:
    """A machine's runs beside what was seen."""

    dataset: Dataset
    batch: MachineBatch

    @cached_property
    def first_difference(self) -> Int[np.ndarray, "rows"]:
        """Index of the first output token that differs; NEVER where the outputs are equal.

        A run that is lost differs only where what it did write differs; one that abstains
        differs at the latest where it stopped.
        """
        y = self.dataset.y[self.batch.source]
        width = max(self.batch.out.shape[1], y.shape[1]) + 1
        mine = _padded(self.batch.out, width, BEHIND)
        mine[np.arange(width)[None, :] >= self.batch.t[:, None]] = BEHIND
        differs = mine != _padded(y, width, BEHIND)
        lost = np.isin(self.batch.status, (RunStatus.LOST, RunStatus.LOST_WRONG))
        differs &= ~(lost[:, None] & (np.arange(width)[None, :] >= self.batch.t[:, None]))
        first = np.where(differs.any(axis=1), differs.argmax(axis=1), NEVER)
        stopped = self.batch.status == RunStatus.ABSTAINS
        return np.where(stopped, np.minimum(first, self.batch.t), first)

    @cached_property
    def progress(self) -> Float[np.ndarray, "rows"]:
        """Share of each output before its first difference, in [0, 1]."""
        length = np.maximum(self.dataset.size[self.batch.source], self.batch.t) + 1
        return np.minimum(self.first_difference, length) / length

    @cached_property
    def equal(self) -> Bool[np.ndarray, "rows"]:
        """Where the machine halts with exactly the output seen."""
        return (self.batch.status == RunStatus.HALTED) & (self.first_difference == NEVER)

    @cached_property
    def abstained(self) -> Bool[np.ndarray, "rows"]:
        """Where the machine makes no full claim and what it does claim is right."""
        return (self.batch.status != RunStatus.HALTED) & (
            (self.first_difference == NEVER) | (self.batch.status == RunStatus.ABSTAINS)
        )

    @cached_property
    def failures_flagged(self) -> Bool[np.ndarray, "rows"]:
        """Where it gives up saying that the output is not the true one, and it is not."""
        said = self.batch.status == RunStatus.LOST_WRONG
        return said & self.abstained & self._failed

    @cached_property
    def wrong(self) -> Bool[np.ndarray, "rows"]:
        """Where the machine claims something that was not seen."""
        false_alarm = (self.batch.status == RunStatus.LOST_WRONG) & ~self._failed
        return (~self.equal & ~self.abstained) | false_alarm

    @property
    def _failed(self) -> Bool[np.ndarray, "rows"]:
        failed = self.dataset.failed
        return (
            np.zeros(len(self.batch.t), dtype=bool) if failed is None else failed[self.batch.source]
        )


def is_reliably_wrong(failed: Bool[np.ndarray, "some"]) -> bool:
    """Whether so many outputs were not the true ones that another of their kind will not be."""
    return bool(failed.size and failed.mean() >= SURE)


def _padded(
    table: Int[np.ndarray, "rows time"], width: int, fill: int
) -> Int[np.ndarray, "rows width"]:
    return np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=fill)
