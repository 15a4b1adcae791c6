"""Whole outputs under interventions are the same with kept keys and values as without them."""

from __future__ import annotations

import pytest
import torch

from recinterp.models import Adapter
from recinterp.perturb import (
    INPUTS,
    OUTPUTS,
    PREDICTION,
    SEP,
    Ablate,
    At,
    Interchange,
    Redirect,
    Steer,
    Swap,
    Transplant,
    Unit,
    head,
    layer_output,
)
from recinterp.perturb import runner as engine
from recinterp.perturb.fast.decode import supports_kv_cache
from recinterp.perturb.plan import Intervention
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import generate
from tests.perturb.untrained import DECODER_SHAPES, INPUT, PREFIX, SOURCE, TASK, random_model

pytestmark = pytest.mark.backend
PLANS: dict[str, list[Intervention]] = {
    "every position": [Ablate(head(0, 1))],
    "the query, which is an output later": [Ablate(head(0, 1, PREDICTION))],
    "keys and values of the query": [Ablate(Unit("blocks.0.attn.hook_v", 1, PREDICTION))],
    "query and inputs": [Ablate(head(1, 2, PREDICTION)), Ablate(head(0, 0, INPUTS))],
    "attention of the query": [Redirect(1, 1, At("input", 0)), Redirect(0, None, INPUTS)],
    "what it was a step ago": [Ablate(head(0, 1, (SEP, OUTPUTS)))],
    "another row's query": [Transplant(((0, 0), (1, 2)), SOURCE, PREFIX, "pattern")],
    "a mean": [Ablate(layer_output(0, PREDICTION), "mean", INPUT[:3])],
    "an input and the query": [
        Interchange((layer_output(0, At("input", 2)), head(1, 1, PREDICTION)), SOURCE, PREFIX)
    ],
    "an absolute position, not there at first": [
        Steer(layer_output(1, At("position", 8)), torch.linspace(-3, 3, 32))
    ],
    "a swapped token": [Swap(((0, "X1"),) * 8), Ablate(head(0, 1, PREDICTION))],
}


@pytest.fixture(scope="module")
def adapter() -> Adapter:
    # Attention alone: its outputs hang on the input, so that an edit shows.
    return Adapter(random_model(DECODER_SHAPES["LNPre, no MLP"]), TASK)


@pytest.fixture(scope="module")
def clean(adapter: Adapter) -> tuple[tuple[str, ...], ...]:
    return generate(adapter, TASK, build_batch(TASK, INPUT, PREFIX))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_kv_cache_does_not_change_outputs(
    adapter: Adapter,
    clean: tuple[tuple[str, ...], ...],
    plan: list[Intervention],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = build_batch(TASK, INPUT, PREFIX)
    assert supports_kv_cache(plan)
    kept = generate(adapter, TASK, rows, plan)
    monkeypatch.setattr(engine, "supports_kv_cache", lambda _: False)
    assert kept == generate(adapter, TASK, rows, plan)
    assert kept != clean


def test_plans_that_grow_with_the_output_do_not_use_the_kv_cache(adapter: Adapter) -> None:
    assert not supports_kv_cache([Ablate(head(0, 1), "mean")])
    assert not supports_kv_cache([Ablate(head(0, 1), "resample", INPUT[:2])])
    assert not supports_kv_cache([Interchange((head(0, 1),), SOURCE, PREFIX)])
