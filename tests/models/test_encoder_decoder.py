"""What an encoder-decoder promises on every backend: what a decoder does, and its own."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import recinterp as ri
from recinterp.errors import IncompatibleModelError, UnknownHookError
from recinterp.models import Adapter, TrainingRun, decoding
from recinterp.models.architectures.encoder_decoder import EncoderDecoder
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends import block_names, native
from recinterp.models.training.batches import IGNORE, Batches
from recinterp.perturb import Ablate, FreezePatterns, Redirect, head, run
from recinterp.perturb.liveness import is_live
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_tokens
from tests.models.tiny import TINY, random_weights

pytestmark = pytest.mark.backend
START = 4
ROWS = torch.tensor([[0, 1, 2, 4, 3, 1, 0], [5, 4, 2, 0, 6, 6, 6], [4, 1, 1, 2, 3, 0, 0]])


@pytest.fixture
def shape() -> Shape:
    return Shape(2, 2, 16, 8, 32, 20, 7, kind="encoder-decoder", start=START)


@pytest.fixture
def model(shape: Shape) -> torch.nn.Module:
    return native.build_hooked(shape, random_weights(shape))


@pytest.fixture(scope="module")
def learned(task: ri.Task) -> TrainingRun:
    config = ri.TrainConfig(architecture="encoder-decoder", steps=150, **TINY)
    return ri.train(task, config, progress=False, name="pair")


@pytest.mark.parametrize("norm", ["LN", "LNPre", "none"])
@pytest.mark.parametrize("attn_only", [False, True])
@pytest.mark.parametrize("positions", ["learned", "none"])
def test_hooked_and_plain_encoder_decoder_agree(
    shape: Shape, norm: str, attn_only: bool, positions: str
) -> None:
    shape = replace(shape, norm=norm, attn_only=attn_only, positions=positions)
    weights = random_weights(shape)
    model = native.build_hooked(shape, weights)
    with torch.no_grad():
        theirs, plain = model(ROWS), EncoderDecoder(shape).load_weights(weights)
    torch.testing.assert_close(theirs, plain(ROWS), atol=1e-5, rtol=1e-5)
    assert not theirs[0, :3].any()
    assert native.read_shape(model) == shape
    again = plain.export_weights()
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_encoder_attends_to_the_whole_input_and_decoder_is_causal(
    model: torch.nn.Module,
) -> None:
    def moved(row: list[int]) -> list[bool]:
        with torch.no_grad():
            there = model(torch.tensor([row])) - model(torch.tensor([[0, 1, 2, 4, 3, 1, 0]]))
        return [bool(x > 1e-6) for x in there[0].abs().amax(-1)]

    assert moved([0, 1, 3, 4, 3, 1, 0]) == [False] * 3 + [True] * 4
    assert moved([0, 1, 2, 4, 3, 0, 0]) == [False] * 5 + [True] * 2


def test_padding_at_the_right_changes_nothing(model: torch.nn.Module) -> None:
    longer = torch.cat([ROWS, torch.full((3, 4), 6)], 1)
    with torch.no_grad():
        torch.testing.assert_close(model(longer)[:, :7], model(ROWS))


def test_every_hook_point_by_block_is_one_of_the_model(model: torch.nn.Module) -> None:
    own = set(model.hook_dict)
    named = {block_names.resolve_hook(name, (2, 2)) for name in block_names.list_hooks((2, 2), own)}
    assert named <= own
    blocks = {name for name in own if name.split(".")[0] in ("encoder", "decoder")}
    norms = {name for name in blocks if ".ln" in name}
    assert named == blocks - norms


def test_an_edit_at_every_hook_point_by_block_reaches_the_logits(
    model: torch.nn.Module, task: ri.Task
) -> None:
    adapter = Adapter(model, task)
    assert adapter.block_names == ("E0", "E1", "D0", "X0", "D1", "X1")
    assert adapter.n_layers == 6
    kinds = ("pattern", "z", "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
    sites = [n for n in block_names.list_hooks((2, 2), model.hook_dict) if n.endswith(kinds)]
    assert len(sites) > 30
    # What encoder and decoder leave behind at the end is read no more, which is found out.
    assert [n for n in sites if not is_live(adapter, task, n)] == []


def test_an_unknown_hook_point_by_block_raises(model: torch.nn.Module, task: ri.Task) -> None:
    for name in ("blocks.6.attn.hook_z", "blocks.2.hook_mlp_out", "encoder.0.cross_attn.hook_z"):
        with pytest.raises(UnknownHookError):
            Adapter(model, task).cache(ROWS, [name])


def test_cross_attention_follows_a_forced_pattern(model: torch.nn.Module, task: ri.Task) -> None:
    # Every layer's cross-attention forced onto input position 1: the output is that of a row whose
    # cross-attention could see nothing else, computed by hand.
    adapter = Adapter(model, task)
    rows = build_batch(task, [["X1", "X0", "01"], ["X0", "X1", "X1", "01"]], [["X0"], []])

    def one(pattern: torch.Tensor, hook: object) -> torch.Tensor:
        forced = torch.zeros_like(pattern)
        forced[..., 1] = 1.0
        return forced

    sites = [f"decoder.{layer}.cross_attn.hook_pattern" for layer in (0, 1)]
    forced = adapter.run_with_hooks(rows.ids, [(site, one) for site in sites])
    values = adapter.cache(rows.ids, ["decoder.0.cross_attn.hook_v"])["decoder.0.cross_attn.hook_v"]
    z: dict[str, torch.Tensor] = {}
    adapter.run_with_hooks(
        rows.ids,
        [(sites[0], one), ("decoder.0.cross_attn.hook_z", lambda a, hook: z.update(z=a))],
    )
    torch.testing.assert_close(z["z"][0, 4], values[0, 1])
    assert (forced - adapter.logits(rows.ids)).abs().max() > 1e-3
    # A place where nothing was read holds nothing.
    nothing = adapter.run_with_hooks(
        rows.ids, [(s, lambda p, hook: torch.ones_like(p).triu(4).tril(4)) for s in sites]
    )
    cut = adapter.run_with_hooks(
        rows.ids,
        [(s.replace("pattern", "z"), lambda a, hook: torch.zeros_like(a)) for s in sites],
    )
    torch.testing.assert_close(nothing[:, 4:], cut[:, 4:])


def test_plans_name_heads_by_block(model: torch.nn.Module, task: ri.Task) -> None:
    adapter, inputs = Adapter(model, task), [["X1", "X0", "01"], ["X0", "X0", "01"]]
    rows = build_batch(task, inputs)
    clean = next_tokens(adapter, task, rows)
    crossed = [Ablate(head(block), "zero") for block in (3, 5)]
    by_hand = adapter.next_tokens(
        inputs,
        hooks=[
            (f"decoder.{layer}.cross_attn.hook_z", lambda a, hook: torch.zeros_like(a))
            for layer in (0, 1)
        ],
    )
    assert next_tokens(adapter, task, rows, crossed) == by_hand
    assert run(adapter, task, inputs, [FreezePatterns()]).edited == tuple(clean)
    assert len(run(adapter, task, inputs, [Redirect(3, 0, at_first())]).edited) == 2


def at_first() -> object:
    from recinterp.perturb import At

    return At("input", 0)


def test_training_rows_split_into_encoder_and_decoder_parts(task: ri.Task) -> None:
    config = ri.TrainConfig(architecture="encoder-decoder", max_length=3)
    ids, targets = Batches(task, config, ri.Domain(3))(0)
    begins = (ids == task.ids["BOS"]).long().argmax(1)
    assert not (ids == task.sep).any()
    assert set(begins.tolist()) == {1, 2, 3}
    asked = (targets != IGNORE).long()
    assert torch.equal(asked.argmax(1), begins)


def test_an_encoder_decoder_learns_and_round_trips(
    learned: TrainingRun, task: ri.Task, tmp_path: Path
) -> None:
    assert learned.history[-1].exact > learned.history[0].exact
    learned.save(tmp_path / "mine")
    again = ri.load(tmp_path / "mine")
    inputs = list(task.inputs(5))
    assert ri.predict(again, task, inputs) == ri.predict(learned.model, task, inputs)
    assert again.checkpoint.shape == learned.checkpoint.shape == native.read_shape(again)
    assert again.checkpoint.recipe["architecture"] == "encoder-decoder"
    assert pickle.loads(pickle.dumps(again)).cfg.n_layers == 4


def test_an_interrupted_run_resumes_exactly(task: ri.Task, tmp_path: Path) -> None:
    config = ri.TrainConfig(architecture="encoder-decoder", steps=12, **(TINY | {"save_every": 6}))
    whole = ri.train(task, config, progress=False)
    ri.train(task, config, progress=False, work=tmp_path)
    (resumed := ri.train(task, config, progress=False, work=tmp_path))
    ours, theirs = (dict(r.model.named_parameters()) for r in (whole, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_decoding_with_one_encoder_run_agrees_with_full_forwards(
    learned: TrainingRun, task: ri.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, inputs = Adapter(learned.model, task), list(task.inputs(5))
    whole = adapter.generate(inputs, hooks=[("hook_embed", lambda a, hook: None)])
    assert decoding.get_stand_in(learned.model) is not None
    calls: list[int] = []
    read = EncoderDecoder.encode

    def counted(self: EncoderDecoder, ids: torch.Tensor, *rest: object) -> object:
        calls.append(len(ids))
        return read(self, ids, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(EncoderDecoder, "encode", counted)
    assert adapter.generate(inputs) == whole
    assert sum(calls) == len(inputs)
    prefixes = [["X0"] * (i % 3) for i in range(len(inputs))]
    hooks = [("hook_embed", lambda a, hook: None)]
    assert adapter.generate(inputs, prefixes) == adapter.generate(inputs, prefixes, hooks)
    assert adapter.next_tokens(inputs, prefixes) == adapter.next_tokens(inputs, prefixes, hooks)


def test_an_empty_input_is_accepted(shape: Shape) -> None:
    lists = ri.task("list-reverse")
    vocab = 1 + max(lists.ids.values())
    shape = replace(shape, d_vocab=vocab, start=lists.ids["BOS"])
    model = native.build_hooked(shape, random_weights(shape))
    adapter = Adapter(model, lists)
    inputs = [[], *[x for x in lists.inputs(2) if x][:3]]
    whole = adapter.generate(inputs, hooks=[("hook_embed", lambda a, hook: None)])
    assert adapter.generate(inputs) == whole
    assert torch.isfinite(adapter.logits(build_batch(lists, inputs).ids)).all()


def test_a_template_with_tokens_before_the_input_raises(
    model: torch.nn.Module, task: ri.Task
) -> None:
    ids = {name: task.ids[name] for name in ("X0", "X1", "01")}
    other = task.with_vocab(
        ids, pad=task.pad, sep=task.sep, eos=task.eos, bos=START,
        template="{bos}{input}{sep}{output}{eos}",
    )  # fmt: skip
    with pytest.raises(IncompatibleModelError, match="its encoder reads only the input"):
        Adapter(model, other)
