"""GPT-2, T5 and BART, in memory and from a folder: their own outputs, and edits that are proven."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import recinterp as ri
from recinterp.errors import CheckpointError, InactiveHookError, IncompatibleModelError
from recinterp.models import Adapter
from recinterp.models.backends import transformer_lens as backend
from recinterp.perturb import Redirect, run
from recinterp.perturb.liveness import is_live
from recinterp.perturb.positions import build_batch

pytestmark = pytest.mark.backend
bridged = pytest.mark.skipif(
    not backend.has_bridge(), reason="TransformerLens 3.9 wraps no Hugging Face model"
)
WORDS = {"X0": 4, "X1": 5, "01": 3}
LENGTH = 4


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=8, n_positions=20, n_embd=16, n_layer=2, n_head=2,
            bos_token_id=1, eos_token_id=1, pad_token_id=0,
        )
    )  # fmt: skip


def t5() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=8, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_decoder_layers=1,
            num_heads=2, n_positions=16, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
        )
    )  # fmt: skip


def bart() -> Any:
    from transformers import BartConfig, BartForConditionalGeneration

    return BartForConditionalGeneration(
        BartConfig(
            vocab_size=8, d_model=16, encoder_layers=2, decoder_layers=2, init_std=0.2,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
            decoder_ffn_dim=32, max_position_embeddings=16, decoder_start_token_id=1,
            pad_token_id=0, bos_token_id=7, eos_token_id=1, forced_eos_token_id=None,
        )
    )  # fmt: skip


FAMILIES = {"gpt2": gpt2, "t5": t5, "bart": bart}
# T5 begins its outputs with PAD, BART with EOS, after the input's own EOS.
TEMPLATES = {
    "gpt2": (2, "{input}{sep}{output}{eos}"),
    "t5": (0, "{input}{sep}{output}{eos}"),
    "bart": (1, "{bos}{input}{eos}{sep}{output}{eos}"),
}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def theirs(family: str) -> Any:
    return built(FAMILIES[family])


def built(make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make().eval()
        if make is t5:  # as it starts, all inputs have one output
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.3 * torch.randn_like(parameter))
        return model


@pytest.fixture
def fitted(family: str, task: ri.Task) -> ri.Task:
    return fitting(family, task)


def fitting(family: str, task: ri.Task) -> ri.Task:
    sep, template = TEMPLATES[family]
    bos = 7 if "{bos}" in template else None
    return task.with_vocab(WORDS, pad=0, sep=sep, eos=1, bos=bos, template=template)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    asked: list[object] = []

    def refuse(self: object, address: object) -> None:
        asked.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: refuse(None, a))
    return asked


def own_outputs(model: Any, task: ri.Task, inputs: list[list[str]]) -> list[list[int]]:
    """What their `generate` writes, to EOS or as far as both go."""
    found = []
    for x in inputs:
        prompt = task.prompt(x)
        whole = getattr(model.config, "is_encoder_decoder", False)
        ids = torch.tensor([prompt[:-1] if whole else prompt])
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=9,
            do_sample=False, num_beams=1,
        )[0].tolist()  # fmt: skip
        tail = out[1 if whole else len(prompt) :]
        found.append(tail[: tail.index(1)] if 1 in tail else tail)
    return found


@bridged
def test_outputs_agree_with_the_generate_of_hugging_face(theirs: Any, fitted: ri.Task) -> None:
    inputs = list(fitted.inputs(LENGTH))
    adapter = Adapter(theirs, fitted)
    outputs = ri.predict(theirs, fitted, inputs)
    for ours, ids in zip(outputs, own_outputs(theirs, fitted, inputs), strict=True):
        assert [token for token in ours if token != "…"][:9] == [adapter.token(i) for i in ids]
    assert len({tuple(out) for out in outputs}) > 1


@bridged
def test_cached_decoding_agrees_and_leaves_the_model_unchanged(
    theirs: Any, fitted: ri.Task
) -> None:
    before = {name: type(part) for name, part in theirs.named_modules()}
    theirs.train()
    adapter, inputs = Adapter(theirs, fitted), list(fitted.inputs(LENGTH))
    prefixes = [["X0", "X1"][: i % 3] for i in range(len(inputs))]
    watch = [("blocks.0.attn.hook_z", lambda value, hook: None)]
    assert adapter.generate(inputs) == adapter.generate(inputs, hooks=watch)
    assert adapter.next_tokens(inputs, prefixes) == adapter.next_tokens(inputs, prefixes, watch)
    assert theirs.training
    assert before == {name: type(part) for name, part in theirs.named_modules()}


@bridged
@pytest.mark.parametrize("family", ["t5"], indirect=True)
def test_edits_of_the_weights_change_outputs(theirs: Any, fitted: ri.Task) -> None:
    inputs = list(fitted.inputs(LENGTH))
    before = ri.predict(theirs, fitted, inputs)
    rows = build_batch(fitted, inputs[:3])
    clean = Adapter(theirs, fitted).logits(rows.ids)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(parameter.flip(0) * 1.5)
    assert ri.predict(theirs, fitted, inputs) != before
    assert not torch.allclose(Adapter(theirs, fitted).logits(rows.ids), clean)


@bridged
@pytest.mark.parametrize("family", ["t5", "bart"], indirect=True)
def test_activations_of_both_halves_share_one_row(
    theirs: Any, fitted: ri.Task, family: str
) -> None:
    adapter = Adapter(theirs, fitted)
    assert adapter.block_names[:4] == ("E0", "E1", "D0", "X0")
    rows = build_batch(fitted, [["X1", "X0", "01"], ["01"]], [["X0"], ["X1", "X0"]])
    names = [f"blocks.{block}.attn.hook_pattern" for block in (0, 2, 3)]
    reads, writes, crosses = adapter.cache(rows.ids, names).values()
    begins = rows.sep[0]  # read before it, written from it on
    for pattern, asks, keys in (
        (reads, slice(0, begins), slice(0, begins)),
        (writes, slice(begins, int(rows.prediction[0]) + 1), slice(begins, None)),
        (crosses, slice(begins, int(rows.prediction[0]) + 1), slice(0, begins)),
    ):
        sums = pattern[0, :, asks, keys].sum(-1)
        torch.testing.assert_close(sums, torch.ones_like(sums))
        sums = pattern[0, :, asks].sum(-1)
        torch.testing.assert_close(sums, torch.ones_like(sums))
    # The shorter row's padding is not read: by itself, the row has the same logits.
    single = adapter.logits(build_batch(fitted, [["01"]], [["X1", "X0"]]).ids)
    end = int(rows.prediction[1]) + 1
    torch.testing.assert_close(adapter.logits(rows.ids)[1, :end], single[0], atol=1e-5, rtol=1e-5)


@bridged
@pytest.mark.parametrize("family", ["t5", "bart"], indirect=True)
def test_every_edit_is_live_except_of_patterns_which_raises(theirs: Any, fitted: ri.Task) -> None:
    adapter = Adapter(theirs, fitted)
    named = [n for n in adapter.hook_names if n.startswith("blocks.")]
    dead = [n for n in named if not is_live(adapter, fitted, n)]
    assert all(n.endswith(("hook_pattern", "hook_q", "hook_k")) for n in dead)
    assert {n for n in named if n.endswith("hook_pattern")} <= set(dead)
    from recinterp.perturb import At

    with pytest.raises(InactiveHookError, match=r"discarded.*hook_attn_out is live"):
        run(adapter, fitted, [["X1", "01"]], [Redirect(3, 0, At("input", 0))])


@bridged
def test_a_folder_needs_no_tokenizer_and_no_network(
    theirs: Any, fitted: ri.Task, tmp_path: Path, no_network: list[object]
) -> None:
    theirs.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("tokenizer*"))
    inputs = list(fitted.inputs(LENGTH))
    model = ri.load(tmp_path)
    assert ri.predict(model, fitted, inputs) == ri.predict(theirs, fitted, inputs)
    assert Adapter(model, fitted).cache(build_batch(fitted, inputs).ids, ["blocks.0.attn.hook_z"])
    assert no_network == []


def test_a_pickle_in_a_folder_is_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "opened"),))

    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match=r"holds no model\.safetensors"):
        ri.load(tmp_path)
    assert not (tmp_path / "opened").exists()


def test_a_folder_of_another_format_raises(tmp_path: Path, no_network: list[object]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "architectures": ["Nobody"]}')
    (tmp_path / "model.safetensors").write_bytes(b"\x00")
    with pytest.raises(CheckpointError, match="Nobody"):
        ri.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="holds no Hugging Face model"):
        ri.load(tmp_path)
    assert no_network == []


@bridged
def test_incompatible_models_raise(task: ri.Task) -> None:
    with pytest.raises(
        IncompatibleModelError, match=r"begins with id 0 and SEP is 5.*task\.with_vocab"
    ):
        ri.predict(built(t5), task, [["01"]])
    wide = task.with_vocab(WORDS | {"X1": 9}, pad=0, sep=2, eos=1)
    with pytest.raises(IncompatibleModelError, match="knows 8 tokens and the task needs 10"):
        ri.predict(built(gpt2), wide, [["01"]])
    long = ["X0"] * 16 + ["01"]
    with pytest.raises(IncompatibleModelError, match=r"takes 17 positions and the encoder has 16"):
        ri.predict(built(t5), fitting("t5", task), [long])


@pytest.mark.skipif(backend.has_bridge(), reason="TransformerLens 4.x wraps it")
def test_without_a_bridge_the_error_names_an_alternative(task: ri.Task) -> None:
    with pytest.raises(
        IncompatibleModelError, match=r"wraps no Hugging Face model.*transformer-lens 4"
    ):
        ri.predict(built(t5), fitting("t5", task), [["01"]])


@bridged
def test_a_bridge_built_by_the_user_gives_equal_results(task: ri.Task) -> None:
    fitted = fitting("t5", task)
    inputs = list(fitted.inputs(LENGTH))
    by_hand = backend.build_bridge(built(t5))
    assert ri.predict(by_hand, fitted, inputs) == ri.predict(built(t5), fitted, inputs)


@bridged
@pytest.mark.parametrize("family", ["t5"], indirect=True)
def test_a_trained_hugging_face_model_is_explained(
    theirs: Any, fitted: ri.Task, family: str
) -> None:
    inputs = list(fitted.inputs(LENGTH))
    learn(theirs, fitted, inputs, 60)
    ex = ri.explain(theirs, fitted, domain=ri.Domain(max_length=LENGTH))
    assert [h.name for h in ex.heads] == ["E0H0", "E0H1", "E1H0", "E1H1", "D0H0", "D0H1",
                                          "X0H0", "X0H1"]  # fmt: skip
    assert all("untrained effect" in h.controls for h in ex.heads)
    outputs = ri.predict(theirs, fitted, inputs)
    wrong = {tuple(x) for x, out in zip(inputs, outputs, strict=True) if out != fitted.apply(x)}
    assert sum(row.errors.hits for s in ex.diff.shortcuts for row in s.share) <= len(wrong)
    assert "E0H0" in str(ex)


def learn(model: Any, task: ri.Task, inputs: list[list[str]], steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    width = max(map(len, inputs))
    read = torch.tensor([[WORDS[t] for t in x] + [0] * (width - len(x)) for x in inputs])
    asked = [task.target(task.apply(x)) for x in inputs]
    longest = max(map(len, asked))
    labels = torch.tensor([row + [-100] * (longest - len(row)) for row in asked])
    for _ in range(steps):
        loss = model(input_ids=read, attention_mask=(read > 0).long(), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
