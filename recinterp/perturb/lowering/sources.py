"""Runs that interventions take their values from: sources, and the references ablations name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias, cast

from torch import Tensor

from recinterp.perturb.fast.support import fast_backend_for
from recinterp.perturb.plan import Ablate, Reference, Unit
from recinterp.perturb.positions import PromptBatch, Tokens, build_batch
from recinterp.tokens import TRUNCATED

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

SourceCache: TypeAlias = "dict[tuple[object, ...], Tensor | PromptBatch]"
_kept: ContextVar[SourceCache | None] = ContextVar("sources", default=None)


@contextmanager
def source_cache(kept: SourceCache | None = None) -> Iterator[None]:
    """Within it, a source run's activations are read once, however many plans ask for them.

    kept: a dictionary to keep them in, for whoever comes back to it later.
    """
    token = _kept.set({} if kept is None else kept)
    try:
        yield
    finally:
        _kept.reset(token)


@contextmanager
def ensure_source_cache() -> Iterator[None]:
    """The same, where nobody further out keeps them already."""
    if _kept.get() is not None:
        yield
    else:
        with source_cache():
            yield


def source_rows(task: Task, inputs: Sequence[Tokens], prefixes: Sequence[Tokens]) -> PromptBatch:
    """The rows of a source run, laid out once where sources are kept."""
    kept = _kept.get()
    # By identity: a sweep names the same two tuples a thousand times, and hashing them is dear.
    key = ("rows", id(inputs), id(prefixes), id(task))
    known = None if kept is None else kept.get(key)
    if isinstance(known, PromptBatch) and known.inputs is inputs and known.prefixes is prefixes:
        return known
    rows = build_batch(task, inputs, prefixes)
    if kept is not None:
        kept[key] = rows
    return rows


def read_sources(adapter: Adapter, rows: PromptBatch, hooks: Sequence[str]) -> dict[str, Tensor]:
    """Activations of a source run: {hook: (row, pos, ...)}. Errors: UnknownHookError."""
    kept = _kept.get()
    if kept is None:
        return _activations(adapter, rows, hooks)
    keys = {hook: (id(adapter), rows.mark, hook) for hook in hooks}
    missing = [hook for hook, key in keys.items() if key not in kept]
    if missing:
        fresh = _activations(adapter, rows, missing)
        kept |= {keys[hook]: fresh[hook] for hook in missing}
    return {hook: cast(Tensor, kept[key]) for hook, key in keys.items()}


def _activations(adapter: Adapter, rows: PromptBatch, hooks: Sequence[str]) -> dict[str, Tensor]:
    road = fast_backend_for(adapter)
    if isinstance(road, str):
        return adapter.cache(rows.ids, hooks)
    held = road.read(rows, hooks)
    left = [hook for hook in hooks if hook not in held]
    return {**held, **adapter.cache(rows.ids, left)} if left else held


def reference_rows(adapter: Adapter, task: Task, step: Ablate) -> PromptBatch:
    """The rows of a reference set: its inputs, and its prefixes or the model's own outputs."""
    assert step.reference is not None
    named = step.reference
    reference = named if isinstance(named, Reference) else Reference("inputs", named)
    kept = _kept.get()
    key = ("reference", id(adapter), reference.inputs, reference.prefixes)
    known = None if kept is None else kept.get(key)
    if isinstance(known, PromptBatch):
        return known
    prefixes = reference.prefixes
    rows = build_batch(task, reference.inputs, prefixes or _outputs(adapter, reference.inputs))
    if kept is not None:
        kept[key] = rows
    return rows


def _outputs(adapter: Adapter, inputs: Sequence[Sequence[str]]) -> list[list[str]]:
    """The model's own outputs, without the mark of one that was cut, as far as it reads them."""
    outs = adapter.generate([list(x) for x in inputs])
    room = [adapter.n_ctx - len(adapter.task.prompt(list(x))) for x in inputs]
    return [
        [token for token in out if token != TRUNCATED][:most]
        for out, most in zip(outs, room, strict=True)
    ]


def everywhere(unit: Unit) -> Unit:
    """The unit, at positions that make sense in other rows than the plan's own."""
    classes = unit.at if isinstance(unit.at, tuple) else (unit.at,)
    if all(at.index is None for at in classes):
        return unit
    return Unit(unit.hook, unit.head)
