"""How good is a machine? Held-out strata, rates with intervals, baselines. No builder asks here."""

from recinterp.judge.cached_model import CachedModel
from recinterp.judge.config import FidelityConfig
from recinterp.judge.measurement import Fidelity, Stratum, fidelity

__all__ = ["CachedModel", "Fidelity", "FidelityConfig", "Stratum", "fidelity"]
