"""Machine against machine: where they part, what kind of shortcut it is, and the verdict."""

from recinterp.diff.compare import Comparison, diff
from recinterp.diff.results import Diff, Divergence, ShareRow, Shortcut

__all__ = ["Comparison", "Diff", "Divergence", "ShareRow", "Shortcut", "diff"]
