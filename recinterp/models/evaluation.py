"""Accuracy on every input up to a length: the only accuracy that can be trusted.

A sampled 99.9 % has hidden a model that was wrong on 8 % of all inputs, so a checkpoint records
this table and no sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from torch import nn

from recinterp.models.adapter import predict
from recinterp.stats import Rate
from recinterp.tasks import Task


@dataclass(frozen=True, kw_only=True)
class ExhaustiveAccuracy:
    """How many of all inputs up to a length a model gets right.

    Attributes:
        max_length: Longest input, in tokens.
        cells: Right outputs among all inputs, by (length in tokens, depth).
    """

    max_length: int
    cells: Mapping[tuple[int, int], Rate]

    @property
    def rate(self) -> Rate:
        """Right outputs among all inputs."""
        hits = sum(cell.hits for cell in self.cells.values())
        return Rate(hits, sum(cell.total for cell in self.cells.values()))

    def to_json(self) -> dict[str, object]:
        """Plain values for a checkpoint's `known`: how many right and wrong by length and depth."""
        table: dict[str, dict[str, list[int]]] = {}
        for (length, depth), cell in sorted(self.cells.items()):
            row = table.setdefault(str(length), {})
            row[str(depth)] = [cell.hits, cell.total - cell.hits]
        rate = self.rate
        return {
            "max_length": self.max_length,
            "inputs": rate.total,
            "right": rate.hits,
            "right_wrong_by_length_and_depth": table,
        }


def exhaustive_accuracy(
    model: nn.Module, task: Task, max_length: int, *, batch_size: int = 8192
) -> ExhaustiveAccuracy:
    """Run every input up to a length and compare with the ground truth.

    Args:
        model: A hooked or a Hugging Face model.
        task: The ground truth.
        max_length: Longest input, in tokens.
        batch_size: Inputs in memory at a time.

    Raises:
        IncompatibleModelError: Model and task do not fit, or an input is longer than the context.
    """
    counts: dict[tuple[int, int], list[int]] = {}
    inputs = task.inputs(max_length)
    while batch := list(islice(inputs, batch_size)):
        outputs, truths = predict(model, task, batch), task.apply_many(batch)
        for tokens, output, truth in zip(batch, outputs, truths, strict=True):
            cell = counts.setdefault((task.length(tokens), task.depth(tokens)), [0, 0])
            cell[0] += output == truth
            cell[1] += 1
    cells = {key: Rate(*cell) for key, cell in sorted(counts.items())}
    return ExhaustiveAccuracy(max_length=max_length, cells=cells)
