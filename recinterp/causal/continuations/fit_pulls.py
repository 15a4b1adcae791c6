"""Pulls are fitted to forced outputs: the weights of a conditional logit model.

Reference: McFadden, Conditional logit analysis of qualitative choice behavior (1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float

from recinterp.causal.pulls import KEYS, pull_table
from recinterp.causal.results import Pull
from recinterp.tokens import EOS

if TYPE_CHECKING:
    from recinterp.causal.continuations.trials import ForcedTrial

StepMask: TypeAlias = Bool[np.ndarray, "trials steps"]


def fit_pulls(
    trials: Sequence[ForcedTrial], *, penalty: float = 1e-3, iterations: int = 240
) -> tuple[Pull, ...]:
    """Fit the pulls to forced outputs.

    Args:
        trials: forced outputs with the model's next tokens.
        penalty: weight of the squared pulls in the loss.
        iterations: steps of the optimiser.

    Returns:
        The pulls; none where no trial is explained by any step.
    """
    tables, named, inside = _stack(trials)
    usable = named.any(1)
    if not usable.any():
        return ()
    table, right, steps = (torch.from_numpy(x[usable]) for x in (tables, named, inside))
    weights = torch.zeros(len(KEYS), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=iterations)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        scores = (table @ weights).masked_fill(~steps, -1e9)
        of_token = scores.masked_fill(~right, -1e9).logsumexp(1)
        found = (scores.logsumexp(1) - of_token).mean() + penalty * weights.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return tuple(
        Pull(kind=kind, offset=offset, written=written, left=left, weight=round(weight, 2))
        for (kind, offset, written, left), weight in zip(
            KEYS, weights.detach().tolist(), strict=True
        )
    )


def _stack(
    trials: Sequence[ForcedTrial],
) -> tuple[Float[np.ndarray, "trials steps pulls"], StepMask, StepMask]:
    """The tables of all trials, padded; the steps that write the model's token; all steps."""
    width = 1 + max(len(x.forced.own) for x in trials)
    tables = np.zeros((len(trials), width, len(KEYS)))
    named = np.zeros((len(trials), width), dtype=bool)
    inside = named.copy()
    for row, trial in enumerate(trials):
        own = trial.forced.own
        tables[row, : len(own) + 1] = pull_table(own, trial.forced.prefix)
        named[row, : len(own) + 1] = [x == trial.token for x in (*own, EOS)]
        inside[row, : len(own) + 1] = True
    return tables, named, inside
