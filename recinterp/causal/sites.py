"""Sites: where a machine's variables are stored in the network.

Activation patching asks whether an activation matters: it is replaced by that of another run, and
the output changes or does not. Here we ask more: whether the activation *is* a given variable of
the learned machine. The machine predicts which token comes out if the variable has the value of
the source run and everything else is as in the base run (the counterfactual token), and the patched
model has to write just that token (interchange intervention). Its share is the interchange
accuracy. Three controls stand beside it: a random direction of the same norm must not do it; a
source with the same value must change nothing; and where the source's own answer is a third token,
copying that answer is wrong as well, so that only the variable itself can give the right one.

Candidates are a handful of patches per layer. The pairs of some inputs select among them; accuracy
and controls are reported on the pairs of the others.
Reference: Geiger et al., Causal abstractions of neural networks (2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, NamedTuple

from recinterp.causal.agreement import pairs_where_model_agrees
from recinterp.causal.config import DEFAULTS, SiteConfig
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


class _ScoredPatch(NamedTuple):
    """A patch with its interchange accuracy on the pairs that select."""

    rate: Rate
    patch: Patch


def find_sites(
    adapter: Adapter, sampler: PairSampler, config: SiteConfig = DEFAULTS.sites
) -> tuple[Site, ...]:
    """Find, for every variable of a machine, where the network stores it.

    Args:
        adapter: the model.
        sampler: draws pairs of steps of the machine's runs.
        config: the thresholds.

    Returns:
        The sites in the order of the variables: of each the first place in the order of
        computation, a joint one where no single place suffices, and for what is read off the input
        the last place as well. Sites that do not pass are returned as not accepted.

    Reference:
        Geiger et al., Causal abstractions of neural networks (2021).
    """
    found: list[Site] = []
    for variable in sampler.variables:
        with source_cache():
            found += _SiteSearch(adapter, sampler, variable, config).run()
    return tuple(found)


@dataclass(frozen=True)
class _SiteSearch:
    """The search for the sites of one variable."""

    adapter: Adapter
    sampler: PairSampler
    variable: Variable
    config: SiteConfig

    @property
    def task(self) -> Task:
        """The task whose inputs are patched."""
        return self.sampler.task

    def run(self) -> list[Site]:
        """The variable's sites; empty where it never decides an output token."""
        minimum = self.config.min_pairs
        pairs = self._pairs(2 * self.config.pairs)[: self.config.pairs]
        selecting, reporting = split_selection_report(pairs)
        if len(pairs) < minimum or min(len(selecting), len(reporting)) < minimum // 4:
            # A variable that never decides a token, as a pointer at its end, is no finding.
            return [self._unplaced(len(pairs))] if pairs else []
        same = self._pairs(self.config.pairs, same_value=True)
        same_selecting, same_reporting = split_selection_report(same)
        third = self._pairs(self.config.report_pairs, source_answer_differs=True)
        controls = _Controls(same_reporting, third[: self.config.report_pairs])
        scored = self._score(pairs, selecting, same_selecting)
        if not scored:  # no hook point of the model is in reach
            return [self._unplaced(len(pairs))]
        sites: list[Site] = []
        for threshold in (self.config.min_accuracy, self.config.strict_selection_accuracy):
            selected = _select(scored, self.variable.kind, threshold, self.config)
            sites = [self._measure(patch, reporting, controls) for patch in selected]
            if any(site.accepted for site in sites):
                break
        return sites

    def _pairs(
        self, count: int, *, same_value: bool = False, source_answer_differs: bool = False
    ) -> list[Pair]:
        pairs = self.sampler.sample(
            self.variable,
            count,
            same_value=same_value,
            source_answer_differs=source_answer_differs,
        )
        return pairs_where_model_agrees(self.adapter, self.task, pairs)

    def _score(
        self, pairs: Sequence[Pair], selecting: Sequence[Pair], same: Sequence[Pair]
    ) -> list[_ScoredPatch]:
        """Every candidate patch whose hook points reach the logits, with its selection score."""
        pointers = [v.name for v in self.sampler.pointers]
        return [
            _ScoredPatch(
                self._selection_rate(patch, selecting, same),
                tuple(place.with_block_name(self.adapter) for place in patch),
            )
            for patch in _candidate_patches(self.adapter, pairs, pointers)
            if all(is_live(self.adapter, self.task, place.hook) for place in patch)
        ]

    def _selection_rate(
        self, patch: Patch, selecting: Sequence[Pair], same: Sequence[Pair]
    ) -> Rate:
        """A patch's accuracy, or, if it would pass, that of same-value sources where they fail."""
        rate = self._accuracy(selecting, PatchSpec(patch))
        if rate.value < self.config.min_accuracy:
            return rate
        unchanged = self._accuracy(same, PatchSpec(patch))
        return unchanged if unchanged.value < self.config.min_accuracy else rate

    def _accuracy(self, pairs: Sequence[Pair], spec: PatchSpec) -> Rate:
        return interchange_accuracy(self.adapter, self.task, pairs, spec)

    def _unplaced(self, pairs: int) -> Site:
        return Site(
            variable=self.variable.name,
            kind=self.variable.kind,
            accuracy=nan,
            interval=(0.0, 1.0),
            pairs=pairs,
            control=nan,
            same_value_control=nan,
            accepted=False,
            d_model=self.adapter.d_model,
        )

    def _measure(self, patch: Patch, reporting: Sequence[Pair], controls: _Controls) -> Site:
        """A site with its accuracy and controls, on pairs that did not select it."""
        config, spec = self.config, PatchSpec(patch)
        rate = self._accuracy(reporting, spec)
        seeds = range(self.sampler.seed + 1, self.sampler.seed + 1 + config.random_directions)
        random = [self._accuracy(reporting, PatchSpec(patch, control_seed=s)).value for s in seeds]
        control = sum(random) / len(random)
        unchanged = self._accuracy(controls.same_value, spec).value
        return Site(
            variable=self.variable.name,
            kind=self.variable.kind,
            patch=patch,
            accuracy=rate.value,
            interval=rate.interval,
            pairs=rate.total,
            control=control,
            same_value_control=unchanged,
            # Without pairs of equal value, `unchanged` is NaN and does not decide.
            accepted=rate.value >= config.min_accuracy
            and control <= config.max_control
            and not unchanged < config.min_accuracy,
            third_token_accuracy=self._accuracy(controls.third_token, spec),
            unrestricted_accuracy=rate,
            d_model=self.adapter.d_model,
        )


