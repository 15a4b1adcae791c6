"""Where a learned machine leaves the truth: groups, kinds of shortcut, the verdict."""

from recinterp.divergence.results import Diff, Divergence, ShareRow, Shortcut

__all__ = ["Diff", "Divergence", "ShareRow", "Shortcut"]
