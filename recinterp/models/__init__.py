"""Hooked models: one adapter over all kinds, training, checkpoints, greedy prediction."""

from __future__ import annotations

from recinterp.models.adapter import Adapter, Hook, predict
from recinterp.models.checkpoint import Checkpoint, load, save, shipped
from recinterp.models.config import TrainConfig
from recinterp.models.train import Progress, Run, train

__all__ = [
    "Adapter",
    "Checkpoint",
    "Hook",
    "Progress",
    "Run",
    "TrainConfig",
    "load",
    "predict",
    "save",
    "shipped",
    "train",
]
