"""Where query heads share keys and values: a path reaches its receiver only, by its own number."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from recinterp.errors import UnknownHookError
from recinterp.models.backends.transformer_lens import has_bridge
from recinterp.perturb import Ablate, Interchange, PathPatch, Steer, Unit, head, run, sweep
from recinterp.perturb.plan import Plan
from tests.perturb.untrained import INPUT, PREFIX, SOURCE, TASK

pytestmark = pytest.mark.skipif(not has_bridge(), reason="3.9 wraps no Hugging Face model")
TASK_IDS = TASK.with_vocab({"X0": 4, "X1": 5, "01": 3}, pad=0, sep=2, eos=1)
HEADS, SHARED = 4, 2


def llama(key_heads: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8, hidden_size=16, intermediate_size=32, num_hidden_layers=3,
            num_attention_heads=HEADS, num_key_value_heads=key_heads, max_position_embeddings=24,
        )
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    """A model with shared keys, and the same function with keys and values of each head's own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shared, own = llama(SHARED), llama(HEADS)
        with torch.no_grad():
            for parameter in shared.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    weights = dict(shared.state_dict())
    for name, value in weights.items():
        if name.endswith(("k_proj.weight", "v_proj.weight")):
            per_head = value.view(SHARED, -1, value.shape[-1])
            weights[name] = per_head.repeat_interleave(HEADS // SHARED, 0).flatten(0, 1)
    own.load_state_dict(weights)
    return shared, own


def logits(model: nn.Module, plan: Plan) -> torch.Tensor:
    return run(model, TASK_IDS, INPUT, plan, PREFIX).logits


@pytest.mark.parametrize("mlps", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("receiver", range(HEADS))
@pytest.mark.parametrize("through", ["q", "k", "v"])
def test_a_path_equals_that_of_the_model_with_keys_of_its_own(
    pair: tuple[nn.Module, nn.Module], through: Any, receiver: int, mlps: bool
) -> None:
    plan = [PathPatch((0, 1), (2, receiver), through, SOURCE, PREFIX, mlps=mlps)]
    shared, own = (logits(model, plan) for model in pair)
    torch.testing.assert_close(shared, own, atol=1e-5, rtol=1e-5)
    assert float((shared - logits(pair[0], [])).abs().max()) > 1e-4


def test_paths_combine_with_each_other_and_with_other_interventions(
    pair: tuple[nn.Module, nn.Module],
) -> None:
    paths = [
        PathPatch((0, 1), (1, 0), "v", SOURCE, PREFIX),
        PathPatch((0, 1), (2, 3), "v", SOURCE, PREFIX),
        PathPatch((0, 1), (2, 2), "k", SOURCE, PREFIX),
        PathPatch((0, 2), (2, 2), "v", SOURCE, PREFIX),
    ]
    for plan in (paths, [*paths, Ablate(head(1, 1)), Ablate(head(2, 3), "mean")]):
        shared, own = (logits(model, plan) for model in pair)
        torch.testing.assert_close(shared, own, atol=1e-5, rtol=1e-5)
    swept = sweep(pair[0], TASK_IDS, INPUT, [paths, paths[:1]], PREFIX)
    own_swept = sweep(pair[1], TASK_IDS, INPUT, [paths, paths[:1]], PREFIX)
    torch.testing.assert_close(swept.values, own_swept.values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("part", ["k", "v"])
def test_a_shared_head_is_edited_for_all_that_read_it(
    pair: tuple[nn.Module, nn.Module], part: str
) -> None:
    hook = f"blocks.1.attn.hook_{part}"
    direction = torch.arange(4.0)
    for mine, theirs in [
        ([Ablate(Unit(hook, 1))], [Ablate((Unit(hook, 2), Unit(hook, 3)))]),
        ([Steer(Unit(hook, 1), direction)], [Steer(Unit(hook, h), direction) for h in (2, 3)]),
        (
            [Interchange((Unit(hook, 1),), SOURCE, PREFIX)],
            [Interchange((Unit(hook, 2), Unit(hook, 3)), SOURCE, PREFIX)],
        ),
    ]:
        shared, own = logits(pair[0], mine), logits(pair[1], theirs)
        torch.testing.assert_close(shared, own, atol=1e-5, rtol=1e-5)
        assert float((shared - logits(pair[0], [])).abs().max()) > 1e-4


@pytest.mark.parametrize("part", ["k", "v"])
@pytest.mark.parametrize("missing", [2, 3, -1])
def test_a_missing_key_value_head_is_named(
    pair: tuple[nn.Module, nn.Module], part: str, missing: int
) -> None:
    unit = Unit(f"blocks.1.attn.hook_{part}", missing)
    for call in (run, lambda *given: sweep(*given[:3], [given[3]])):
        with pytest.raises(UnknownHookError, match="its key/value heads are 0 to 1"):
            call(pair[0], TASK_IDS, INPUT, [Ablate(unit)])
    with pytest.raises(UnknownHookError, match="its heads are 0 to 3"):
        logits(pair[0], [PathPatch((0, 1), (2, 4), "v", SOURCE, PREFIX)])
