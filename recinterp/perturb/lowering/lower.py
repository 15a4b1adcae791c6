"""A plan on a batch of rows, lowered to edits: what is written where, as tensors.

Sources and references are run here, once each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from recinterp.errors import InterventionError, UnknownHookError
from recinterp.perturb.lowering.edits import (
    Edit,
    PatternEdit,
    PatternFreeze,
    Write,
    check_no_overwrite,
)
from recinterp.perturb.lowering.forward_pass import run_edits
from recinterp.perturb.lowering.hooks import Hook, compile_hook
from recinterp.perturb.lowering.sources import (
    ensure_source_cache,
    read_sources,
    reference_rows,
    source_rows,
    without_indices,
)
from recinterp.perturb.lowering.validate import check_one_per_row, check_plan
from recinterp.perturb.plan import (
    Ablate,
    FreezePatterns,
    Interchange,
    Intervention,
    Mixture,
    PathPatch,
    Plan,
    Redirect,
    Steer,
    Transplant,
    Unit,
    head,
)
from recinterp.perturb.positions import ALL, PREDICTION, PromptBatch, Sites, half_of

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task


def lower(
    adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan, clean: PromptBatch | None = None
) -> list[Edit]:
    """Lower a plan to edits of the activations.

    Args:
        adapter: The model.
        task: Its task.
        rows: The batch, with swaps and forced prefixes applied.
        plan: The plan.
        clean: The batch before swaps and forced prefixes, which frozen patterns are read from;
            None if the plan has none.

    Returns:
        The edits, in the order of the plan.

    Raises:
        InterventionError: If an intervention cannot run, or two overwrite each other.
        UnknownHookError: If a row has no position of a class, or the model no such hook point.
    """
    with ensure_source_cache():
        made = [
            (edit, _sharing_receiver(adapter, step))
            for step in plan
            for edit in _lower_step(adapter, task, rows, step, clean or rows)
        ]
        receivers = sorted({receiver for _, receiver in made if receiver is not None})
        outputs: list[Edit] = []
        either: list[tuple[int, int] | None] = [*receivers] or [None]
        for receiver in either:
            edits = [edit for edit, only in made if only in (None, receiver)]
            check_no_overwrite(edits, rows.ids.shape[1])
            if receiver is not None:
                outputs.append(_lower_shared_path(adapter, rows, receiver, [*outputs, *edits]))
    return [*outputs, *(edit for edit, receiver in made if receiver is None)]


def _sharing_receiver(adapter: Adapter, step: Intervention) -> tuple[int, int] | None:
    """The (layer, head) at the end of a path, where its keys or values are other heads' too."""
    shares = isinstance(step, PathPatch) and step.shares_keys(adapter)
    return step.receiver if isinstance(step, PathPatch) and shares else None


def _lower_shared_path(
    adapter: Adapter, rows: PromptBatch, receiver: tuple[int, int], edits: Sequence[Edit]
) -> Write:
    """The receiver's output with the patched keys and values, which no other head may read.

    The write comes before all others at its point, as the output itself does.
    """
    unit = head(*receiver)
    _, read = run_edits(adapter, rows, edits, read=[unit.hook])
    value = read_unit(adapter, rows, unit, read[unit.hook])
    return _make_write(adapter, rows, unit, "set", value, True)


def lower_to_hooks(
    adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan, clean: PromptBatch | None = None
) -> list[Hook]:
    """The hooks that carry out a plan on a batch; arguments as for `lower`."""
    check_plan(adapter, plan)
    return [compile_hook(edit) for edit in lower(adapter, task, rows, plan, clean)]


def _lower_step(
    adapter: Adapter, task: Task, rows: PromptBatch, step: Intervention, clean: PromptBatch
) -> Sequence[Edit]:
    match step:
        case Ablate():
            return [_lower_ablation(adapter, task, rows, step, unit) for unit in step.units]
        case Redirect():
            return [_lower_redirect(rows, step)]
        case Transplant(through="z"):
            units = tuple(head(layer, h, PREDICTION) for layer, h in step.heads)
            whole = Interchange(units, step.inputs, step.prefixes, control_seed=step.control_seed)
            return _lower_interchange(adapter, task, rows, whole)
        case Transplant():
            return _lower_pattern_transplant(adapter, task, rows, step)
        case FreezePatterns():
            return _pattern_freezes(adapter, rows, step, clean)
        case PathPatch():
            return [_lower_path_patch(adapter, task, rows, step)]
        case Interchange():
            return _lower_interchange(adapter, task, rows, step)
        case Steer(unit, direction, scale):
            return [_make_write(adapter, rows, unit, "add", scale * direction)]
    return []


