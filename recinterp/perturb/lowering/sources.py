"""Runs that interventions take their values from: sources, and the references ablations name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias, cast

from jaxtyping import Float
from torch import Tensor

from recinterp.perturb.fast.support import fast_backend_for
from recinterp.perturb.lowering.forward_pass import run_edits
from recinterp.perturb.lowering.validate import check_context
from recinterp.perturb.plan import Ablate, Reference, Unit
from recinterp.perturb.positions import PromptBatch, Tokens, build_batch
from recinterp.tokens import TRUNCATED

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

Activations: TypeAlias = "dict[str, Float[Tensor, 'row pos ...']]"
SourceCache: TypeAlias = "dict[tuple[object, ...], Tensor | PromptBatch]"
_source_cache: ContextVar[SourceCache | None] = ContextVar("sources", default=None)


@contextmanager
def source_cache(cache: SourceCache | None = None) -> Iterator[None]:
    """Inside it, the activations of each source run are computed once for all plans.

    Args:
        cache: A dictionary that stores them beyond the context; None for a new one.
    """
    token = _source_cache.set({} if cache is None else cache)
    try:
        yield
    finally:
        _source_cache.reset(token)


@contextmanager
def ensure_source_cache() -> Iterator[None]:
    """A source cache, unless one is active already."""
    if _source_cache.get() is not None:
        yield
    else:
        with source_cache():
            yield


def source_rows(task: Task, inputs: Sequence[Tokens], prefixes: Sequence[Tokens]) -> PromptBatch:
    """The batch of a source run, built once where a source cache is active."""
    cache = _source_cache.get()
    # By identity: a sweep uses the same two tuples a thousand times, and hashing them is slow.
    key = ("rows", id(inputs), id(prefixes), id(task))
    known = None if cache is None else cache.get(key)
    if isinstance(known, PromptBatch) and known.inputs is inputs and known.prefixes is prefixes:
        return known
    rows = build_batch(task, inputs, prefixes)
    if cache is not None:
        cache[key] = rows
    return rows


def read_sources(adapter: Adapter, rows: PromptBatch, hooks: Sequence[str]) -> Activations:
    """Activations of a source run, by hook point. Raises UnknownHookError."""
    cache = _source_cache.get()
    if cache is None:
        return _activations(adapter, rows, hooks)
    keys = {hook: (id(adapter), rows.fingerprint, hook) for hook in hooks}
    missing = [hook for hook, key in keys.items() if key not in cache]
    if missing:
        fresh = _activations(adapter, rows, missing)
        cache |= {keys[hook]: fresh[hook] for hook in missing}
    return {hook: cast(Tensor, cache[key]) for hook, key in keys.items()}


def _activations(adapter: Adapter, rows: PromptBatch, hooks: Sequence[str]) -> Activations:
    backend = fast_backend_for(adapter)
    check_context(adapter, rows)
    if isinstance(backend, str):
        return run_edits(adapter, rows, read=hooks)[1]
    held = backend.read(rows, hooks)
    left = [hook for hook in hooks if hook not in held]
    return {**held, **run_edits(adapter, rows, read=left)[1]} if left else held


def reference_rows(adapter: Adapter, task: Task, step: Ablate) -> PromptBatch:
    """The batch of a reference set: its inputs with its prefixes, or with the model's outputs."""
    assert step.reference is not None
    named = step.reference
    reference = named if isinstance(named, Reference) else Reference("inputs", named)
    cache = _source_cache.get()
    key = ("reference", id(adapter), reference.inputs, reference.prefixes)
    known = None if cache is None else cache.get(key)
    if isinstance(known, PromptBatch):
        return known
    prefixes = reference.prefixes
    rows = build_batch(task, reference.inputs, prefixes or _outputs(adapter, reference.inputs))
    if cache is not None:
        cache[key] = rows
    return rows


def _outputs(adapter: Adapter, inputs: Sequence[Sequence[str]]) -> list[list[str]]:
    """The model's own outputs, without the truncation mark, as far as they fit the context."""
    outs = adapter.generate([list(x) for x in inputs])
    room = [adapter.n_ctx - len(adapter.task.prompt(list(x))) for x in inputs]
    return [
        [token for token in out if token != TRUNCATED][:max_written]
        for out, max_written in zip(outs, room, strict=True)
    ]


def without_indices(unit: Unit) -> Unit:
    """A unit at classes of positions that make sense in other rows than those of the plan."""
    classes = unit.at if isinstance(unit.at, tuple) else (unit.at,)
    if all(at.index is None for at in classes):
        return unit
    return Unit(unit.hook, unit.head)
