"""A plan on a batch of rows, compiled to hooks: (hook name, function of an activation).

Sources and references are run here, once; the functions only write. Every name is checked first,
so that a plan never silently does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
from torch import Tensor

from recinterp.errors import InterventionError, UnknownSite
from recinterp.perturb.plan import (
    Ablate,
    ForcePrefix,
    FreezePatterns,
    Interchange,
    Intervention,
    Plan,
    Redirect,
    Steer,
    Swap,
    Transplant,
    Unit,
    head,
)
from recinterp.perturb.rows import ALL, QUERY, Rows, check_hook, lay_out

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

Hook = tuple[str, Callable[..., Any]]
PER_HEAD = ("hook_q", "hook_k", "hook_v", "hook_z", "hook_pattern")


def edit_rows(task: Task, rows: Rows, plan: Plan) -> Rows:
    """The rows after the plan's token swaps and forced prefixes. Errors: UnknownSite."""
    inputs, prefixes = [list(x) for x in rows.inputs], rows.prefixes
    for step in plan:
        match step:
            case Swap(tokens):
                _same_count("swaps", len(tokens), len(rows))
                for x, (at, token) in zip(inputs, tokens, strict=True):
                    _check_swap(task, x, at, token)
                    x[at] = token
            case ForcePrefix(forced):
                _same_count("forced prefixes", len(forced), len(rows))
                prefixes = forced
    if not any(isinstance(step, Swap | ForcePrefix) for step in plan):
        return rows
    return lay_out(task, inputs, prefixes)


def _check_swap(task: Task, tokens: Sequence[str], at: int, token: str) -> None:
    if not 0 <= at < len(tokens):
        raise UnknownSite(
            f"input position {at}",
            f"the input ends at {len(tokens) - 1}",
            f"0 to {len(tokens) - 1}",
        )
    if token not in task.ids:
        raise UnknownSite(
            f"token {token!r}", "not in the vocabulary", f"one of {', '.join(task.ids)}"
        )


def _same_count(what: str, got: int, rows: int) -> None:
    if got != rows:
        raise InterventionError(f"{got} {what}", f"there are {rows} rows", "give one per row")


def hooks_of(
    adapter: Adapter, task: Task, rows: Rows, plan: Plan, clean: Rows | None = None
) -> list[Hook]:
    """The hooks that carry out a plan on these rows. clean: the rows before swaps and prefixes."""
    for unit in units_of(adapter, plan):
        check_unit(adapter, unit)
    made: list[Hook] = []
    for step in plan:
        made += _hooks(adapter, task, rows, step, clean or rows)
    return made


def units_of(adapter: Adapter, plan: Plan) -> list[Unit]:
    """Every unit a plan writes to."""
    found: list[Unit] = []
    for step in plan:
        match step:
            case Ablate(unit=unit) | Steer(unit=unit):
                found.append(unit)
            case Interchange(units=units):
                found += units
            case Redirect(layer, h, _):
                found.append(Unit(f"blocks.{layer}.attn.hook_pattern", h, QUERY))
            case Transplant(heads=heads, through=through):
                found += [
                    Unit(f"blocks.{layer}.attn.hook_{through}", h, QUERY) for layer, h in heads
                ]
            case FreezePatterns(layers):
                chosen = range(adapter.n_layers) if layers is None else layers
                found += [Unit(f"blocks.{layer}.attn.hook_pattern") for layer in chosen]
    return found


def check_unit(adapter: Adapter, unit: Unit) -> None:
    """Raise UnknownSite, with the nearest that exists, where a unit is not in the model."""
    check_hook(adapter, unit.hook)
    if unit.head is not None:
        if not unit.hook.endswith(PER_HEAD):
            raise UnknownSite(
                str(unit), "this site has no heads", "a head of hook_z, hook_pattern, hook_q, …"
            )
        if not 0 <= unit.head < adapter.n_heads:
            last = adapter.n_heads - 1
            raise UnknownSite(
                str(unit), f"heads are 0 to {last}", f"nearest: head {max(0, min(unit.head, last))}"
            )


def _hooks(adapter: Adapter, task: Task, rows: Rows, step: Intervention, clean: Rows) -> list[Hook]:
    match step:
        case Ablate():
            return [_ablation(adapter, task, rows, step)]
        case Redirect():
            return [_redirection(rows, step)]
        case Transplant(through="z"):
            units = tuple(head(layer, h, QUERY) for layer, h in step.heads)
            whole = Interchange(units, step.inputs, step.prefixes, scramble=step.scramble)
            return _interchange(adapter, task, rows, whole)
        case Transplant():
            return _pattern_transplant(adapter, task, rows, step)
        case FreezePatterns():
            return _frozen(adapter, rows, step, clean)
        case Interchange():
            return _interchange(adapter, task, rows, step)
        case Steer(unit, direction, scale):
            return [_write(rows, unit, lambda old: old + scale * direction.to(old))]
    return []