def _sites(adapter: Adapter, rows: PromptBatch, unit: Unit) -> Sites:
    return rows.sites(unit.at, half_of(adapter, unit.hook))


def _make_write(
    adapter: Adapter,
    rows: PromptBatch,
    unit: Unit,
    op: Literal["set", "add", "random_direction"],
    value: Tensor,
    per_site: bool = False,
    noise: Tensor | None = None,
) -> Write:
    if unit.hook.endswith("hook_pattern"):
        problem = "an attention pattern is not a vector of features"
        raise InterventionError(f"edit {unit}", problem, "use Redirect or Transplant")
    row, pos = _sites(adapter, rows, unit)
    return Write(unit.hook, unit.head, row, pos, op, value, per_site, noise)


def read_unit(
    adapter: Adapter, rows: PromptBatch, unit: Unit, value: Float[Tensor, "row pos ..."]
) -> Float[Tensor, "site ..."]:
    """The values of a unit in a cached activation, row by row."""
    row, pos = _sites(adapter, rows, unit)
    row, pos = row.to(value.device), pos.to(value.device)
    return value[row, pos] if unit.head is None else value[row, pos, unit.head]


def _lower_ablation(
    adapter: Adapter, task: Task, rows: PromptBatch, step: Ablate, unit: Unit
) -> Write:
    sites = len(_sites(adapter, rows, unit)[0])
    if step.kind == "zero" or not sites:
        return _make_write(adapter, rows, unit, "set", torch.zeros(()))
    reference, there = rows, unit
    if step.reference is not None:
        reference, there = reference_rows(adapter, task, step), without_indices(unit)
    cache = read_sources(adapter, reference, [unit.hook])
    values = read_unit(adapter, reference, there, cache[unit.hook])
    if not len(values):
        problem = "the reference has no such position"
        raise InterventionError(f"ablate {unit}", problem, "give other reference inputs")
    if step.kind == "mean":
        return _make_write(adapter, rows, unit, "set", values.mean(0))
    # One seed for every unit of a set: they are drawn from the same rows.
    generator = torch.Generator().manual_seed(step.seed)
    drawn = torch.randint(len(values), (sites,), generator=generator)
    return _make_write(adapter, rows, unit, "set", values[drawn.to(values.device)], True)


def _lower_interchange(
    adapter: Adapter, task: Task, rows: PromptBatch, step: Interchange
) -> list[Write]:
    check_one_per_row("sources", len(step.inputs), len(rows))
    source = source_rows(task, step.inputs, step.prefixes)
    cache = read_sources(adapter, source, sorted({unit.hook for unit in step.units}))
    made = []
    for number, unit in enumerate(step.units):
        there = unit if step.at is None else Unit(unit.hook, unit.head, step.at)
        _check_counts(adapter, rows, source, unit, there)
        new = read_unit(adapter, source, there, cache[unit.hook])
        if step.within is not None:
            old = read_unit(
                adapter, rows, unit, read_sources(adapter, rows, [unit.hook])[unit.hook]
            )
            new = interchange_within(old, new, step.within[number])
        if step.control_seed is None:
            made.append(_make_write(adapter, rows, unit, "set", new, True))
        else:
            generator = torch.Generator().manual_seed(step.control_seed + 7919 * number)
            noise = torch.randn(new.shape, generator=generator)
            made.append(_make_write(adapter, rows, unit, "random_direction", new, True, noise))
    return made


def interchange_within(
    old: Float[Tensor, "site ..."],
    new: Float[Tensor, "site ..."],
    basis: Float[Tensor, "features dims"],
) -> Float[Tensor, "site ..."]:
    """`old`, with its component in the span of an orthonormal basis replaced by that of `new`."""
    features = old.shape[1:].numel()
    if basis.dim() != 2 or basis.shape[0] != features:
        problem = f"a basis has shape {tuple(basis.shape)}, but there are {features} features"
        hint = "give bases of shape (features, dims)"
        raise InterventionError("interchange within subspaces", problem, hint)
    basis = basis.to(old)
    difference = (new - old).flatten(1)
    return old + (difference @ basis @ basis.T).view(old.shape)


def _check_counts(
    adapter: Adapter, rows: PromptBatch, source: PromptBatch, unit: Unit, there: Unit
) -> None:
    if torch.equal(_sites(adapter, rows, unit)[0], _sites(adapter, source, there)[0]):
        return
    half = half_of(adapter, unit.hook)
    here, from_ = rows.mask(unit.at, half).sum(1), source.mask(there.at, half).sum(1)
    row = int((here != from_).nonzero()[0, 0])
    problem = f"row {row} has {int(here[row])} such positions, its source {int(from_[row])}"
    hint = "give sources with as many positions of the class"
    raise UnknownHookError(f"interchange {unit}", problem, hint)


