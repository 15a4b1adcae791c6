"""Interventions: values that say what is edited, and an engine that proves and runs them.

from recinterp.perturb import Ablate, head, run
run(model, task, [["X1", "X0", "01"]], [Ablate(head(1, 0), "mean")], whole=True).changed
"""

from recinterp.perturb.plan import (
    Ablate,
    ForcePrefix,
    FreezePatterns,
    Interchange,
    Mixture,
    PathPatch,
    Plan,
    Redirect,
    Reference,
    Steer,
    Swap,
    Transplant,
    Unit,
    head,
    layer_output,
    mlp,
    stratum,
)
from recinterp.perturb.pointers import pointer
from recinterp.perturb.positions import ALL, INPUTS, OUTPUTS, PREDICTION, SEP, At
from recinterp.perturb.runner import Effects, run
from recinterp.perturb.subspace_search import learn_subspaces
from recinterp.perturb.sweeps import Swept, stream, sweep

__all__ = [
    "ALL",
    "INPUTS",
    "OUTPUTS",
    "PREDICTION",
    "SEP",
    "Ablate",
    "At",
    "Effects",
    "ForcePrefix",
    "FreezePatterns",
    "Interchange",
    "Mixture",
    "PathPatch",
    "Plan",
    "Redirect",
    "Reference",
    "Steer",
    "Swap",
    "Swept",
    "Transplant",
    "Unit",
    "head",
    "layer_output",
    "learn_subspaces",
    "mlp",
    "pointer",
    "run",
    "stratum",
    "stream",
    "sweep",
]
