"""The second half of an explanation: the activations that hold the machine's variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recinterp.causal.forced_prefixes import learn_forced_prefix_rules
from recinterp.causal.mechanism import decide_mechanism
from recinterp.causal.pairs import PairSampler
from recinterp.causal.prediction import measure_interventional_match
from recinterp.causal.results import ForcedPrefixRule, Mechanism, MechanismKind, Site
from recinterp.causal.sites import find_sites
from recinterp.causal.subspaces import localise_subspaces
from recinterp.causal.variables import tie_output_index_to_pointer
from recinterp.probe.heads import Head, LayerFinding, probe_heads
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.synthesis.search import SynthesisResult
    from recinterp.tasks import Task

LOOKED_AT = 200  # inputs that heads, sites and mechanism are measured on
LEARNED_ON = 600  # and that subspaces and overrides are learned and measured on


@dataclass(frozen=True)
class NetworkFindings:
    """What was found inside a model."""

    heads: tuple[Head, ...]
    layers: tuple[LayerFinding, ...]
    sites: tuple[Site, ...]
    mechanism: Mechanism
    forced_prefix_rules: tuple[ForcedPrefixRule, ...]
    interventional: Rate | None
    unpredicted_changes: Rate | None
    carried_state_contrast: Rate | None


NOTHING = NetworkFindings(
    (), (), (),
    Mechanism(kind=MechanismKind.OUTPUTS_ONLY),
    (), None, None, None,
)  # fmt: skip


def analyse_network(
    model: object, task: Task, built: SynthesisResult, seed: int
) -> NetworkFindings:
    """Heads, sites, mechanism and interventional match, on inputs the builder saw."""
    from torch import nn

    if not isinstance(model, nn.Module):
        return NOTHING
    from recinterp.models import Adapter
    from recinterp.models.torch_threads import fitting_threads

    with fitting_threads(model):
        return _look_inside(Adapter(model, task), task, built, seed)


def _look_inside(
    adapter: Adapter, task: Task, built: SynthesisResult, seed: int
) -> NetworkFindings:
    inputs, more = (
        built.dataset.inputs[:: 1 + len(built.dataset.inputs) // most]
        for most in (LOOKED_AT, LEARNED_ON)
    )
    wide = PairSampler(
        task, tie_output_index_to_pointer(built.chosen.machine), more, seed, built.dataset.most
    )
    finder = wide.restricted_to(inputs)
    report = probe_heads(adapter, task, inputs, seed)
    whole = find_sites(adapter, finder)
    held = localise_subspaces(adapter, wide, whole)
    how = decide_mechanism(adapter, finder, found=whole)
    behind = learn_forced_prefix_rules(adapter, wide)
    foretold = measure_interventional_match(adapter, wide, whole, forced_prefix_rules=behind)
    return NetworkFindings(
        report.heads, report.layers, held, how, behind,
        foretold.match, foretold.unpredicted_changes, foretold.carried_state_contrast,
    )  # fmt: skip