def _lower_redirect(rows: PromptBatch, step: Redirect) -> PatternEdit:
    to = step.to if isinstance(step.to, Mixture) else Mixture(((step.to, 1.0),))
    pattern = torch.zeros(rows.ids.shape)
    for where, weight in to.parts:
        keys = rows.mask(where)
        pattern += weight * keys / keys.sum(1, keepdim=True).clamp_min(1)
    whole = pattern.sum(1, keepdim=True)
    if not bool((whole > 0).all()):
        row = int((whole[:, 0] <= 0).nonzero()[0, 0])
        problem = f"row {row} has no such position"
        hint = "choose another class of positions"
        raise UnknownHookError(f"redirect layer {step.layer}", problem, hint)
    return _pattern_edit(rows, step.layer, step.head, (pattern / whole)[:, None])


def _lower_path_patch(adapter: Adapter, task: Task, rows: PromptBatch, step: PathPatch) -> Write:
    """The receiver's queries, keys or values, if only the sender were as on the sources."""
    low, high = step.sender[0], step.receiver[0]
    sent = Interchange((head(*step.sender, step.at),), step.inputs, step.prefixes)
    edits: list[Edit] = [*_lower_interchange(adapter, task, rows, sent)]
    still = [f"blocks.{layer}.attn.hook_z" for layer in range(low + 1, high)]
    if not step.mlps:
        still += [f"blocks.{layer}.hook_mlp_out" for layer in range(low, high)]
    still = [hook for hook in still if hook in adapter.hook_names]
    clean = read_sources(adapter, rows, still) if still else {}
    for unit in map(Unit, still):
        value = read_unit(adapter, rows, unit, clean[unit.hook])
        edits.append(_make_write(adapter, rows, unit, "set", value, True))
    into = step.patched_unit(adapter)
    _, read = run_edits(adapter, rows, edits, read=[into.hook])
    patched = read_unit(adapter, rows, into, read[into.hook])
    return _make_write(adapter, rows, into, "set", patched, True)


def _pattern_edit(
    rows: PromptBatch, layer: int, which: int | None, pattern: Float[Tensor, "row head_or_1 key"]
) -> PatternEdit:
    """Attention from the prediction position."""
    if which is not None and pattern.shape[1] > 1:
        pattern = pattern[:, which : which + 1]
    return PatternEdit(layer, which, torch.arange(len(rows)), rows.prediction, pattern)


def _lower_pattern_transplant(
    adapter: Adapter, task: Task, rows: PromptBatch, step: Transplant
) -> list[PatternEdit]:
    """Attention at the sources' prediction positions, cut to the keys visible in the batch."""
    check_one_per_row("sources", len(step.inputs), len(rows))
    source = source_rows(task, step.inputs, step.prefixes)
    names = sorted({f"blocks.{layer}.attn.hook_pattern" for layer, _ in step.heads})
    cache = read_sources(adapter, source, names)
    width, made = rows.ids.shape[1], []
    visible = rows.mask(ALL)[:, None]
    for layer, which in step.heads:
        value = cache[f"blocks.{layer}.attn.hook_pattern"]
        taken = value[torch.arange(len(rows)), :, source.prediction.to(value.device)].cpu()
        padded = torch.zeros(*taken.shape[:2], width)
        shared = min(width, taken.shape[2])
        padded[..., :shared] = taken[..., :shared]
        padded = padded * visible
        made.append(
            _pattern_edit(rows, layer, which, padded / padded.sum(-1, keepdim=True).clamp_min(1e-9))
        )
    return made


def _pattern_freezes(
    adapter: Adapter, rows: PromptBatch, step: FreezePatterns, clean: PromptBatch
) -> list[PatternFreeze]:
    if clean.ids.shape != rows.ids.shape or not torch.equal(clean.prediction, rows.prediction):
        problem = "the clean rows have another shape"
        hint = "force no prefix in the same plan"
        raise InterventionError("freeze attention patterns", problem, hint)
    layers = range(adapter.n_layers) if step.layers is None else step.layers
    cache = read_sources(adapter, clean, [f"blocks.{layer}.attn.hook_pattern" for layer in layers])
    return [PatternFreeze(layer, cache[f"blocks.{layer}.attn.hook_pattern"]) for layer in layers]
