"""Fresh training batches, each a function of (recipe, step): nothing to store for a resume.

A row is `input SEP output EOS`. The loss counts the output and EOS, or the whole sequence:

    ids                     X1 01  SEP X0 X0 01
    targets                  .  .   X0 X0 01 EOS
    with the whole sequence 01 SEP  X0 X0 01 EOS
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from recinterp.errors import DomainError, IncompatibleModelError
from recinterp.machine import Machine
from recinterp.models.training.config import TrainConfig
from recinterp.tasks import Domain, Listed, Task

AnswerFunction: TypeAlias = Callable[[Sequence[str]], Sequence[str]]
Teacher: TypeAlias = Machine | AnswerFunction
CHUNK = 25  # steps whose inputs are drawn together: drawing has a fixed cost
IGNORE = -100  # the target that torch's cross entropy leaves out of the loss
SLACK = 4  # positions beyond the longest training sequence, so that longer inputs can be queried


class Batches:
    """The batches of one training run: `batches(step)` gives ids and targets.

    Args:
        task: The task whose encoding the rows have.
        config: The recipe.
        domain: The inputs to draw from.
        answer: What gives the output of an input; None: the task's own function.
    """

    def __init__(
        self, task: Task, config: TrainConfig, domain: Domain, answer: AnswerFunction | None = None
    ) -> None:
        self.task, self.config, self.domain = task, config, domain
        self.answer = answer or task.apply
        self._rows: dict[tuple[str, ...], tuple[list[int], int]] = {}
        self._chunk: tuple[int, list[list[str]]] = (-1, [])

    def __call__(self, step: int) -> tuple[Int[Tensor, "batch pos"], Int[Tensor, "batch pos"]]:
        """Ids and targets of a step; rows are padded to the longest."""
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
                prompt[-1] = self.task.ids.get("BOS", self.task.sep)
            self._rows[tokens] = (
                prompt + self.task.target(self.answer(list(tokens))),
                len(prompt),
            )
        return self._rows[tokens]

    def _pad_rows(
        self, rows: Sequence[tuple[list[int], int]]
    ) -> tuple[Int[Tensor, "batch pos"], Int[Tensor, "batch pos"]]:
        longest, pad = max(len(row) for row, _ in rows), self.task.pad
        ids, targets = list[int](), list[int]()  # flat: a tensor of nested lists takes ten times
        for row, start in rows:
            fill = longest - len(row)
            ids += row[:-1] + [pad] * fill
            targets += [IGNORE] * (start - 1) + row[start:] + [IGNORE] * fill
        shape = (len(rows), longest - 1)
        return _to_tensor(ids).view(shape), _to_tensor(targets).view(shape)


def _to_tensor(numbers: list[int]) -> Int[Tensor, "number"]:
    return torch.from_numpy(np.array(numbers, dtype=np.int64))


def build_sequence_targets(
    ids: Int[Tensor, "batch pos"], targets: Int[Tensor, "batch pos"]
) -> Int[Tensor, "batch pos"]:
    """Add the prompt's own tokens to the targets; beyond a row's end they mean nothing."""
    return torch.where(targets == IGNORE, ids.roll(-1, 1), targets)


def list_exclusions(
    domain: Domain, task: Task, *, max_enumerated: int = 70_000, max_listed: int = 4_000
) -> Domain:
    """Replace a user's own predicate by the list of the inputs that it excludes.

    A sampler of the user's own is replaced by the inputs that it draws.

    Args:
        domain: The domain; one that JSON can describe is returned as it is.
        task: The task whose inputs are listed.
        max_enumerated: Most inputs to try the predicate on.
        max_listed: Most inputs to list: a checkpoint has to record them.

    Raises:
        DomainError: The list would be longer.
    """
    try:
        domain.to_json()
    except DomainError:
        if domain.is_sampled:
            return domain.list_inputs(task)
        whole = replace(domain, exclude=None).inputs(task, limit=max_enumerated)
        listed = [tuple(tokens) for tokens in whole if not domain.contains(task, tokens)]
        if len(listed) > max_listed:
            raise
        return replace(domain, exclude=Listed(frozenset(listed)))
    return domain


def compute_n_ctx(task: Task, config: TrainConfig, answer: AnswerFunction | None = None) -> int:
    """The positions that a model needs: those of the longest of many sequences, and SLACK."""
    domain = Domain(max_length=config.max_length, min_length=config.min_length)
    inputs = domain.sample(task, 2000, seed=0)
    outputs = map(answer or task.apply, inputs)
    pairs = zip(inputs, outputs, strict=True)
    return max(len(task.prompt(x)) + len(task.target(y)) for x, y in pairs) - 1 + SLACK


def get_answer_function(task: Task, teacher: Teacher | None) -> AnswerFunction:
    """What a model learns: the task's own function, or a teacher in its place.

    Args:
        task: The task.
        teacher: A Machine, or a function from tokens to tokens; None: the task's own function.

    Returns:
        A function from tokens to tokens. It raises IncompatibleModelError where the teacher gives
        no output, or tokens that the task does not know.

    Raises:
        IncompatibleModelError: The teacher is neither a Machine nor a function.
    """
    if teacher is None:
        return task.apply
    if not callable(teacher) and not hasattr(teacher, "run"):
        hint = "pass a Machine or a function from tokens to tokens"
        raise IncompatibleModelError("train a model", f"the teacher is {teacher!r}", hint)
    known = set(task.constructors)

    def answer(tokens: Sequence[str]) -> Sequence[str]:
        output = teacher(tokens) if callable(teacher) else teacher.run(list(tokens))
        if output is None or not known.issuperset(output):
            problem = f"on the input {' '.join(tokens)} the teacher gives {output}"
            hint = f"give an output in {', '.join(sorted(known))}"
            raise IncompatibleModelError("train a model", problem, hint)
        return output

    return answer


def check_context(ids: Int[Tensor, "batch pos"], n_ctx: int) -> None:
    """Raise IncompatibleModelError where a batch is longer than the model's context."""
    if ids.shape[1] > n_ctx:
        problem = f"a training sequence takes {ids.shape[1]} positions and n_ctx is {n_ctx}"
        hint = f"use TrainConfig(n_ctx={ids.shape[1] + SLACK}) or more"
        raise IncompatibleModelError("train a model", problem, hint)
