"""Hooked models: one adapter over all kinds, training, checkpoints, greedy prediction."""

from __future__ import annotations

from recinterp.models.adapter import Adapter, Hook, predict
from recinterp.models.checkpoint import Checkpoint, list_shipped, load, save
from recinterp.models.evaluation import ExhaustiveAccuracy, exhaustive_accuracy
from recinterp.models.training.config import TrainConfig
from recinterp.models.training.recipes import RECIPES, Recipe, get_recipe
from recinterp.models.training.trainer import HistoryRow, TrainingRun, train
from recinterp.models.wrapped import Wrapped

__all__ = [
    "RECIPES",
    "Adapter",
    "Checkpoint",
    "ExhaustiveAccuracy",
    "HistoryRow",
    "Hook",
    "Recipe",
    "TrainConfig",
    "TrainingRun",
    "Wrapped",
    "exhaustive_accuracy",
    "get_recipe",
    "list_shipped",
    "load",
    "predict",
    "save",
    "train",
]
