"""Subspaces: the directions at a site that store one variable, and nothing of the others.

A position stores many variables at once, and an interchange of the complete activation sets all of
them. Where the source writes a third token, neither the base's answer nor the source's is right:
only the variable itself gives the counterfactual token. Subspaces are learned by gradient descent
on the pairs of two thirds of the inputs and judged on those of the others.
Reference: Geiger et al., Finding alignments between interpretable causal variables and distributed
neural representations (2023): distributed alignment search, DAS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from recinterp.causal.agreement import pairs_where_model_agrees
from recinterp.causal.config import DEFAULTS, CausalConfig
from recinterp.causal.pairs import Pair, PairSampler
from recinterp.causal.patches import (
    PatchSpec,
    build_base_batch,
    build_interchanges,
    interchange_accuracy,
)
from recinterp.causal.results import Patch, PatchLocation, Site
from recinterp.causal.variables import VariableKind
from recinterp.machine.nodes import Reg
from recinterp.perturb.liveness import is_live
from recinterp.perturb.lowering.sources import source_cache
from recinterp.perturb.runner import hooks_needed
from recinterp.perturb.subspace_search import learn_subspaces, random_subspaces
from recinterp.splits import FIT_OF, in_fit_split

if TYPE_CHECKING:
    from torch import Tensor

    from recinterp.causal.variables import Variable
    from recinterp.models import Adapter


def localise_subspaces(
    adapter: Adapter,
    sampler: PairSampler,
    sites: Sequence[Site],
    config: CausalConfig = DEFAULTS,
) -> tuple[Site, ...]:
    """Add to the sites of each variable the subspaces that store it, where there are any.

    Pointers are left out: two steps differ in all that is stored at the prediction position, and no
    linear subspace was found that separates them. Left out as well are models of one layer, whose
    only layer output is the answer itself, and models that run through hooks only, which give no
    gradients.

    Args:
        adapter: the model.
        sampler: draws pairs of steps of the machine's runs.
        sites: the sites of complete activations.
        config: the thresholds of sites and subspaces.

    Returns:
        All sites, those of one variable together; a subspace has `dims` above 0.

    Reference:
        Geiger et al. (2023), DAS.
    """
    if adapter.n_layers < 2 or hooks_needed(adapter):
        return tuple(sites)
    found = list(sites)
    eligible = [v for v in sampler.variables if v.kind is not VariableKind.POINTER]
    for variable in eligible[: config.subspaces.max_variables]:
        own = [site for site in sites if site.variable == variable.name]
        with source_cache():
            site = _localise(adapter, sampler, variable, own, config)
        if site is not None:
            found.append(site)
    order = list(dict.fromkeys(site.variable for site in found))
    return tuple(sorted(found, key=lambda site: order.index(site.variable)))


class _PairSets(NamedTuple):
    """Pairs whose source writes a third token; pairs without that condition; of equal value."""

    third_token: list[Pair]
    unrestricted: list[Pair]
    same_value: list[Pair]

    def restricted_to_fit(self, fitted: bool) -> _PairSets:
        """The pairs of the inputs that subspaces are fitted on, or those of the others."""
        return _PairSets(
            *([p for p in pairs if in_fit_split(p.base.tokens) is fitted] for pairs in self)
        )


class _Problem(NamedTuple):
    """A subspace to be learned: at which places, from which pairs, judged on which."""

    patch: Patch
    fitting: list[Pair]
    judging: _PairSets
    deciding: list[Pair]  # of those judged on, the ones that the accuracy is reported for


def _localise(
    adapter: Adapter,
    sampler: PairSampler,
    variable: Variable,
    own: Sequence[Site],
    config: CausalConfig,
) -> Site | None:
    """A variable's subspaces; None where they cannot be tested or do not pass."""
    problem = _pose(adapter, sampler, variable, own, config)
    if problem is None:
        return None
    bases = _fit(adapter, sampler, problem, config)
    return _judge(adapter, sampler, variable, problem, bases, config)


