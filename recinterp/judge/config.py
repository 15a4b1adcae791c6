"""How many held-out inputs a machine is judged on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FidelityConfig:
    """Sizes of the held-out sets.

    Attributes:
        max_inputs: Most held-out inputs in a stratum. With 500 the 95 % interval of a rate is at
            most 9 percentage points wide.
        draws_per_cell: Inputs drawn of each length and depth. One in five inputs is held out, so
            about 32 of 160 remain.
        in_distribution_draws: Inputs drawn from the training distribution. About 800 of 4,000 are
            held out, before duplicates are dropped and the rest is thinned to `max_inputs`.
    """

    max_inputs: int = 500
    draws_per_cell: int = 160
    in_distribution_draws: int = 4_000


DEFAULTS = FidelityConfig()
