"""T5's own words, relative positions and all, at the speed of kept keys and values."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.t5 import continue_t5
from recinterp.errors import IncompatibleModelError
from recinterp.models.backends.transformer_lens import has_bridge

pytestmark = pytest.mark.backend
SIZES: dict[str, Any] = {
    "vocab_size": 16, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4,
    "dropout_rate": 0.0, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "as first published": {},
    "gated, untied": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "few and near buckets": {
        "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12,
        "num_decoder_layers": 3,
    },
}  # fmt: skip
STEPS = 12


def t5(**more: Any) -> Any:
    """One of random weights, spread so far that its largest two logits are seldom alike."""
    from transformers import T5Config, T5ForConditionalGeneration

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = T5ForConditionalGeneration(T5Config(**(SIZES | more)))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0.0, 0.5)
    return model.eval()


def prompts() -> torch.Tensor:
    """Longer than the reach of the nearest buckets."""
    return torch.randint(2, 16, (20, 19), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_continuation_matches_the_generation_of_transformers(kind: dict[str, Any]) -> None:
    model, ids = t5(**kind), prompts()
    with torch.no_grad():
        wanted = model.generate(
            ids, max_new_tokens=STEPS, min_new_tokens=STEPS, do_sample=False,
            attention_mask=torch.ones_like(ids), use_cache=False,
        )[:, 1:]  # fmt: skip
        said = continue_t5(model, ids, STEPS, rows=8)
        # Its generation never says EOS so early: rows that would are compared up to there.
        ended = (said == 1).cumsum(1) > 0
    assert said.shape == (20, STEPS)
    assert torch.equal(said[~ended], wanted[~ended])
    assert len(said[~ended]) > 60
    assert len(said.unique(dim=0)) > 5


def test_relative_positions_matter() -> None:
    model = t5()
    ids = prompts()
    with torch.no_grad():
        before = continue_t5(model, ids, STEPS)
        for half in (model.encoder, model.decoder):
            half.block[0].layer[0].SelfAttention.relative_attention_bias.weight.zero_()
        assert not torch.equal(continue_t5(model, ids, STEPS), before)


@pytest.mark.skipif(not has_bridge(), reason="3.9 builds no bridges")
def test_bridge_gives_the_same_continuation() -> None:
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    model = t5()
    wanted = continue_t5(model, prompts(), STEPS)
    model.set_attn_implementation("eager")
    bridge = build_bridge_from_module(model, "T5ForConditionalGeneration", hf_config=model.config)
    assert torch.equal(continue_t5(bridge, prompts(), STEPS), wanted)


def test_other_models_are_refused() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    other = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=8))
    with pytest.raises(IncompatibleModelError, match="it is no T5"):
        continue_t5(other, prompts(), 2)
    model = t5()
    model.config.relative_attention_num_buckets = 16
    with pytest.raises(IncompatibleModelError, match="logits differ"):
        continue_t5(model, prompts(), 2)
