"""What depends on what: origin maps, landmarks for pointers, heads that carry a recursion."""

from recinterp.probe.config import HeadConfig
from recinterp.probe.heads import head_scores, probe_heads
from recinterp.probe.landmarks import Landmark, landmarks
from recinterp.probe.origin import Alignment, Origin, OriginMap, origin_map
from recinterp.probe.results import Head, HeadReport, HeadRole, LayerFinding

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