def _write(rows: Rows, unit: Unit, new: Callable[[Tensor], Tensor]) -> Hook:
    """A hook that maps the unit's values, (sites, features), through `new`."""
    row, pos = rows.mask(unit.at).nonzero(as_tuple=True)

    def edit(value: Tensor, hook: object = None) -> Tensor:
        out = value.clone()
        r, p = row.to(value.device), pos.to(value.device)
        if unit.head is None:
            out[r, p] = new(value[r, p])
        else:
            out[r, p, unit.head] = new(value[r, p, unit.head])
        return out

    if unit.hook.endswith("hook_pattern"):
        raise InterventionError(
            str(unit), "a pattern is not a vector of features", "use Redirect or Transplant"
        )
    return unit.hook, edit


def read(rows: Rows, unit: Unit, value: Tensor) -> Tensor:
    """A unit's values in a cached activation: (sites, features), row by row."""
    row, pos = rows.mask(unit.at).nonzero(as_tuple=True)
    row, pos = row.to(value.device), pos.to(value.device)
    return value[row, pos] if unit.head is None else value[row, pos, unit.head]


def _ablation(adapter: Adapter, task: Task, rows: Rows, step: Ablate) -> Hook:
    if step.kind == "zero":
        return _write(rows, step.unit, torch.zeros_like)
    reference, activation = _reference(adapter, task, rows, step)
    values = read(reference, _everywhere(step), activation)
    if not len(values):
        raise InterventionError(
            f"ablation of {step.unit}", "the reference has no such position", "other inputs"
        )
    if step.kind == "mean":
        mean = values.mean(0)
        return _write(rows, step.unit, lambda old: mean.expand_as(old))
    generator = torch.Generator().manual_seed(step.seed)
    return _write(
        rows,
        step.unit,
        lambda old: values[torch.randint(len(values), (len(old),), generator=generator)],
    )


def _reference(adapter: Adapter, task: Task, rows: Rows, step: Ablate) -> tuple[Rows, Tensor]:
    """The rows an ablation reads its values from, and their activation at its site."""
    if step.reference is None:
        return rows, adapter.cache(rows.ids, [step.unit.hook])[step.unit.hook]
    kept = _kept.get()
    key = ("reference", id(adapter), step.reference)
    known = None if kept is None else kept.get(key)
    if known is None:
        known = lay_out(task, step.reference, _outputs(adapter, step.reference))
        if kept is not None:
            kept[key] = known
    assert isinstance(known, Rows)
    return known, _read_sources(adapter, known, [step.unit.hook])[step.unit.hook]


def _everywhere(step: Ablate) -> Unit:
    """The unit, with positions that make sense in other rows than the plan's own."""
    if step.reference is None:
        return step.unit
    classes = step.unit.at if isinstance(step.unit.at, tuple) else (step.unit.at,)
    if all(at.index is None for at in classes):
        return step.unit
    return Unit(step.unit.hook, step.unit.head)


def _outputs(adapter: Adapter, inputs: Sequence[Sequence[str]]) -> list[list[str]]:
    """The model's own outputs, without the mark of one that was cut."""
    return [
        [token for token in out if token != "…"]
        for out in adapter.generate([list(x) for x in inputs])
    ]


Kept: TypeAlias = "dict[tuple[object, ...], Tensor | Rows]"
_kept: ContextVar[Kept | None] = ContextVar("sources", default=None)


@contextmanager
def sources_kept(kept: Kept | None = None) -> Iterator[None]:
    """Within it, a source run's activations are read once, however many plans ask for them.

    kept: a dictionary to keep them in, for whoever comes back to it later.
    """
    token = _kept.set({} if kept is None else kept)
    try:
        yield
    finally:
        _kept.reset(token)


def _read_sources(adapter: Adapter, rows: Rows, hooks: Sequence[str]) -> dict[str, Tensor]:
    kept = _kept.get()
    if kept is None:
        return adapter.cache(rows.ids, hooks)
    keys = {hook: (id(adapter), rows.inputs, rows.prefixes, hook) for hook in hooks}
    missing = [hook for hook, key in keys.items() if key not in kept]
    if missing:
        fresh = adapter.cache(rows.ids, missing)
        kept |= {keys[hook]: fresh[hook] for hook in missing}
    return {hook: cast(Tensor, kept[key]) for hook, key in keys.items()}


