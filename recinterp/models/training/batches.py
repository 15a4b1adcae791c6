"""Fresh training batches, each a function of (recipe, step): nothing to store for a resume.

One row is `input SEP output EOS`; only the output and EOS are asked of the model, or all of it:

    ids          X1 01 SEP X0 X0 01
    targets       .  .  X0 X0 01 EOS
    build_sequence_targets 01 SEP X0 X0 01 EOS
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from recinterp.errors import DomainError, IncompatibleModelError
from recinterp.machine import Machine
from recinterp.models.training.config import TrainConfig
from recinterp.tasks import Domain, Listed, Task

Tokens: TypeAlias = Sequence[str]
AnswerFunction: TypeAlias = Callable[[Tokens], Tokens]
Teacher: TypeAlias = Machine | AnswerFunction
CHUNK = 25  # steps whose inputs are drawn together: drawing has a fixed cost
IGNORE = -100  # cross entropy's own mark for positions that are not asked
ENUMERATED, LISTED = 70_000, 4_000  # inputs looked at, and written down, to describe a predicate
SLACK = 4  # positions beyond the longest training sequence, so that longer inputs can be asked


class Batches:
    """Batches of one training run, by step."""

    def __init__(
        self, task: Task, config: TrainConfig, domain: Domain, answer: AnswerFunction | None = None
    ) -> None:
        self.task, self.config, self.domain = task, config, domain
        self.answer = answer or task.apply
        self._rows: dict[tuple[str, ...], tuple[list[int], int]] = {}
        self._chunk: tuple[int, list[list[str]]] = (-1, [])

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Ids and targets of a step, each (batch, pos); rows are padded to the longest."""
        size, (chunk, place) = self.config.batch_size, divmod(step, CHUNK)
        if self._chunk[0] != chunk:
            self._chunk = chunk, self._draw(chunk)
        inputs = self._chunk[1][place * size : (place + 1) * size]
        return self._pad_rows([self._encode_row(tuple(tokens)) for tokens in inputs])

    def _draw(self, chunk: int) -> list[list[str]]:
        return self.domain.sample(
            self.task,
            CHUNK * self.config.batch_size,
            seed=self.config.seed * 1_000_003 + chunk,
            distribution=self.config.distribution,
        )

    def _encode_row(self, tokens: tuple[str, ...]) -> tuple[list[int], int]:
        if tokens not in self._rows:
            prompt = self.task.prompt(list(tokens))
            if self.config.architecture == "encoder-decoder":
                prompt[-1] = self.task.ids["BOS"]
            self._rows[tokens] = (
                prompt + self.task.target(self.answer(list(tokens))),
                len(prompt),
            )
        return self._rows[tokens]

    def _pad_rows(self, rows: Sequence[tuple[list[int], int]]) -> tuple[Tensor, Tensor]:
        longest, pad = max(len(row) for row, _ in rows), self.task.pad
        ids, targets = list[int](), list[int]()  # flat: a tensor of nested lists takes ten times
        for row, start in rows:
            fill = longest - len(row)
            ids += row[:-1] + [pad] * fill
            targets += [IGNORE] * (start - 1) + row[start:] + [IGNORE] * fill
        shape = (len(rows), longest - 1)
        return _to_tensor(ids).view(shape), _to_tensor(targets).view(shape)


def _to_tensor(numbers: list[int]) -> Tensor:
    return torch.from_numpy(np.array(numbers, dtype=np.int64))


def build_sequence_targets(ids: Tensor, targets: Tensor) -> Tensor:
    """Targets with the prompt's own tokens asked too; beyond a row's end they mean nothing."""
    return torch.where(targets == IGNORE, ids.roll(-1, 1), targets)


def list_exclusions(domain: Domain, task: Task) -> Domain:
    """The same inputs, with a predicate of the user's own turned into the list of what it excludes.

    Raises DomainError where that list would be long: a checkpoint has to record its domain.
    """
    try:
        domain.to_json()
    except DomainError:
        whole = Domain(domain.max_length, domain.max_depth).inputs(task, limit=ENUMERATED)
        listed = [tuple(tokens) for tokens in whole if not domain.contains(task, tokens)]
        if len(listed) > LISTED:
            raise
        return Domain(domain.max_length, domain.max_depth, Listed(frozenset(listed)))
    return domain


def compute_n_ctx(task: Task, config: TrainConfig, answer: AnswerFunction | None = None) -> int:
    """Positions the model needs: the longest of many sequences, and a little beyond."""
    inputs = Domain(max_length=config.max_length).sample(task, 2000, seed=0)
    outputs = map(answer or task.apply, inputs)
    pairs = zip(inputs, outputs, strict=True)
    return max(len(task.prompt(x)) + len(task.target(y)) for x, y in pairs) - 1 + SLACK


def get_answer_function(task: Task, teacher: Teacher | None) -> AnswerFunction:
    """What is to be learned: the task's own function, or what a teacher says in its place.

    An answer raises IncompatibleModelError where a teacher has none, or one in other tokens.
    """
    if teacher is None:
        return task.apply
    if not callable(teacher) and not hasattr(teacher, "run"):
        wrong = f"the teacher is {teacher!r}"
        raise IncompatibleModelError(
            "train", wrong, "a Machine or a function from tokens to tokens"
        )
    known = set(task.constructors)

    def answer(tokens: Tokens) -> Tokens:
        said = teacher(tokens) if callable(teacher) else teacher.run(list(tokens))
        if said is None or not known.issuperset(said):
            wrong = f"on {' '.join(tokens)} the teacher says {said}"
            raise IncompatibleModelError("train", wrong, f"an output in {', '.join(sorted(known))}")
        return said

    return answer


def check_context(ids: Tensor, n_ctx: int) -> None:
    """Raise IncompatibleModelError where a batch is longer than the model's context."""
    if ids.shape[1] > n_ctx:
        wrong = f"a training sequence takes {ids.shape[1]} positions and n_ctx is {n_ctx}"
        raise IncompatibleModelError(
            "train", wrong, f"TrainConfig(n_ctx={ids.shape[1] + SLACK}) or more"
        )
