"""Very many plans over one batch of rows, streamed: bounded memory, progress, resume.

    swept = sweep(model, task, inputs, ([Ablate(head(l, h))] for l in range(4) for h in range(8)))
    swept.values                                    # (plan, row): how far each distribution moved

Plans may come from a generator and need never exist at once. Of each plan only the result of
`measure` is stored. With `save`, every finished block is written to disk; the same call resumes
from there after checking that the finished plans are the same. `stream` yields the blocks one by
one.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recinterp.errors import InterventionError
from recinterp.models import Adapter
from recinterp.models.model_lock import hold_model
from recinterp.perturb.fast.plan_hash import PlanHash
from recinterp.perturb.fast.support import FastBackend, fast_backend_for
from recinterp.perturb.liveness import assert_live
from recinterp.perturb.lowering.lower import lower
from recinterp.perturb.lowering.sources import ensure_source_cache
from recinterp.perturb.lowering.validate import check_plan_argument, check_unit
from recinterp.perturb.plan import ForcePrefix, Plan, Swap, edited_units
from recinterp.perturb.positions import PromptBatch, build_batch
from recinterp.perturb.runner import MAX_ROWS, next_logits, select_rows
from recinterp.tasks.arguments import describe

if TYPE_CHECKING:
    from torch import nn

    from recinterp.tasks import Task

Measure: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Progress: TypeAlias = Callable[[int], None]
MEMORY = 128 * 2**20  # bytes that the edits and logits of a block may take


def shift(
    logits: Float[Tensor, "plan row vocab"], clean: Float[Tensor, "row vocab"]
) -> Float[Tensor, "plan row"]:
    """Total variation distance to the clean next-token distribution, 0 to 1."""
    return (logits.softmax(-1) - clean.softmax(-1)).abs().sum(-1) / 2


def changed(
    logits: Float[Tensor, "plan row vocab"], clean: Float[Tensor, "row vocab"]
) -> Float[Tensor, "plan row"]:
    """1 where the most likely token differs from the clean one, else 0."""
    return (logits.argmax(-1) != clean.argmax(-1)).float()


def last_logits(
    logits: Float[Tensor, "plan row vocab"], clean: Float[Tensor, "row vocab"]
) -> Float[Tensor, "plan row vocab"]:
    """The logits themselves."""
    return logits


@dataclass(frozen=True, eq=False, kw_only=True)
class Swept:
    """The results of a sweep.

    Attributes:
        values: Results of `measure`, plan by plan; with `shift`, of shape (plan, row).
        clean: Logits of the next token without edits.
        backend: "fast", or "hooks: " and the reason of the first plan that needed them.
    """

    values: Float[Tensor, "plan ..."]
    clean: Float[Tensor, "row vocab"]
    backend: str


def sweep(
    model: nn.Module | Adapter,
    task: Task,
    inputs: Sequence[Sequence[str]],
    plans: Iterable[Plan],
    prefixes: Sequence[Sequence[str]] | None = None,
    *,
    measure: Measure = shift,
    progress: Progress | None = None,
    save: str | os.PathLike[str] | None = None,
    memory: int = MEMORY,
) -> Swept:
    """Run every plan on every row, many plans to a call, and collect what `measure` gives.

    Args:
        model: A hooked model, or an adapter around one.
        task: The task, which names tokens and template.
        inputs: Token sequences, one per row.
        plans: Plans in any iterable; to resume, it must give the same plans in the same order.
        prefixes: Output tokens already written, one sequence per row; None for none.
        measure: Function of the logits (plan, row, vocab) under some plans and the clean logits
            (row, vocab); its result is stored, its first axis is the plan.
        progress: Called with the number of plans done, after each block.
        save: Path of a file for finished blocks; a call with the same path resumes.
        memory: Bytes that the edits and logits of one block may take.

    Returns:
        The results in the order of the plans.

    Raises:
        InterventionError: If `save` holds another sweep, or other plans than the first of these; or
            if a plan cannot run, as in `run`.
    """
    check_plans(plans)
    adapter = model if isinstance(model, Adapter) else Adapter(model, task)
    rows = build_batch(task, inputs, prefixes)
    job = _Sweep(adapter, task, rows, measure, memory)
    left, store = iter(plans), None
    if save is not None:
        store = _Store(Path(save), job.name)
        left = store.rest(left)
    done = 0 if store is None else store.done
    found: list[Tensor] = []
    for _, values in job.blocks(left, done):
        done += len(values)
        if store is None:
            found.append(values)
        else:
            store.add(values)
        if progress is not None:
            progress(done)
    values = store.read() if store is not None else torch.cat(found) if found else torch.empty(0)
    return Swept(values=values, clean=job.clean, backend=job.backend)


def stream(
    model: nn.Module | Adapter,
    task: Task,
    inputs: Sequence[Sequence[str]],
    plans: Iterable[Plan],
    prefixes: Sequence[Sequence[str]] | None = None,
    *,
    measure: Measure = shift,
    memory: int = MEMORY,
) -> Iterator[tuple[int, Float[Tensor, "plan ..."]]]:
    """Run every plan on every row and yield the results block by block.

    Args:
        model: A hooked model, or an adapter around one.
        task: The task, which names tokens and template.
        inputs: Token sequences, one per row.
        plans: Plans in any iterable.
        prefixes: Output tokens already written, one sequence per row; None for none.
        measure: Function of the logits under some plans and the clean logits; see `sweep`.
        memory: Bytes that the edits and logits of one block may take.

    Yields:
        The index of a block's first plan, and the results of its plans.

    Raises:
        InterventionError: If a plan cannot run, as in `run`.
    """
    check_plans(plans)
    adapter = model if isinstance(model, Adapter) else Adapter(model, task)
    job = _Sweep(adapter, task, build_batch(task, inputs, prefixes), measure, memory)
    yield from job.blocks(iter(plans), 0)


def check_plans(plans: object) -> None:
    """Raise InterventionError if something else than an iterable of plans is given."""
    if isinstance(plans, str | bytes) or not isinstance(plans, Iterable):
        hint = "pass several plans: [[Ablate(head(1, 0))], [Ablate(head(1, 1))]]"
        raise InterventionError("run plans", f"they are {describe(plans)}", hint)


class _Sweep:
    """One sweep: the state that its blocks share."""

    def __init__(
        self, adapter: Adapter, task: Task, rows: PromptBatch, measure: Measure, memory: int
    ) -> None:
        self.adapter, self.task, self.rows = adapter, task, rows
        self.measure, self.backend = measure, "fast"
        self.clean = next_logits(adapter, task, rows)
        each = 4 * len(rows) * (rows.ids.shape[1] * adapter.d_head * 2 + self.clean.shape[1])
        max_plans = 1024  # more do not make a block faster
        self.size = max(1, min(max_plans, memory // each))
        self._known: dict[tuple[str, int | None], str] = {}
        self._warned = False

    @property
    def name(self) -> str:
        """Identifies the sweep by its rows, the model's logits and the measure, for resuming."""
        digest = hashlib.sha256(repr((self.rows.inputs, self.rows.prefixes)).encode())
        digest.update(self.clean.numpy().tobytes())
        return digest.hexdigest()[:16] + getattr(self.measure, "__qualname__", "")

    def blocks(self, plans: Iterator[Plan], start: int) -> Iterator[tuple[int, Tensor]]:
        """The values of the plans, block by block, each with the index of its first plan."""
        while block := list(islice(plans, self.size)):
            for plan in block:
                check_plan_argument(plan)
            with ensure_source_cache(), hold_model(self.adapter.model):
                values = self.run_halving(block)
            yield start, values
            start += len(block)

    def run_halving(self, block: list[Plan]) -> Tensor:
        """The values of a block, in halves if there is too little memory for all of it."""
        try:
            return self.measure(self.logits(block), self.clean)
        except (MemoryError, RuntimeError) as error:
            if len(block) == 1 or not _is_out_of_memory(error):
                raise
        self.size = max(1, len(block) // 2)
        if not self._warned:
            self._warned = True
            text = f"no memory for {len(block)} plans at once: continuing with {self.size}"
            warnings.warn(text, RuntimeWarning, stacklevel=5)
        parts = [block[i : i + self.size] for i in range(0, len(block), self.size)]
        return torch.cat([self.run_halving(part) for part in parts])

    def logits(self, block: list[Plan]) -> Float[Tensor, "plan row vocab"]:
        """Logits of the next token under every plan of a block."""
        chunks = [
            range(i, min(i + MAX_ROWS, len(self.rows))) for i in range(0, len(self.rows), MAX_ROWS)
        ]
        if len(chunks) == 1:
            return self.run_rows(self.rows, block)
        parts = [
            self.run_rows(
                select_rows(self.task, self.rows, c),
                [[s.select(c) for s in plan] for plan in block],
            )
            for c in chunks
        ]
        return torch.cat(parts, 1)

    def hooks(self, plan: Plan, backend: FastBackend | str) -> str:
        """Why a plan needs hooks, or ""; checks once that each hook point exists and is live."""
        why = backend if isinstance(backend, str) else ""
        for unit in edited_units(self.adapter, plan):
            key = (unit.hook, unit.head)
            if key not in self._known:
                check_unit(self.adapter, unit)
                assert_live(self.adapter, self.task, unit.hook)
                self._known[key] = (
                    "" if isinstance(backend, str) else backend.reason_unsupported(unit.hook)
                )
            why = why or self._known[key]
        return why

    def run_rows(self, rows: PromptBatch, block: Sequence[Plan]) -> Float[Tensor, "plan row vocab"]:
        """Logits of a block on rows that fit one call."""
        backend = fast_backend_for(self.adapter)
        out: list[Tensor | None] = [None] * len(block)
        together, edits = [], []
        for number, plan in enumerate(block):
            why = self.hooks(plan, backend)
            if why or any(isinstance(step, Swap | ForcePrefix) for step in plan):
                out[number] = next_logits(self.adapter, self.task, rows, plan)
                self.backend = f"hooks: {why}" if why and self.backend == "fast" else self.backend
            else:
                together.append(number)
                edits.append(lower(self.adapter, self.task, rows, plan))
        if isinstance(backend, FastBackend) and together:
            for number, logits in zip(together, backend.run(rows, edits).cpu(), strict=True):
                out[number] = logits
        return torch.stack([logits for logits in out if logits is not None])


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "memory" in text or "alloc" in text


class _Store:
    """Finished blocks in a file of float32, and a note beside it that counts them."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.note_path = path, path.with_name(path.name + ".json")
        self.done, self.shape, self.name, self.plans = 0, [], name, ""
        self.plan_hash = PlanHash()
        if not self.note_path.exists():
            path.write_bytes(b"")
            return
        note = json.loads(self.note_path.read_text())
        if note["sweep"] != name:
            problem = "it holds another sweep: other inputs, another model or another measure"
            raise InterventionError(f"resume {path}", problem, "choose another path")
        self.done, self.shape, self.plans = note["done"], note["shape"], note.get("plans")
        os.truncate(path, 4 * self.done * int(np.prod(self.shape)))  # a block cut off half-way

    def rest(self, plans: Iterator[Plan]) -> Iterator[Plan]:
        """The plans after the finished ones. Raises InterventionError if those were others."""
        for plan in islice(plans, self.done):
            self.plan_hash.add(plan)
        if self.plan_hash.hex != self.plans:
            problem = f"it holds the results of {self.done} other plans than the first of these"
            hint = "give the same plans in the same order, or choose another path"
            raise InterventionError(f"resume {self.path}", problem, hint)
        return self._watched(plans)

    def _watched(self, plans: Iterator[Plan]) -> Iterator[Plan]:
        for plan in plans:
            self.plan_hash.add(plan)
            yield plan

    def add(self, values: Tensor) -> None:
        """Append the values of a block; it counts as done only after that."""
        with self.path.open("ab") as file:
            file.write(values.detach().cpu().float().numpy().tobytes())
        self.done, self.shape = self.done + len(values), list(values.shape[1:])
        note = {"sweep": self.name, "done": self.done, "shape": self.shape}
        note |= {"plans": self.plan_hash.hex}
        half = self.note_path.with_name(self.note_path.name + ".part")
        half.write_text(json.dumps(note))
        half.replace(self.note_path)

    def read(self) -> Float[Tensor, "plan ..."]:
        """All values so far, as a map of the file."""
        if not self.done:
            return torch.empty(0)
        size = (self.done, *self.shape)
        held = np.memmap(self.path, dtype=np.float32, mode="c", shape=tuple(size))
        return torch.from_numpy(held)
