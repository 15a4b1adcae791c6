"""The fast backend gives what hooks give, for every kind of edit, at every layer."""

from __future__ import annotations

import itertools

import pytest
import torch

from recinterp.models import Adapter
from recinterp.perturb import (
    INPUTS,
    PREDICTION,
    SEP,
    Ablate,
    At,
    FreezePatterns,
    Interchange,
    Redirect,
    Steer,
    Transplant,
    Unit,
    head,
    layer_output,
    mlp,
    run,
)
from recinterp.perturb.fast import batching as folding
from recinterp.perturb.fast.support import FastBackend, fast_backend_for
from recinterp.perturb.lowering.lower import lower
from recinterp.perturb.plan import Intervention
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import hooks_needed, next_logits
from tests.perturb.untrained import (
    DECODER_SHAPES,
    INPUT,
    PREFIX,
    SOURCE,
    TASK,
    random_model,
    rotary,
    through_hooks,
)

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module", params=DECODER_SHAPES)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return Adapter(random_model(DECODER_SHAPES[request.param]), TASK)


def _units(layer: int, *, with_mlp: bool) -> list[Unit]:
    attn = f"blocks.{layer}.attn"
    units = [
        head(layer, 1),
        head(layer, 2, PREDICTION),
        head(layer),
        Unit(f"blocks.{layer}.hook_resid_pre", None, At("input", 2)),
        Unit(f"{attn}.hook_q", 1),
        Unit(f"{attn}.hook_q", 1, PREDICTION),
        Unit(f"{attn}.hook_k", 0, INPUTS),
        Unit(f"{attn}.hook_v", 3, At("input", 1)),
        Unit(f"blocks.{layer}.hook_attn_out", None, PREDICTION),
        Unit(f"{attn}.hook_z", 1, At("position", 4)),
        layer_output(layer, At("input", 3)),
        layer_output(layer, (INPUTS, PREDICTION)),
        layer_output(layer, At("input", (None,) * 4 + (8,) * 4)),  # short rows end before it
    ]
    if with_mlp:
        units += [mlp(layer, SEP), Unit(f"blocks.{layer}.mlp.hook_post", None, INPUTS)]
    return units


def plans(*, with_mlp: bool) -> list[list[Intervention]]:
    """Every kind of edit at every layer, and some that join layers."""
    made: list[list[Intervention]] = []
    wide = torch.linspace(-2, 2, 32)
    for layer in (0, 2):
        for number, unit in enumerate(_units(layer, with_mlp=with_mlp)):
            made += [[Interchange((unit,), SOURCE, PREFIX)], _others(unit)[number % 3]]
        made += [
            [Steer(layer_output(layer, At("input", 1)), wide, 2.0)],
            [Redirect(layer, 1, At("input", 0))],
            [Redirect(layer, None, INPUTS)],
            [Transplant(((layer, 0), (layer, 2)), SOURCE, PREFIX, "pattern")],
            [Ablate(head(0, 1)), FreezePatterns((layer,))],
            [Ablate(head(0, 1, INPUTS)), Redirect(layer, 1, At("input", 0))],
        ]
    both = (head(0, 1, At("input", 1)), layer_output(1, PREDICTION))
    return [*made, [Interchange(both, SOURCE, PREFIX)], []]


def _others(unit: Unit) -> list[list[Intervention]]:
    scrambled = Interchange((unit,), SOURCE, PREFIX, control_seed=3)
    return [[scrambled], [Ablate(unit)], [Ablate(unit, "mean")]]


def test_fast_backend_matches_hooks(adapter: Adapter) -> None:
    rows, backend = build_batch(TASK, INPUT, PREFIX), fast_backend_for(adapter)
    assert isinstance(backend, FastBackend), backend
    asked = plans(with_mlp=not adapter.model.cfg.attn_only)
    lowered = [lower(adapter, TASK, rows, plan) for plan in asked]
    # 20 tokens a call: less than two rows, so that calls are cut between rows.
    folded, cut = backend.run(rows, lowered), backend.run(rows, lowered, 20)
    assert float((folded - cut).abs().max()) < 1e-5
    clean = adapter.logits(rows.ids)[torch.arange(len(rows)), rows.prediction]
    moved = 0
    for plan, logits in zip(asked, folded, strict=True):
        wanted = through_hooks(adapter, rows, plan)
        assert float((wanted - logits).abs().max()) < 1e-5, plan
        moved += float((wanted - clean).abs().max()) > 1e-4
    assert moved > 0.8 * len(asked)  # else the comparison says nothing


