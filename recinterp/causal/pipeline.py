"""The network half of an explanation: where and how a model computes what its machine says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recinterp.causal.config import DEFAULTS, CausalConfig
from recinterp.causal.continuations import find_continuation
from recinterp.causal.continuations.attention import settle_landmarks
from recinterp.causal.forced_prefixes import NextTokenPredictor, learn_forced_prefix_rules
from recinterp.causal.mechanism import decide_mechanism, settle_mechanism
from recinterp.causal.pairs import PairSampler
from recinterp.causal.prediction import measure_interventional_match
from recinterp.causal.results import (
    ContinuationFinding,
    ForcedPrefixRule,
    Mechanism,
    MechanismKind,
    Site,
)
from recinterp.causal.sites import find_sites
from recinterp.causal.subspaces import localise_subspaces
from recinterp.causal.variables import tie_output_index_to_pointer
from recinterp.probe import Head, HeadConfig, LayerFinding, probe_heads
from recinterp.probe.config import DEFAULTS as HEADS
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.synthesis.search import SynthesisResult
    from recinterp.tasks import Task


@dataclass(frozen=True, kw_only=True)
class NetworkFindings:
    """What was found inside a model.

    Attributes:
        heads: every attention head with its scores and controls.
        layers: whether a layer's heads carry the recursion together.
        sites: where the machine's variables are stored; complete activations and subspaces.
        mechanism: how the model obtains the machine's state.
        continuation: how the model finds where it goes on, where the outputs do not tell.
        forced_prefix_rules: what the model does after outputs that it would not have written, where
            the continuation is not decided.
        interventional: share of interventions whose token the machine predicts exactly; None where
            the model's activations cannot be read.
        unpredicted_changes: share of changed tokens among interventions that should change nothing.
        carried_state_contrast: the share predicted exactly, of the interventions on which a machine
            that carries its state in the output predicts another token.
    """

    heads: tuple[Head, ...] = ()
    layers: tuple[LayerFinding, ...] = ()
    sites: tuple[Site, ...] = ()
    mechanism: Mechanism
    continuation: ContinuationFinding = field(default_factory=ContinuationFinding)
    forced_prefix_rules: tuple[ForcedPrefixRule, ...] = ()
    interventional: Rate | None = None
    unpredicted_changes: Rate | None = None
    carried_state_contrast: Rate | None = None


def analyse_network(
    model: object,
    task: Task,
    result: SynthesisResult,
    seed: int,
    config: CausalConfig = DEFAULTS,
    head_config: HeadConfig = HEADS,
) -> NetworkFindings:
    """Find heads, sites and mechanism of a model, and how well its machine predicts interventions.

    Args:
        model: a model whose activations can be read; for any other function there are no findings.
        task: the task it was trained on.
        result: the machine that was learned from its outputs, and the inputs it was learned on.
        seed: seed of every draw.
        config: the thresholds.
        head_config: the thresholds of head roles.
    """
    from torch import nn

    if not isinstance(model, nn.Module):
        return NetworkFindings(
            mechanism=Mechanism(kind=MechanismKind.OUTPUTS_ONLY),
            continuation=ContinuationFinding(chosen=result.chosen.machine.continuation),
        )
    from recinterp.models import Adapter
    from recinterp.models.torch_threads import fitting_threads

    with fitting_threads(model):
        return _analyse(Adapter(model, task), task, result, seed, config, head_config)


def _analyse(
    adapter: Adapter,
    task: Task,
    result: SynthesisResult,
    seed: int,
    config: CausalConfig,
    head_config: HeadConfig,
) -> NetworkFindings:
    inputs, max_steps = result.dataset.inputs, result.dataset.max_steps
    measured = _thin_out(inputs, config.measured_inputs)
    fitted = _thin_out(inputs, config.fitted_inputs)
    machine = tie_output_index_to_pointer(result.chosen.machine)
    sampler = PairSampler(task, machine, fitted, seed, max_steps, config.pairs)
    measuring = sampler.restricted_to(measured)

    heads = probe_heads(adapter, task, measured, seed, config=head_config)
    sites = find_sites(adapter, measuring, config.sites)
    subspaces = localise_subspaces(adapter, sampler, sites, config)
    mechanism = decide_mechanism(adapter, measuring, sites=sites, config=config)
    continuation, telling = find_continuation(
        adapter, sampler, result.dataset, config.continuations
    )
    rules: tuple[ForcedPrefixRule, ...] = ()
    if not continuation.decided:
        rules = learn_forced_prefix_rules(adapter, sampler, config.forced_prefixes)
    predictor = NextTokenPredictor(
        machine=machine.with_continuation(*continuation.chosen),
        forced_prefix_rules=rules,
        pulls=continuation.pulls,
    )
    prediction = measure_interventional_match(
        adapter, sampler, sites, predictor=predictor, config=config.prediction
    )
    return NetworkFindings(
        heads=settle_landmarks(
            adapter,
            sampler,
            heads.heads,
            telling,
            [score.continuation for score in continuation.scores],
            config.continuations,
            head_config.min_followed,
        ),
        layers=heads.layers,
        sites=subspaces,
        mechanism=settle_mechanism(mechanism, continuation),
        continuation=continuation,
        forced_prefix_rules=rules,
        interventional=prediction.match,
        unpredicted_changes=prediction.unpredicted_changes,
        carried_state_contrast=prediction.carried_state_contrast,
    )


def _thin_out(inputs: Sequence[Sequence[str]], limit: int) -> Sequence[Sequence[str]]:
    """Every k-th input, so that at most `limit` are left."""
    return inputs[:: 1 + len(inputs) // limit]
