"""A hash that identifies a sequence of plans, in bounded memory.

plan_hash = PlanHash()
for plan in plans:
    plan_hash.add(plan)
plan_hash.hex                 # of these plans in this order
"""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from recinterp.perturb.plan import Plan


class PlanHash:
    """A hash over plans, updated plan by plan; `hex` is its value."""

    def __init__(self) -> None:
        self.hex = ""
        self._known: dict[int, tuple[object, bytes]] = {}

    def add(self, plan: Plan) -> None:
        """Append a plan."""
        parts = b"".join(self._digest(step) for step in plan)
        self.hex = hashlib.sha256(self.hex.encode() + parts).hexdigest()

    def _digest(self, value: object) -> bytes:
        # A sweep uses the same sources a thousand times: they are recognised by identity.
        held = self._known.get(id(value))
        if held is not None and held[0] is value:
            return held[1]
        digest = hashlib.sha256(self._serialised(value)).digest()
        if isinstance(value, tuple | Tensor):
            if len(self._known) >= 256:  # bounds the memory
                self._known.clear()
            self._known[id(value)] = (value, digest)
        return digest

    def _serialised(self, value: object) -> bytes:
        """A value and its type as bytes."""
        kind = type(value).__name__.encode()
        if isinstance(value, Tensor):
            plain = value.detach().cpu().contiguous()
            return b"|".join((kind, repr(plain.shape).encode(), plain.numpy().tobytes()))
        if is_dataclass(value):
            parts = [self._digest(getattr(value, field.name)) for field in fields(value)]
            return kind + b"".join(parts)
        if isinstance(value, tuple | list):
            return b"tuple" + b"".join(self._digest(part) for part in value)
        return kind + repr(value).encode()
