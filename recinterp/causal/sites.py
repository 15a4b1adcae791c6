"""Where a machine's variables live in the network: interchange interventions at sites.

A source run's activation is put into a base run, and the model must write what the machine writes
with the source's value. Candidates are a handful of patches per layer; the pairs of some inputs
choose among them, those of the others give the accuracy that is reported, beside a norm-matched
random direction and a source of the same value (which must change nothing).
Source: Geiger et al., Causal abstractions of neural networks (2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

from recinterp.causal.agreement import pairs_where_model_agrees
from recinterp.causal.pairs import Pair, PairSampler, split_selection_report
from recinterp.causal.patches import PatchSpec, interchange_accuracy
from recinterp.causal.results import Patch, PatchLocation, Site, is_single
from recinterp.causal.variables import Variable, VariableKind
from recinterp.perturb.liveness import is_live
from recinterp.perturb.lowering.sources import source_cache
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

ACCEPT, CONTROL, SINGLE = 0.85, 0.2, 0.5
SURE = 0.92  # asked of the few pairs that choose, where what they chose was not accepted then
CHOOSING, REPORTING, FEWEST = 40, 60, 20


def find_sites(
    adapter: Adapter,
    finder: PairSampler,
) -> tuple[Site, ...]:
    """For every variable: its best single site and, where that falls short, a joint one."""
    found: list[Site] = []
    for variable in finder.variables:
        with source_cache():
            found += _sites_of(adapter, finder, variable)
    return tuple(found)


def _sites_of(adapter: Adapter, finder: PairSampler, variable: Variable) -> list[Site]:
    task, seed = finder.task, finder.seed
    pairs = pairs_where_model_agrees(
        adapter, task, finder.sample(variable, 2 * (CHOOSING + REPORTING))
    )
    pairs = pairs[: CHOOSING + REPORTING]
    choose, report = split_selection_report(pairs)
    if len(pairs) < FEWEST or min(len(choose), len(report)) < FEWEST // 4:
        # A variable that never decides a token (a pointer that has run to its end) is no finding.
        return [_unplaced(variable, len(pairs), adapter.d_model)] if pairs else []
    same = pairs_where_model_agrees(
        adapter, task, finder.sample(variable, CHOOSING + REPORTING, same_value=True)
    )
    unmoved, kept = split_selection_report(same)
    controls = _Controls(
        kept,
        pairs_where_model_agrees(
            adapter, task, finder.sample(variable, REPORTING, source_answer_differs=True)
        )[:REPORTING],
        seed,
    )
    scored = [
        (
            _worth(adapter, task, choose, unmoved, p),
            tuple(part.with_block_name(adapter) for part in p),
        )
        for p in _candidates(adapter, pairs, [v.name for v in finder.pointers])
        if all(is_live(adapter, task, part.hook) for part in p)
    ]
    found: list[Site] = []
    for bar in (ACCEPT, SURE):
        chosen = _chosen(scored, variable.kind, bar)
        found = [_measured(adapter, task, variable, p, report, controls) for p in chosen]
        if any(site.accepted for site in found):
            break
    return found


def _worth(
    adapter: Adapter, task: Task, choose: Sequence[Pair], same: Sequence[Pair], patch: Patch
) -> Rate:
    """How good a patch is: what it moves, or, where that would do, what it should not and does."""
    rate = interchange_accuracy(adapter, task, choose, PatchSpec(patch))
    kept = (
        interchange_accuracy(adapter, task, same, PatchSpec(patch))
        if rate.value >= ACCEPT
        else rate
    )
    return kept if kept.value < ACCEPT else rate


def _unplaced(variable: Variable, pairs: int, d_model: int) -> Site:
    return Site(
        variable=variable.name,
        kind=variable.kind,
        accuracy=nan,
        interval=(0.0, 1.0),
        pairs=pairs,
        control=nan,
        same_value_control=nan,
        accepted=False,
        d_model=d_model,
    )


def _candidates(
    adapter: Adapter, pairs: Sequence[Pair], pointers: Sequence[str]
) -> Iterator[Patch]:
    """The patches tried, the narrowest first; those that the pairs do not allow are left out.

    The last layer's output at the query is the answer itself, and the embedding at the inputs is
    the input itself: a patch there would prove nothing.
    """
    reads = [f"at {name}" for name in pointers] or ["read"]
    moves = any(p.base.t != p.source.t for p in pairs)
    layers = range(adapter.n_layers)
    for layer in (-1, *layers[:-1]):
        hook = f"blocks.{layer}.hook_resid_post" if layer >= 0 else "blocks.0.hook_resid_pre"
        yield (PatchLocation(hook, "query"),)
        if layer >= 0:
            for place in ("sep", *reads, "changed", "others", "inputs"):
                yield (PatchLocation(hook, place),)
            yield (PatchLocation(hook, "inputs"), PatchLocation(hook, "query"))
            yield from (
                (PatchLocation(hook, place), PatchLocation(hook, "query")) for place in reads
            )
        if not moves:
            yield (PatchLocation(hook, "outputs"),)
            yield (PatchLocation(hook, "outputs"), PatchLocation(hook, "query"))
    for layer in layers:
        hook = f"blocks.{layer}.attn.hook_z"
        yield from ((PatchLocation(hook, "query", h),) for h in range(adapter.n_heads))
        yield (PatchLocation(hook, "query"),)
    if len(layers) > 1:
        yield tuple(PatchLocation(f"blocks.{layer}.attn.hook_z", "query") for layer in layers)


def _chosen(scored: Sequence[tuple[Rate, Patch]], kind: VariableKind, bar: float) -> list[Patch]:
    """The patches worth measuring: where the variable is first and, unless it is a state, last.

    First: the earliest stage at which a patch passes the bar (a joint one with the best single one
    beside it). Last: the latest stage at which a single one does, for what is read; for a pointer,
    the latest layer output. By then the answer is made of the state, so that a state's last site
    would prove nothing. If none passes: the best.
    """
    stages: dict[int, list[tuple[Rate, Patch]]] = {}
    for rate, patch in scored:
        stages.setdefault(max(part.stage for part in patch), []).append((rate, patch))
    passed = [s for s in sorted(stages) if any(rate.value >= bar for rate, _ in stages[s])]
    if not passed:
        best = max(scored, key=lambda s: s[0].hits)
        single = _top(scored, single=True)
        return [best[1], *([single[1]] if single[0].value >= SINGLE and single != best else [])]
    found = _first(stages[passed[0]], bar)
    for stage in reversed(passed[1:] if kind in ("content", "lookahead", "pointer") else []):
        rate, patch = _top(stages[stage], single=True)
        attends = any(part.is_attention for part in patch)
        if rate.value >= bar and not (attends and kind == "pointer"):
            return [*found, patch]
    return found


def _first(stage: Sequence[tuple[Rate, Patch]], bar: float) -> list[Patch]:
    single = _top(stage, single=True)
    if single[0].value >= bar:
        return [single[1]]
    joint = _top(stage, single=False)
    return [joint[1], single[1]] if single[0].value >= SINGLE else [joint[1]]


def _top(scored: Sequence[tuple[Rate, Patch]], *, single: bool) -> tuple[Rate, Patch]:
    """The best of the single or of the joint patches; of equals, the first."""
    of_kind = [s for s in scored if is_single(s[1]) is single]
    return max(of_kind, key=lambda s: s[0].hits) if of_kind else (Rate(0, 1), ())


@dataclass(frozen=True)
class _Controls:
    """Pairs of equal value, pairs whose source answers wrongly, and the seed of the noise."""

    same: Sequence[Pair]
    strict: Sequence[Pair]
    seed: int


def _measured(
    adapter: Adapter,
    task: Task,
    variable: Variable,
    patch: Patch,
    report: Sequence[Pair],
    controls: _Controls,
) -> Site:
    rate = interchange_accuracy(adapter, task, report, PatchSpec(patch))
    noise = [
        interchange_accuracy(adapter, task, report, PatchSpec(patch, scramble=controls.seed + k))
        for k in range(1, 5)
    ]
    control = sum(r.value for r in noise) / len(noise)
    kept = interchange_accuracy(adapter, task, controls.same, PatchSpec(patch))
    accepted = rate.value >= ACCEPT and control <= CONTROL and not kept.value < ACCEPT
    return Site(
        variable=variable.name,
        kind=variable.kind,
        patch=patch,
        accuracy=rate.value,
        interval=rate.interval,
        pairs=rate.total,
        control=control,
        same_value_control=kept.value,
        accepted=accepted,
        third_token_accuracy=interchange_accuracy(adapter, task, controls.strict, PatchSpec(patch)),
        unrestricted_accuracy=rate,
        d_model=adapter.d_model,
    )
