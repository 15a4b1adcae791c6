"""What depends on what: origin maps, landmarks for pointers, heads that carry a recursion."""

from recinterp.probe.heads import Head, HeadReport, LayerFinding, head_scores, probe_heads
from recinterp.probe.landmarks import Landmark, landmarks
from recinterp.probe.origin import Alignment, Origin, OriginMap, origin_map

__all__ = [
    "Alignment",
    "Head",
    "HeadReport",
    "Landmark",
    "LayerFinding",
    "Origin",
    "OriginMap",
    "head_scores",
    "landmarks",
    "origin_map",
    "probe_heads",
]
