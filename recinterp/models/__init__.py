"""Hooked models: one adapter over all kinds, training, checkpoints, greedy prediction."""

from __future__ import annotations

from recinterp.models.adapter import Adapter, Hook, predict

__all__ = ["Adapter", "Hook", "predict"]
