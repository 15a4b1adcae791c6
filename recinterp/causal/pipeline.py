"""The second half of an explanation: the activations that hold the machine's variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recinterp.causal.forced_prefixes import Override, overrides
from recinterp.causal.mechanism import Mechanism, mechanism
from recinterp.causal.pairs import Pairs
from recinterp.causal.prediction import interventional
from recinterp.causal.sites import Site, sites
from recinterp.causal.subspaces import alone
from recinterp.causal.variables import by_pointer
from recinterp.probe.heads import Head, LayerFinding, probe_heads
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.synthesis.search import Reconstruction
    from recinterp.tasks import Task

LOOKED_AT = 200  # inputs that heads, sites and mechanism are measured on
LEARNED_ON = 600  # and that subspaces and overrides are learned and measured on


@dataclass(frozen=True)
class Network:
    """What was found inside a model."""

    heads: tuple[Head, ...]
    layers: tuple[LayerFinding, ...]
    sites: tuple[Site, ...]
    mechanism: Mechanism
    overrides: tuple[Override, ...]
    interventional: Rate | None
    false_effects: Rate | None
    rivals_apart: Rate | None


NOTHING = Network(
    (), (), (),
    Mechanism("neither", Rate(0, 0), Rate(0, 0), None, "Only its outputs were looked at."),
    (), None, None, None,
)  # fmt: skip


def look_inside(model: object, task: Task, built: Reconstruction, seed: int) -> Network:
    """Heads, sites, mechanism and interventional match, on inputs the builder saw."""
    from torch import nn

    if not isinstance(model, nn.Module):
        return NOTHING
    from recinterp.models import Adapter
    from recinterp.models.torch_threads import fitting_threads

    with fitting_threads(model):
        return _look_inside(Adapter(model, task), task, built, seed)


def _look_inside(adapter: Adapter, task: Task, built: Reconstruction, seed: int) -> Network:
    inputs, more = (
        built.logs.inputs[:: 1 + len(built.logs.inputs) // most] for most in (LOOKED_AT, LEARNED_ON)
    )
    wide = Pairs(task, by_pointer(built.chosen.machine), more, seed, built.logs.most)
    finder = wide.among(inputs)
    report = probe_heads(adapter, task, inputs, seed)
    whole = sites(adapter, finder)
    held = alone(adapter, wide, whole)
    how = mechanism(adapter, finder, found=whole)
    behind = overrides(adapter, wide)
    foretold = interventional(adapter, wide, whole, overrides=behind)
    return Network(
        report.heads, report.layers, held, how, behind,
        foretold.match, foretold.false_effects, foretold.rivals_apart,
    )  # fmt: skip
