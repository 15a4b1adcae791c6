"""What depends on what: origin maps, landmarks for pointers, heads that carry a recursion.

The two functions that query a model need torch, and are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recinterp.probe.config import HeadConfig
from recinterp.probe.landmarks import Landmark, landmarks
from recinterp.probe.origin import Alignment, Origin, OriginMap, origin_map
from recinterp.probe.results import Head, HeadReport, HeadRole, LayerFinding

if TYPE_CHECKING:
    from recinterp.probe.heads import head_scores, probe_heads

__all__ = [
    "Alignment",
    "Head",
    "HeadConfig",
    "HeadReport",
    "HeadRole",
    "Landmark",
    "LayerFinding",
    "Origin",
    "OriginMap",
    "head_scores",
    "landmarks",
    "origin_map",
    "probe_heads",
]


def __getattr__(name: str) -> object:
    if name not in ("head_scores", "probe_heads"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from recinterp.probe import heads

    return getattr(heads, name)