def _pose(
    adapter: Adapter,
    sampler: PairSampler,
    variable: Variable,
    own: Sequence[Site],
    config: CausalConfig,
) -> _Problem | None:
    """Draw the pairs and choose the places; None where there are too few pairs to test anything."""
    task, minimum = sampler.task, config.sites.min_pairs
    sizes = config.subspaces
    each = sizes.max_sources_per_base
    third = sampler.sample(
        variable, sizes.third_token_pairs, source_answer_differs=True, max_sources=each
    )
    third = pairs_where_model_agrees(adapter, task, third)
    if len(third) < FIT_OF * minimum and any(site.accepted for site in own):
        return None  # it has a site, and nothing distinguishes it there from what else is stored
    unrestricted = sampler.sample(variable, sizes.unrestricted_pairs, max_sources=each)
    unrestricted = pairs_where_model_agrees(adapter, task, unrestricted)
    same = sampler.sample(variable, sizes.same_value_pairs, same_value=True)
    same = pairs_where_model_agrees(adapter, task, same)
    pairs = _PairSets(third, unrestricted, same)
    judging = pairs.restricted_to_fit(False)
    candidates = (judging.third_token, judging.unrestricted)
    deciding = next((some for some in candidates if len(some) >= minimum), [])
    fitting = [p for some in pairs.restricted_to_fit(True) for p in some]
    patch = _places(adapter, variable, own)
    live = all(is_live(adapter, task, place.hook) for place in patch)
    if not deciding or not live or len(fitting) < minimum:
        return None
    return _Problem(patch, fitting, judging, deciding)


def _places(adapter: Adapter, variable: Variable, own: Sequence[Site]) -> Patch:
    """The output of the first layer at which the variable has a site, position by position."""
    outputs = [place for site in own for place in site.patch if place.is_layer_output]
    layer = min((place.layer for place in outputs), default=(adapter.n_layers - 2) // 2)
    hook = f"blocks.{layer}.hook_resid_post"
    pointer = variable.node.name if isinstance(variable.node, Reg) else ""
    if variable.kind is VariableKind.PREVIOUS_OUTPUT:
        positions = ["outputs", "prediction"]
    elif variable.kind is VariableKind.CONTENT and pointer:
        positions = [f"at {pointer}", f"others than {pointer}", "prediction"]
    else:
        positions = ["read", "others", "prediction"]
    return tuple(PatchLocation(hook, position).with_block_name(adapter) for position in positions)


def _dims(adapter: Adapter, config: CausalConfig) -> int:
    return max(1, adapter.d_model // config.subspaces.d_model_per_dim)


def _fit(
    adapter: Adapter, sampler: PairSampler, problem: _Problem, config: CausalConfig
) -> Sequence[Tensor]:
    """One orthonormal basis per place, (d_model, dims), whose interchange makes the model write
    the counterfactual tokens of the fitted pairs.
    """
    pairs = problem.fitting
    return learn_subspaces(
        adapter,
        sampler.task,
        build_base_batch(sampler.task, pairs),
        build_interchanges(PatchSpec(problem.patch), pairs),
        [p.counterfactual for p in pairs],
        dims=_dims(adapter, config),
        seed=sampler.seed,
    )


def _judge(
    adapter: Adapter,
    sampler: PairSampler,
    variable: Variable,
    problem: _Problem,
    bases: Sequence[Tensor],
    config: CausalConfig,
) -> Site | None:
    """The subspaces as a site, if they pass on the pairs that they were not fitted on."""
    task, patch, thresholds = sampler.task, problem.patch, config.sites
    learned = PatchSpec(patch, bases=bases)
    rates = [interchange_accuracy(adapter, task, some, learned) for some in problem.judging]
    seeds = range(sampler.seed + 1, sampler.seed + 1 + thresholds.random_directions)
    random = [PatchSpec(patch, bases=random_subspaces(bases, seed)) for seed in seeds]
    controls = [interchange_accuracy(adapter, task, problem.deciding, r).value for r in random]
    control = sum(controls) / len(controls)
    counted = [rate for rate in rates if rate.total >= thresholds.min_pairs]
    fails = any(rate.value < thresholds.min_accuracy for rate in counted)
    if control > thresholds.max_control or fails:
        return None
    third, unrestricted, same = rates
    reported = third if problem.deciding is problem.judging.third_token else unrestricted
    return Site(
        variable=variable.name,
        kind=variable.kind,
        patch=patch,
        accuracy=reported.value,
        interval=reported.interval,
        pairs=reported.total,
        control=control,
        same_value_control=same.value,
        accepted=True,
        third_token_accuracy=third,
        unrestricted_accuracy=unrestricted,
        dims=_dims(adapter, config),
        d_model=adapter.d_model,
    )
