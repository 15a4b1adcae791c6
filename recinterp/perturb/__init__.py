"""Interventions: values that say what is edited, and an engine that proves and runs them.

from recinterp.perturb import Ablate, head, run
run(model, task, [["X1", "X0", "01"]], [Ablate(head(1, 0), "mean")], whole=True).changed
"""

from recinterp.perturb.controls import random_direction, random_heads, untrained_twin
from recinterp.perturb.liveness import assert_live, is_live
from recinterp.perturb.lowering.sources import source_cache
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
from recinterp.perturb.positions import (
    ALL,
    INPUTS,
    OUTPUTS,
    QUERY,
    SEP,
    At,
    PromptBatch,
    Where,
    build_batch,
)
from recinterp.perturb.runner import Effects, generate, hooks_needed, next_logits, next_tokens, run
from recinterp.perturb.subspace_search import learn_subspaces, random_subspaces
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
    "PromptBatch",
    "Redirect",
    "Reference",
    "Steer",
    "Swap",
    "Swept",
    "Transplant",
    "Unit",
    "Where",
    "assert_live",
    "build_batch",
    "changed",
    "generate",
    "head",
    "hooks_needed",
    "is_live",
    "last_logits",
    "layer_output",
    "learn_subspaces",
    "mlp",
    "next_logits",
    "next_tokens",
    "pointer",
    "random_direction",
    "random_heads",
    "random_subspaces",
    "run",
    "shift",
    "source_cache",
    "stratum",
    "stream",
    "sweep",
    "untrained_twin",
]