class _Controls(NamedTuple):
    """Pairs of equal value, and pairs whose source writes a third token."""

    same_value: Sequence[Pair]
    third_token: Sequence[Pair]


def _candidate_patches(
    adapter: Adapter, pairs: Sequence[Pair], pointers: Sequence[str]
) -> Iterator[Patch]:
    """The patches that are tried, the narrowest first, without those that the pairs do not allow.

    The last layer's output at the prediction position is the answer itself, and the embedding at
    the inputs is the input itself: a patch there would prove nothing.
    """
    reads = [f"at {name}" for name in pointers] or ["read"]
    same_step = all(p.base.t == p.source.t for p in pairs)
    layers = range(adapter.n_layers)
    for layer in (-1, *layers[:-1]):
        hook = f"blocks.{layer}.hook_resid_post" if layer >= 0 else "blocks.0.hook_resid_pre"
        yield (PatchLocation(hook, "prediction"),)
        if layer >= 0:
            for place in ("sep", *reads, "changed", "others", "inputs"):
                yield (PatchLocation(hook, place),)
            yield (PatchLocation(hook, "inputs"), PatchLocation(hook, "prediction"))
            yield from (
                (PatchLocation(hook, place), PatchLocation(hook, "prediction")) for place in reads
            )
        if same_step:
            yield (PatchLocation(hook, "outputs"),)
            yield (PatchLocation(hook, "outputs"), PatchLocation(hook, "prediction"))
    for layer in layers:
        hook = f"blocks.{layer}.attn.hook_z"
        yield from ((PatchLocation(hook, "prediction", h),) for h in range(adapter.n_heads))
        yield (PatchLocation(hook, "prediction"),)
    if len(layers) > 1:
        yield tuple(PatchLocation(f"blocks.{layer}.attn.hook_z", "prediction") for layer in layers)


def _select(
    scored: Sequence[_ScoredPatch], kind: VariableKind, threshold: float, config: SiteConfig
) -> list[Patch]:
    """The patches worth measuring: where the variable is stored first and, unless a state, last.

    First: the earliest stage at which a patch passes the threshold (a joint one with the best
    single one beside it). Last: the latest stage at which a single one does, for what is read off
    the input; for a pointer, the latest layer output. By then the answer is computed from the
    state, so that a state's last site would prove nothing. If none passes: the best.
    """
    stages: dict[int, list[_ScoredPatch]] = {}
    for one in scored:
        stages.setdefault(max(place.stage for place in one.patch), []).append(one)
    passed = [s for s in sorted(stages) if any(o.rate.value >= threshold for o in stages[s])]
    if not passed:
        return _select_best(scored, config)
    first = _select_first(stages[passed[0]], threshold, config)
    last = _select_last([stages[s] for s in passed[1:]], kind, threshold)
    return first if last is None else [*first, last]


def _select_best(scored: Sequence[_ScoredPatch], config: SiteConfig) -> list[Patch]:
    best = max(scored, key=lambda one: one.rate.hits)
    single = _best_of(scored, single=True)
    if single.rate.value >= config.min_single_accuracy and single != best:
        return [best.patch, single.patch]
    return [best.patch]


def _select_first(
    stage: Sequence[_ScoredPatch], threshold: float, config: SiteConfig
) -> list[Patch]:
    single = _best_of(stage, single=True)
    if single.rate.value >= threshold:
        return [single.patch]
    joint = _best_of(stage, single=False)
    if single.rate.value >= config.min_single_accuracy:
        return [joint.patch, single.patch]
    return [joint.patch]


def _select_last(
    stages: Sequence[Sequence[_ScoredPatch]], kind: VariableKind, threshold: float
) -> Patch | None:
    if kind not in (VariableKind.CONTENT, VariableKind.LOOKAHEAD, VariableKind.POINTER):
        return None
    for stage in reversed(stages):
        rate, patch = _best_of(stage, single=True)
        attends = any(place.is_attention for place in patch)
        if rate.value >= threshold and not (attends and kind is VariableKind.POINTER):
            return patch
    return None


def _best_of(scored: Sequence[_ScoredPatch], *, single: bool) -> _ScoredPatch:
    """The best of the single or of the joint patches; of equals, the first."""
    of_kind = [one for one in scored if is_single(one.patch) is single]
    return max(of_kind, key=lambda one: one.rate.hits, default=_ScoredPatch(Rate(0, 1), ()))