def test_plans_with_the_same_start_share_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)
    rows, backend = build_batch(TASK, INPUT[:4], PREFIX[:4]), fast_backend_for(adapter)
    assert isinstance(backend, FastBackend)
    calls, resume = [], folding.resume
    monkeypatch.setattr(folding, "resume", lambda *a: calls.append(a) or resume(*a))
    heads = [[Ablate(head(*at))] for at in itertools.product(range(3), range(4))]
    got = backend.run(rows, [lower(adapter, TASK, rows, plan) for plan in heads])
    assert len(calls) == 3  # one a layer
    for plan, logits in zip(heads, got, strict=True):
        assert float((through_hooks(adapter, rows, plan) - logits).abs().max()) < 1e-5


def test_changed_weights_are_read_again() -> None:
    adapter = Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)
    rows = build_batch(TASK, INPUT, PREFIX)
    before = next_logits(adapter, TASK, rows)
    with torch.no_grad():
        for parameter in adapter.model.parameters():
            parameter.mul_(1.1)
    after = next_logits(adapter, TASK, rows)
    own = adapter.logits(rows.ids)[torch.arange(len(rows)), rows.prediction]
    assert float((after - own).abs().max()) < 1e-5 < float((before - own).abs().max())


def test_unsupported_hooks_and_settings_are_named_as_the_reason_for_hooks() -> None:
    adapter = Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)
    embedding = Ablate(Unit("hook_embed", None, At("input", 0)))
    effects = run(adapter, TASK, INPUT, [embedding])
    assert effects.backend == "hooks: the fast backend has no point hook_embed"
    assert run(adapter, TASK, INPUT, [Ablate(head(0, 0))]).backend == "fast"
    soft = Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)
    soft.model.cfg.output_logits_soft_cap = 30.0
    assert hooks_needed(soft) == "it has output_logits_soft_cap"


def test_model_that_contradicts_its_settings_uses_hooks() -> None:
    adapter = Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)
    adapter.model.cfg.act_fn = "relu"
    assert "its logits differ" in hooks_needed(adapter)
    shut = run(adapter, TASK, INPUT, [Ablate(head(0, 0))])
    adapter.model.cfg.act_fn = "gelu"
    rows = build_batch(TASK, INPUT)
    wanted = through_hooks(adapter, rows, [Ablate(head(0, 0))])
    torch.testing.assert_close(shut.logits, wanted)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("turned", [8, 4])
def test_fast_backend_matches_hooks_with_rotary_rms_and_gates(gated: bool, turned: int) -> None:
    adapter = Adapter(rotary(gated=gated, turned=turned), TASK)
    rows, backend = build_batch(TASK, INPUT, PREFIX), fast_backend_for(adapter)
    assert isinstance(backend, FastBackend), backend
    asked = [
        [Ablate(head(layer, 1, at), "mean")] for layer in (0, 1) for at in (INPUTS, PREDICTION)
    ]
    asked += [[Redirect(0, 1, INPUTS)], [Ablate(Unit("blocks.0.attn.hook_q", 1, PREDICTION))]]
    asked += [[Ablate(layer_output(0, At("input", 3)), "mean")]]
    asked += [[Interchange((Unit("blocks.0.attn.hook_k", 2, INPUTS),), SOURCE, PREFIX)]]
    for plan in asked:
        assert hooks_needed(adapter, plan) == ""
        got = backend.run(rows, [lower(adapter, TASK, rows, plan)])[0]
        assert float((through_hooks(adapter, rows, plan) - got).abs().max()) < 1e-5, plan
