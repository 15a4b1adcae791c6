"""What every backend promises: run under TransformerLens 4.x and, by `make test-hooked`, 3.9."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import recinterp as ri
from recinterp.errors import IncompatibleModelError, UnknownHookError
from recinterp.models import Adapter, decoding
from recinterp.models.architectures.decoder_only import DecoderOnly, PackedRows
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends import native
from recinterp.models.backends import transformer_lens as backend
from tests.models.tiny import random_weights

pytestmark = pytest.mark.backend

SITES = ["hook_embed", "hook_pos_embed"] + [
    f"blocks.{layer}.{site}"
    for layer in (0, 1)
    for site in (
        "hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_pattern",
        "attn.hook_z", "hook_attn_out", "hook_mlp_out", "hook_resid_post",
    )
]  # fmt: skip
SHAPES = {
    "attn.hook_q": (3, 9, 2, 8), "attn.hook_k": (3, 9, 2, 8), "attn.hook_v": (3, 9, 2, 8),
    "attn.hook_z": (3, 9, 2, 8), "attn.hook_pattern": (3, 2, 9, 9),
}  # fmt: skip


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(0, 7, (3, 9), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("act", ["relu", "gelu", "gelu_new", "silu"])
def test_hooked_and_plain_model_agree_for_every_activation_function(
    shape: Shape, ids: torch.Tensor, act: str
) -> None:
    assert_hooked_and_plain_model_agree(replace(shape, act=act, d_mlp=64), ids)


@pytest.mark.parametrize("norm", ["LN", "LNPre", "none"])
@pytest.mark.parametrize("attn_only", [False, True])
@pytest.mark.parametrize("positions", ["learned", "rotary", "none"])
def test_hooked_and_plain_model_agree_for_every_shape(
    shape: Shape, ids: torch.Tensor, norm: str, attn_only: bool, positions: str
) -> None:
    shape = replace(shape, norm=norm, attn_only=attn_only, d_mlp=64, positions=positions)
    assert_hooked_and_plain_model_agree(shape, ids)


def assert_hooked_and_plain_model_agree(shape: Shape, ids: torch.Tensor) -> None:
    weights = random_weights(shape)
    model = native.build_hooked(shape, weights)
    with torch.no_grad():
        theirs, ours = model(ids), DecoderOnly(shape).load_weights(weights)(ids)
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)
    assert native.read_shape(model) == shape


@pytest.mark.parametrize(("positions", "layers"), [("learned", 1), ("rotary", 6), ("none", 2)])
def test_cached_decoding_agrees_with_full_forwards(
    shape: Shape, task: ri.Task, positions: str, layers: int
) -> None:
    shape = replace(shape, positions=positions, n_layers=layers)
    model = native.build_hooked(shape, random_weights(shape))
    assert decoding.get_stand_in(model) is not None
    inputs = list(task.inputs(5))
    whole = Adapter(model, task).generate(inputs, hooks=[("hook_embed", lambda a, hook: None)])
    assert ri.predict(model, task, inputs) == whole


@pytest.mark.parametrize("positions", ["learned", "rotary", "none"])
def test_weights_round_trip(shape: Shape, positions: str) -> None:
    shape = replace(shape, positions=positions)
    weights = random_weights(shape)
    model = native.build_hooked(shape, weights)
    back = native.read_weights(model, shape)
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weights[name]) for name in weights)
    again = DecoderOnly(shape).load_weights(weights).export_weights()
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_building_a_model_leaves_the_random_generator_unchanged(shape: Shape) -> None:
    weights = random_weights(shape)
    torch.manual_seed(3)
    native.build_hooked(shape, weights)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))


def test_adapter_reports_the_sizes_and_logits_of_the_model(
    model: torch.nn.Module, task: ri.Task, ids: torch.Tensor
) -> None:
    adapter = Adapter(model, task)
    assert (adapter.n_layers, adapter.n_heads, adapter.d_model, adapter.d_head) == (2, 2, 16, 8)
    assert (adapter.n_ctx, adapter.d_vocab, adapter.architecture) == (14, 7, "decoder-only")
    with torch.no_grad():
        assert torch.equal(adapter.logits(ids), model(ids))


@pytest.mark.parametrize("site", SITES)
def test_an_edit_at_every_hook_point_reaches_the_logits(
    model: torch.nn.Module, task: ri.Task, ids: torch.Tensor, site: str
) -> None:
    adapter = Adapter(model, task)
    plain = adapter.logits(ids)

    def moved(activation: torch.Tensor, hook: object) -> torch.Tensor:
        return activation * torch.linspace(0, 1, activation.shape[-1])  # an added key cancels

    assert (adapter.run_with_hooks(ids, [(site, moved)]) - plain).abs().max() > 1e-3
    assert torch.equal(adapter.logits(ids), plain)  # and the edit does not stay


@pytest.mark.parametrize("site", SITES)
def test_cached_activations_equal_run_with_cache(
    model: torch.nn.Module, task: ri.Task, ids: torch.Tensor, site: str
) -> None:
    held = Adapter(model, task).cache(ids, [site])
    assert list(held) == [site]
    with torch.no_grad():
        _, theirs = model.run_with_cache(ids)
    torch.testing.assert_close(held[site], theirs[site])
    kind = site.split(".", 2)[-1]
    assert held[site].shape == SHAPES.get(kind, (3, 9, 16))


def test_attention_patterns_sum_to_one_and_are_causal(
    model: torch.nn.Module, task: ri.Task, ids: torch.Tensor
) -> None:
    pattern = Adapter(model, task).cache(ids, ["blocks.1.attn.hook_pattern"])[
        "blocks.1.attn.hook_pattern"
    ]
    torch.testing.assert_close(pattern.sum(-1), torch.ones(3, 2, 9))
    assert not pattern.triu(1).any()


def test_a_patched_activation_feeds_the_later_layers(
    model: torch.nn.Module, task: ri.Task, ids: torch.Tensor
) -> None:
    adapter = Adapter(model, task)
    other = ids.flip(1)
    last = adapter.cache(other, ["blocks.1.hook_resid_post"])["blocks.1.hook_resid_post"]
    patched = adapter.run_with_hooks(ids, [("blocks.1.hook_resid_post", lambda a, hook: last)])
    torch.testing.assert_close(patched, adapter.logits(other))


def test_an_unknown_hook_point_raises_and_lists_the_nearest(
    model: torch.nn.Module, task: ri.Task, ids: torch.Tensor
) -> None:
    with pytest.raises(UnknownHookError, match=r"blocks\.0\.hook_zz.*attn\.hook_z"):
        Adapter(model, task).cache(ids, ["blocks.0.hook_zz"])


def test_training_mode_is_restored(
    model: torch.nn.Module, task: ri.Task, ids: torch.Tensor
) -> None:
    model.train()
    Adapter(model, task).logits(ids)
    Adapter(model, task).generate([["X1", "01"]])
    assert model.training


def test_too_small_a_vocabulary_raises(shape: Shape, task: ri.Task) -> None:
    small = replace(shape, d_vocab=5)
    with pytest.raises(
        IncompatibleModelError, match=r"knows 5 tokens and the task needs 7.*with_vocab"
    ):
        Adapter(native.build_hooked(small, random_weights(small)), task)


def test_a_model_without_hooks_raises(task: ri.Task) -> None:
    with pytest.raises(IncompatibleModelError, match="Linear has no run_with_hooks"):
        Adapter(torch.nn.Linear(2, 2), task)


def test_transformer_lens_is_imported_late_and_here_only() -> None:
    code = "import sys, recinterp.models; sys.exit('transformer_lens' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    package = Path(ri.__file__).parent
    named = [
        p
        for p in package.rglob("*.py")
        if re.search(r"^\s*(from|import) transformer_lens", p.read_text(), re.M)
    ]
    assert [p.relative_to(package).as_posix() for p in named] == [
        "models/backends/transformer_lens.py"
    ]


# Plain torch stands in for a model only while it computes the same.


def test_stand_in_is_rebuilt_after_edits_of_the_weights(
    model: torch.nn.Module, ids: torch.Tensor
) -> None:
    first = decoding.get_stand_in(model)
    assert first is not None
    assert decoding.get_stand_in(model) is first
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)
    second = decoding.get_stand_in(model)
    assert second is not None
    assert second is not first
    with torch.no_grad():
        torch.testing.assert_close(second(ids), model(ids), atol=1e-5, rtol=1e-5)


def test_no_stand_in_while_hooks_are_attached(model: torch.nn.Module, task: ri.Task) -> None:
    inputs = [["X1", "01"], ["X0", "01"]]
    before = ri.predict(model, task, inputs)

    def one_token(logits_in: torch.Tensor, hook: object) -> torch.Tensor:
        return torch.zeros_like(logits_in)

    model.add_hook("blocks.1.hook_resid_post", one_token)
    assert decoding.get_stand_in(model) is None
    after = ri.predict(model, task, inputs)
    assert after != before
    assert after[0] == after[1]
    model.reset_hooks()
    assert ri.predict(model, task, inputs) == before


def test_no_stand_in_for_a_model_with_other_logits(
    model: torch.nn.Module, shape: Shape, task: ri.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [["X1", "01"], ["X0", "X1", "01"]]
    right = ri.predict(model, task, inputs)
    model.__dict__.pop("_recinterp_stand_in")
    wrong: Callable[..., dict[str, torch.Tensor]] = lambda m, s: random_weights(shape, seed=5)  # noqa: E731
    monkeypatch.setattr(native, "read_weights", wrong)
    assert decoding.get_stand_in(model) is None
    assert ri.predict(model, task, inputs) == right


def test_packed_rows_drop_only_padding(shape: Shape, ids: torch.Tensor) -> None:
    plain = DecoderOnly(shape)
    real = torch.arange(9) < torch.tensor([9, 4, 1])[:, None]
    full, packed = plain.residual(ids), plain.residual(ids, packed=PackedRows(real))
    torch.testing.assert_close(packed[0], full[real], atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(not backend.has_bridge(), reason="TransformerLens 3.9 wraps no module")
def test_a_wrapped_hugging_face_model_runs_and_takes_edits(
    task: ri.Task, ids: torch.Tensor
) -> None:
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module
    from transformers import GPT2Config, GPT2LMHeadModel

    settings = GPT2Config(vocab_size=7, n_positions=30, n_embd=16, n_layer=2, n_head=2)
    settings.bos_token_id = settings.eos_token_id = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inner = GPT2LMHeadModel(settings).eval()
    inner.set_attn_implementation("eager")
    model = build_bridge_from_module(inner, "GPT2LMHeadModel", hf_config=inner.config)
    adapter = Adapter(model, task)
    assert (adapter.n_layers, adapter.n_ctx, adapter.d_head) == (2, 30, 8)
    assert decoding.get_stand_in(model) is not None
    inputs = list(task.inputs(3))
    hooked = adapter.generate(inputs, hooks=[("hook_embed", lambda a, hook: None)])
    assert adapter.generate(inputs) == hooked
    plain = adapter.logits(ids)
    for site in ("blocks.0.attn.hook_z", "blocks.1.attn.hook_pattern", "blocks.1.hook_resid_post"):
        edited = adapter.run_with_hooks(ids, [(site, lambda a, hook: a * 0.5 + a.flip(-1))])
        assert (edited - plain).abs().max() > 1e-4
