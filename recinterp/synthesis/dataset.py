"""Inputs with a model's outputs, as arrays, and how a machine's runs compare with them."""

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
from recinterp.machine.execution.differences import (
    NO_DIFFERENCE,
    PAST_END,
    first_difference,
    written_tokens,
)
from recinterp.tokens import TRUNCATED

if TYPE_CHECKING:
    from recinterp.machine import Machine

NOT_IN_VOCABULARY = -2  # number of an output token that the machine cannot write


@dataclass(frozen=True)
class Dataset:
    """What the oracle was queried with and answered, and where the answer is known to be wrong.

    Attributes:
        inputs: token sequences, one a row.
        outputs: the model's output for each.
        vocab: tokens of the machines that are compared with the outputs.
        arity: constructor arity of each of those tokens; empty where it does not matter.
        failed: where the output differs from the ground truth; None where that is not known.
    """

    inputs: Sequence[Sequence[str]]
    outputs: Sequence[Sequence[str]]
    vocab: tuple[str, ...]
    arity: tuple[int, ...] = ()
    failed: Bool[np.ndarray, "rows"] | None = None

    @cached_property
    def encoded(self) -> EncodedInputs:
        """The inputs as arrays."""
        return EncodedInputs(self.inputs, self.vocab, self.arity)

    @property
    def failures(self) -> Bool[np.ndarray, "rows"]:
        """Where the output is known to differ from the ground truth."""
        return np.zeros(len(self.inputs), dtype=bool) if self.failed is None else self.failed

    @cached_property
    def output_ids(self) -> Int[np.ndarray, "rows time"]:
        """The outputs as token numbers, PAST_END after their end."""
        number = {x: i for i, x in enumerate(self.vocab)}
        width = 1 + max(map(len, self.outputs), default=0)
        table = np.full((len(self.outputs), width), PAST_END)
        for row, out in enumerate(self.outputs):
            table[row, : len(out)] = [number.get(x, NOT_IN_VOCABULARY) for x in out]
        return table

    @cached_property
    def output_lengths(self) -> Int[np.ndarray, "rows"]:
        """Tokens in each output."""
        return np.array([len(x) for x in self.outputs], dtype=np.int64)

    @cached_property
    def truncated(self) -> Bool[np.ndarray, "rows"]:
        """Which outputs were cut because they did not end."""
        return np.array([list(x[-1:]) == [TRUNCATED] for x in self.outputs], dtype=bool)

    def select(self, rows: Int[np.ndarray, "some"]) -> Dataset:
        """The dataset of some rows, in their order."""
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
        """A machine's runs on the inputs, beside the outputs; one that does not halt abstains.

        A machine may write tokens of its own: then the outputs are numbered as its tokens are.
        """
        same = (self.vocab, self.arity) == (machine.vocab, machine.arity)
        data = self if same else replace(self, vocab=machine.vocab, arity=machine.arity)
        batch = run_batch(machine, data.encoded, record=record, max_steps=self.max_steps)
        return Outcome(data, batch)

    def run_variants(
        self, machine: Machine, rows: Sequence[Int[np.ndarray, "some"]], variants: Sequence[Variant]
    ) -> Outcome:
        """Every variant's runs on inputs of its own, one variant's after the other's."""
        return Outcome(self, run_variants(machine, self.encoded, rows, variants, self.max_steps))

    @cached_property
    def max_steps(self) -> int:
        """A few times the steps that it takes to read every input and write every output."""
        return step_budget(self.encoded, int(self.output_lengths.max(initial=0)))


@dataclass(frozen=True)
class Outcome:
    """A machine's runs beside the model's outputs.

    Attributes:
        dataset: inputs and outputs, numbered in the machine's vocabulary.
        batch: the runs; `batch.source` names the input of each row.
    """

    dataset: Dataset
    batch: MachineBatch

    @cached_property
    def first_difference(self) -> Int[np.ndarray, "rows"]:
        """Index of the first output token that differs; NO_DIFFERENCE where the outputs are equal.

        A run that is lost differs only where what it did write differs; one that abstains
        differs at the latest where it stopped.
        """
        expected = self.dataset.output_ids[self.batch.source]
        lost = np.isin(self.batch.status, (RunStatus.LOST, RunStatus.LOST_WRONG))
        until = np.where(lost, self.batch.t, NO_DIFFERENCE)
        first = first_difference(written_tokens(self.batch), expected, until=until)
        stopped = self.batch.status == RunStatus.ABSTAINS
        return np.where(stopped, np.minimum(first, self.batch.t), first)

    @cached_property
    def progress(self) -> Float[np.ndarray, "rows"]:
        """Share of each output before its first difference, in [0, 1]."""
        length = np.maximum(self.dataset.output_lengths[self.batch.source], self.batch.t) + 1
        return np.minimum(self.first_difference, length) / length

    @cached_property
    def equal(self) -> Bool[np.ndarray, "rows"]:
        """Where the machine writes exactly the model's output; of one that was cut, up to there."""
        halted = self.batch.status == RunStatus.HALTED
        cut = self.dataset.truncated[self.batch.source] & (self.batch.status == RunStatus.ENDLESS)
        until = self.dataset.output_lengths[self.batch.source] - 1
        return (halted & (self.first_difference == NO_DIFFERENCE)) | (
            cut & (self.first_difference >= until)
        )

    @cached_property
    def abstained(self) -> Bool[np.ndarray, "rows"]:
        """Where the machine makes no full claim and what it does claim is right."""
        claims = np.isin(self.batch.status, (RunStatus.HALTED, RunStatus.ENDLESS))
        return ~claims & (
            (self.first_difference == NO_DIFFERENCE) | (self.batch.status == RunStatus.ABSTAINS)
        )

    @cached_property
    def failures_flagged(self) -> Bool[np.ndarray, "rows"]:
        """Where it abstains and flags a failure, and the output does differ from the truth."""
        return (self.batch.status == RunStatus.LOST_WRONG) & self.abstained & self._failed

    @cached_property
    def wrong(self) -> Bool[np.ndarray, "rows"]:
        """Where the machine claims something that the model does not do."""
        false_alarm = (self.batch.status == RunStatus.LOST_WRONG) & ~self._failed
        return (~self.equal & ~self.abstained) | false_alarm

    @property
    def _failed(self) -> Bool[np.ndarray, "rows"]:
        return self.dataset.failures[self.batch.source]


def is_reliably_wrong(failed: Bool[np.ndarray, "some"], min_rate: float) -> bool:
    """Whether so many outputs differ from the truth that another of their kind is expected to."""
    return bool(failed.size and failed.mean() >= min_rate)
