"""Every input of a length and below, run: the only accuracy that can be trusted.

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

AT_ONCE = 8192  # inputs held in memory


@dataclass(frozen=True)
class ExhaustiveAccuracy:
    """Counts of right outputs by (length, depth)."""

    max_length: int
    cells: Mapping[tuple[int, int], Rate]

    @property
    def rate(self) -> Rate:
        """Right outputs over all inputs."""
        hits = sum(cell.hits for cell in self.cells.values())
        return Rate(hits, sum(cell.total for cell in self.cells.values()))

    def at_depth(self, depth: int) -> Rate:
        """Right outputs over the inputs of a depth."""
        cells = [cell for (_, d), cell in self.cells.items() if d == depth]
        return Rate(sum(cell.hits for cell in cells), sum(cell.total for cell in cells))

    def to_json(self) -> dict[str, object]:
        """What a checkpoint keeps under `known`: per length and depth, how many right and wrong."""
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


def exhaustive_accuracy(model: nn.Module, task: Task, max_length: int) -> ExhaustiveAccuracy:
    """Run every input of at most `max_length` tokens against the ground truth."""
    counts: dict[tuple[int, int], list[int]] = {}
    inputs = task.inputs(max_length)
    while batch := list(islice(inputs, AT_ONCE)):
        outputs, truths = predict(model, task, batch), task.apply_many(batch)
        for tokens, output, truth in zip(batch, outputs, truths, strict=True):
            cell = counts.setdefault((task.length(tokens), task.depth(tokens)), [0, 0])
            cell[0] += output == truth
            cell[1] += 1
    return ExhaustiveAccuracy(
        max_length, {key: Rate(*cell) for key, cell in sorted(counts.items())}
    )
