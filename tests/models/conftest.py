"""Tiny models: a task to the length of five tokens, sixteen dimensions, tens of steps."""

from __future__ import annotations

import pytest
import torch

import recinterp as ri
from recinterp.models import TrainingRun
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends import native
from tests.models.tiny import TINY, random_weights


@pytest.fixture(scope="session")
def task() -> ri.Task:
    return ri.task("binary-successor", order="natural")


@pytest.fixture(scope="session")
def run(task: ri.Task) -> TrainingRun:
    """A model that has learned something, so that its outputs depend on its inputs."""
    return ri.train(task, ri.TrainConfig(steps=150, **TINY), progress=False, name="tiny")


@pytest.fixture
def shape() -> Shape:
    return Shape(n_layers=2, n_heads=2, d_model=16, d_head=8, d_mlp=32, n_ctx=14, d_vocab=7)


@pytest.fixture
def model(shape: Shape) -> torch.nn.Module:
    """A fresh random model of the installed TransformerLens, for tests that edit it."""
    return native.build_hooked(shape, random_weights(shape))
