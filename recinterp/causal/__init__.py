"""Machine to network: the activations that store a machine's variables, found by interventions."""

from recinterp.causal.config import (
    CausalConfig,
    ForcedPrefixConfig,
    MechanismConfig,
    PairConfig,
    PredictionConfig,
    SiteConfig,
    SubspaceConfig,
)
from recinterp.causal.results import (
    ForcedPrefixRule,
    Mechanism,
    MechanismKind,
    PrefixFeature,
    Site,
)
from recinterp.causal.variables import VariableKind

__all__ = [
    "CausalConfig",
    "ForcedPrefixConfig",
    "ForcedPrefixRule",
    "Mechanism",
    "MechanismConfig",
    "MechanismKind",
    "PairConfig",
    "PredictionConfig",
    "PrefixFeature",
    "Site",
    "SiteConfig",
    "SubspaceConfig",
    "VariableKind",
]