def _interchange(adapter: Adapter, task: Task, rows: Rows, step: Interchange) -> list[Hook]:
    _same_count("sources", len(step.inputs), len(rows))
    source = lay_out(task, step.inputs, step.prefixes)
    cache = _read_sources(adapter, source, sorted({unit.hook for unit in step.units}))
    made = []
    for number, unit in enumerate(step.units):
        there = unit if step.at is None else Unit(unit.hook, unit.head, step.at)
        _check_counts(rows, source, unit, there)
        new = read(source, there, cache[unit.hook])
        made.append(_write(rows, unit, _replacement(new, step.scramble, number)))
    return made


def _check_counts(rows: Rows, source: Rows, unit: Unit, there: Unit) -> None:
    here, from_ = rows.mask(unit.at).sum(1), source.mask(there.at).sum(1)
    if not torch.equal(here, from_):
        row = int((here != from_).nonzero()[0, 0])
        wrong = f"row {row} has {int(here[row])} such positions, its source {int(from_[row])}"
        raise UnknownSite(
            f"interchange of {unit}", wrong, "sources with as many positions of the class"
        )


def _replacement(new: Tensor, scramble: int | None, number: int) -> Callable[[Tensor], Tensor]:
    if scramble is None:
        return lambda old: new.to(old)
    generator = torch.Generator().manual_seed(scramble + 7919 * number)
    noise = torch.randn(new.shape, generator=generator)

    def scrambled(old: Tensor) -> Tensor:
        norm = (new.to(old) - old).flatten(1).norm(dim=1)
        ratio: Tensor = norm / noise.to(old).flatten(1).norm(dim=1)
        return old + noise.to(old) * ratio.reshape(-1, *[1] * (new.dim() - 1))

    return scrambled


def _redirection(rows: Rows, step: Redirect) -> Hook:
    keys = rows.mask(step.to)
    if not bool(keys.any(1).all()):
        row = int((~keys.any(1)).nonzero()[0, 0])
        raise UnknownSite(
            f"redirect of layer {step.layer}", f"row {row} has no such position", "another class"
        )
    pattern = keys / keys.sum(1, keepdim=True)
    return _pattern_hook(rows, step.layer, step.head, pattern[:, None])


def _pattern_hook(rows: Rows, layer: int, which: int | None, pattern: Tensor) -> Hook:
    """Write attention rows of the query: pattern (batch, head or 1, key)."""
    row = torch.arange(len(rows))

    def edit(value: Tensor, hook: object = None) -> Tensor:
        out, new = value.clone(), pattern.to(value)
        r, q = row.to(value.device), rows.query.to(value.device)
        if which is None:
            out[r, :, q] = new.expand(-1, value.shape[1], -1)
        else:
            out[r, which, q] = new[:, which if new.shape[1] > 1 else 0]
        return out

    return f"blocks.{layer}.attn.hook_pattern", edit


def _pattern_transplant(adapter: Adapter, task: Task, rows: Rows, step: Transplant) -> list[Hook]:
    """Rows of attention from other rows' queries, cut to the keys that this query may see."""
    _same_count("sources", len(step.inputs), len(rows))
    source = lay_out(task, step.inputs, step.prefixes)
    names = sorted({f"blocks.{layer}.attn.hook_pattern" for layer, _ in step.heads})
    cache = adapter.cache(source.ids, names)
    width, made = rows.ids.shape[1], []
    visible = rows.mask(ALL)[:, None]
    for layer, which in step.heads:
        value = cache[f"blocks.{layer}.attn.hook_pattern"]
        taken = value[torch.arange(len(rows)), :, source.query.to(value.device)].cpu()
        padded = torch.zeros(*taken.shape[:2], width)
        shared = min(width, taken.shape[2])
        padded[..., :shared] = taken[..., :shared]
        padded = padded * visible
        made.append(
            _pattern_hook(rows, layer, which, padded / padded.sum(-1, keepdim=True).clamp_min(1e-9))
        )
    return made


def _frozen(adapter: Adapter, rows: Rows, step: FreezePatterns, clean: Rows) -> list[Hook]:
    if clean.ids.shape != rows.ids.shape or not torch.equal(clean.query, rows.query):
        raise InterventionError(
            "frozen patterns", "the clean rows have another shape", "force no prefix beside it"
        )
    layers = range(adapter.n_layers) if step.layers is None else step.layers
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in layers]
    cache = adapter.cache(clean.ids, names)
    return [(name, _constant(cache[name])) for name in names]


def _constant(value: Tensor) -> Callable[..., Tensor]:
    return lambda old, hook=None: value.to(old)
