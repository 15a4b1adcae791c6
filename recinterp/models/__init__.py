"""Hooked models: one adapter over all kinds, training, checkpoints, greedy prediction."""

from __future__ import annotations

from recinterp.models.adapter import Adapter, Hook, predict
from recinterp.models.checkpoint import Checkpoint, load, save, shipped
from recinterp.models.config import TrainConfig
from recinterp.models.exhaustive import Census, census
from recinterp.models.recipes import RECIPES, Recipe, recipe
from recinterp.models.training import Progress, Run, train

__all__ = [
    "RECIPES",
    "Adapter",
    "Census",
    "Checkpoint",
    "Hook",
    "Progress",
    "Recipe",
    "Run",
    "TrainConfig",
    "census",
    "load",
    "predict",
    "recipe",
    "save",
    "shipped",
    "train",
]
