"""Where a learned machine differs from the ground truth: groups, kinds of shortcut, verdict."""

from recinterp.divergence.config import DivergenceConfig
from recinterp.divergence.results import (
    Accuracy,
    Diff,
    Divergence,
    ErrorCell,
    Region,
    Shortcut,
    ShortcutKind,
    Verdict,
)

__all__ = [
    "Accuracy",
    "Diff",
    "Divergence",
    "DivergenceConfig",
    "ErrorCell",
    "Region",
    "Shortcut",
    "ShortcutKind",
    "Verdict",
]
