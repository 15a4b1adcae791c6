"""A small model is asked on one torch thread, a large one on all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

import recinterp as ri
from recinterp.judge import CachedModel
from recinterp.models.torch_threads import SMALL_MODEL, fitting_threads


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("width", "threads"), [(10, 1), (SMALL_MODEL, 2)])
def test_small_models_run_on_one_thread(width: int, threads: int) -> None:
    with torch.device("meta"):
        model = nn.Linear(width, 1)
    with fitting_threads(model):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2


def test_cached_models_query_a_small_model_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    task, seen = ri.task("binary-successor"), list[int]()

    def predict(model: nn.Module, task: ri.Task, inputs: list[list[str]]) -> list[list[str]]:
        seen.append(torch.get_num_threads())
        return task.apply_many(inputs)

    monkeypatch.setattr("recinterp.models.predict", predict)
    CachedModel.of(nn.Linear(2, 2), task)([["01"]])
    assert (seen, torch.get_num_threads()) == ([1], 2)
