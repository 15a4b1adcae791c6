"""Where a learned machine differs from the ground truth: groups, kinds of shortcut, verdict."""

from recinterp.divergence.config import DivergenceConfig
from recinterp.divergence.regions import FeatureKind, InputCondition, Region
from recinterp.divergence.results import (
    Accuracy,
    Cause,
    CauseKind,
    Coverage,
    Diff,
    Divergence,
    ErrorCell,
    Shortcut,
    ShortcutKind,
    Verdict,
)

__all__ = [
    "Accuracy",
    "Cause",
    "CauseKind",
    "Coverage",
    "Diff",
    "Divergence",
    "DivergenceConfig",
    "ErrorCell",
    "FeatureKind",
    "InputCondition",
    "Region",
    "Shortcut",
    "ShortcutKind",
    "Verdict",
]
