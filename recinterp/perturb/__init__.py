"""Interventions: values that say what is edited, and an engine that proves and runs them.

from recinterp.perturb import Ablate, head, run
run(model, task, [["X1", "X0", "01"]], [Ablate(head(1, 0), "mean")], whole=True).changed
"""

from recinterp.perturb.controls import random_direction, random_heads, untrained_twin
from recinterp.perturb.liveness import is_live, prove
from recinterp.perturb.lowering.sources import sources_kept
from recinterp.perturb.plan import (
    Ablate,
    ForcePrefix,
    FreezePatterns,
    Interchange,
    Intervention,
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
from recinterp.perturb.positions import ALL, INPUTS, OUTPUTS, QUERY, SEP, At, Rows, Where, lay_out
from recinterp.perturb.runner import Effects, generate, hooks_needed, next_logits, run, say
from recinterp.perturb.subspace_search import random_subspaces, subspaces
from recinterp.perturb.sweeps import Swept, changed, last_logits, shift, stream, sweep

__all__ = [
    "ALL",
    "INPUTS",
    "OUTPUTS",
    "QUERY",
    "SEP",
    "Ablate",
    "At",
    "Effects",
    "ForcePrefix",
    "FreezePatterns",
    "Interchange",
    "Intervention",
    "Mixture",
    "PathPatch",
    "Plan",
    "Redirect",
    "Reference",
    "Rows",
    "Steer",
    "Swap",
    "Swept",
    "Transplant",
    "Unit",
    "Where",
    "changed",
    "generate",
    "head",
    "hooks_needed",
    "is_live",
    "last_logits",
    "lay_out",
    "layer_output",
    "mlp",
    "next_logits",
    "pointer",
    "prove",
    "random_direction",
    "random_heads",
    "random_subspaces",
    "run",
    "say",
    "shift",
    "sources_kept",
    "stratum",
    "stream",
    "subspaces",
    "sweep",
    "untrained_twin",
]
