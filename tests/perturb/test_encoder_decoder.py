"""An encoder-decoder on the fast backend gives what hooks give, for each edit in each block."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import recinterp as ri
from recinterp.models import Adapter
from recinterp.models.backends import block_names, native
from recinterp.perturb import (
    ALL,
    INPUTS,
    OUTPUTS,
    PREDICTION,
    SEP,
    Ablate,
    At,
    FreezePatterns,
    Interchange,
    PathPatch,
    Redirect,
    Reference,
    Steer,
    Swap,
    Transplant,
    Unit,
    head,
    layer_output,
    mlp,
    run,
    sweep,
)
from recinterp.perturb import runner as engine
from recinterp.perturb.fast.decode import supports_kv_cache
from recinterp.perturb.fast.support import FastBackend, fast_backend_for
from recinterp.perturb.lowering.lower import lower
from recinterp.perturb.plan import Intervention
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import generate, hooks_needed
from tests.models.tiny import random_weights
from tests.perturb.untrained import (
    ENCODER_DECODER,
    ENCODER_DECODER_SHAPES,
    INPUT,
    PREFIX,
    SOURCE,
    TASK,
    random_pair,
    through_hooks,
)

pytestmark = pytest.mark.backend
LAYERS = (2, 2)
BLOCKS = {name: block for block, name in enumerate(block_names.list_block_names(LAYERS))}
WIDE = torch.linspace(-2, 2, 32)
WRITTEN = Reference("a few", INPUT[:3], (("X0", "X1"),) * 3)
EVEN = slice(4)  # the short ones: their halves part at one place


@pytest.fixture(scope="module", params=ENCODER_DECODER_SHAPES)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return random_pair(ENCODER_DECODER_SHAPES[request.param])


def _units(adapter: Adapter, block: int) -> list[Unit]:
    place = f"blocks.{block}"
    units = [
        head(block, 1),
        head(block, 2, PREDICTION),
        head(block, None, INPUTS),
        head(block, 0, (SEP, OUTPUTS)),
        head(block, 1, At("position", 5)),
        *(Unit(f"{place}.attn.hook_{part}", 1) for part in "qkv"),
        Unit(f"{place}.attn.hook_q", 3, PREDICTION),
        Unit(f"{place}.attn.hook_k", 2, At("input", 2)),
        Unit(f"{place}.attn.hook_v", 2, (At("input", 1), PREDICTION)),
        *(Unit(f"{place}.hook_resid_{end}", None, At("input", 3)) for end in ("pre", "post")),
        *(Unit(f"{place}.hook_resid_{end}", None, PREDICTION) for end in ("pre", "mid", "post")),
        layer_output(block, (INPUTS, PREDICTION)),
        Unit(f"{place}.hook_attn_out"),
        mlp(block),
        mlp(block, PREDICTION),
        Unit(f"{place}.mlp.hook_post", None, At("input", 0)),
    ]
    return [unit for unit in units if unit.hook in adapter.hook_names]


def plans(adapter: Adapter) -> list[list[Intervention]]:
    """Every kind of edit in every block, and some that join blocks and halves."""
    made: list[list[Intervention]] = []
    for block in range(len(BLOCKS)):
        for number, unit in enumerate(_units(adapter, block)):
            kinds: list[Intervention] = [
                Interchange((unit,), SOURCE, PREFIX),
                Ablate(unit),
                Ablate(unit, "mean", WRITTEN),
                Interchange((unit,), SOURCE, PREFIX, control_seed=3),
            ]
            made.append([kinds[(number + block) % 4]])
        made += [
            [Steer(layer_output(block, At("input", 1)), WIDE, 2.0)],
            [Redirect(block, 1, At("input", 0))],
            [Redirect(block, None, (INPUTS, PREDICTION))],
            [Transplant(((block, 0), (block, 2)), SOURCE, PREFIX, "pattern")],
            [Ablate(head(0, 1)), FreezePatterns((block,))],
            [Ablate(head(0, 1, INPUTS)), Redirect(block, 1, At("input", 0))],
        ]
    e0, d0, x0, d1, x1 = (BLOCKS[name] for name in ("E0", "D0", "X0", "D1", "X1"))
    halves = (head(e0, 1, At("input", 1)), head(d0, 0), layer_output(x0, PREDICTION))
    made += [[Interchange(halves, SOURCE, PREFIX)], [Ablate(head(d1, 2)), Ablate(head(x1, 0))]]
    made += [[PathPatch((e0, 1), (x1, 2), way, SOURCE, PREFIX, mlps=True)] for way in ("k", "v")]
    made += [[PathPatch((d0, 1), (d1, 2), "q", SOURCE, PREFIX)], [FreezePatterns()], []]
    return made


def test_fast_backend_matches_hooks(adapter: Adapter) -> None:
    rows, backend = build_batch(TASK, INPUT, PREFIX), fast_backend_for(adapter)
    assert isinstance(backend, FastBackend), backend
    asked = plans(adapter)
    assert not any(hooks_needed(adapter, plan) for plan in asked)
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
    assert moved > 0.6 * len(asked)  # at the other half's positions an edit means nothing


def test_fast_backend_matches_hooks_when_inputs_have_equal_length() -> None:
    adapter = random_pair(ENCODER_DECODER)
    rows, backend = build_batch(TASK, INPUT[EVEN], PREFIX[EVEN]), fast_backend_for(adapter)
    assert isinstance(backend, FastBackend), backend
    asked = [[step.select(range(4)) for step in plan] for plan in plans(adapter)[::3]]
    found = backend.run(rows, [lower(adapter, TASK, rows, plan) for plan in asked])
    for plan, logits in zip(asked, found, strict=True):
        assert float((through_hooks(adapter, rows, plan) - logits).abs().max()) < 1e-5, plan


def test_edits_at_positions_of_the_other_half_have_no_effect() -> None:
    # A hook's own name takes every position as it is asked for; the stack's only those it has.
    adapter, rows = random_pair(ENCODER_DECODER), build_batch(TASK, INPUT, PREFIX)
    for block, name in enumerate(block_names.list_block_names(LAYERS)):
        for point in ("attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z", "hook_attn_out"):
            unit = Unit(f"blocks.{block}.{point}")
            own = replace(unit, hook=block_names.resolve_hook(unit.hook, LAYERS))
            (edit,) = lower(adapter, TASK, rows, [Ablate(unit)])
            read = bool((edit.pos < rows.sep[edit.row]).any())
            written = bool((edit.pos >= rows.sep[edit.row]).any())
            asked = name[0] == "X" and point in ("attn.hook_k", "attn.hook_v")
            assert (read, written) == ((True, False) if name[0] == "E" or asked else (False, True))
            wanted = through_hooks(adapter, rows, [Ablate(own)])
            got = run(adapter, TASK, INPUT, [Ablate(unit)], PREFIX)
            assert got.backend == "fast"
            assert float((got.logits - wanted).abs().max()) < 1e-5


def test_mean_ablation_averages_over_the_positions_of_the_head() -> None:
    adapter, rows = random_pair(ENCODER_DECODER), build_batch(TASK, INPUT, PREFIX)
    cross = head(BLOCKS["X1"], 2)
    (edit,) = lower(adapter, TASK, rows, [Ablate(cross, "mean")])
    (z,) = adapter.cache(rows.ids, [cross.hook]).values()
    row, pos = rows.mask(ALL, "written").nonzero(as_tuple=True)
    assert len(row) == len(INPUT) + 4  # SEP of each, and the one output of every other
    torch.testing.assert_close(edit.value, z[row, pos, 2].mean(0))


def test_edits_of_the_decoder_do_not_rerun_the_encoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapter = random_pair(ENCODER_DECODER)
    rows, backend = build_batch(TASK, INPUT[EVEN], PREFIX[EVEN]), fast_backend_for(adapter)
    assert isinstance(backend, FastBackend), backend
    backend.clean(rows)
    from recinterp.perturb.fast.blocks import Pass

    ran: list[tuple[int, int]] = []
    run_layer = Pass.run_layer

    def watched(self: Pass, number: int, x: torch.Tensor, *rest: object, **more: object) -> object:
        ran.append((number, x.shape[1]))
        return run_layer(self, number, x, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Pass, "run_layer", watched)
    backend.run(rows, [lower(adapter, TASK, rows, [Ablate(head(BLOCKS["D0"], 1))])])
    written = rows.ids.shape[1] - int(rows.sep[0])
    assert ran == [(block, written) for block in range(BLOCKS["X0"], len(BLOCKS))]


WHOLE: dict[str, list[Intervention]] = {
    "an encoder's head": [Ablate(head(BLOCKS["E0"], 1))],
    "a decoder's head": [Ablate(head(BLOCKS["D0"], 1))],
    "what a cross head reads": [Ablate(head(BLOCKS["X0"], None, PREDICTION), "mean", INPUT[:3])],
    "values of what was read": [Ablate(Unit(f"blocks.{BLOCKS['X1']}.attn.hook_v"))],
    "the query through the encoder": [Steer(layer_output(-1, PREDICTION), WIDE)],
    "attention of the query": [
        Redirect(BLOCKS["X1"], 1, At("input", 0)),
        Redirect(BLOCKS["D0"], 0, (SEP, PREDICTION)),
    ],
    "an absolute position, not there at first": [
        Steer(layer_output(BLOCKS["D1"], At("position", 12)), 30 * WIDE)
    ],
    "a swapped token": [Swap(((0, "X1"),) * 8), Ablate(head(BLOCKS["D1"], 1, PREDICTION))],
    "another row's input": [Interchange((layer_output(1, At("input", 2)),), SOURCE, PREFIX)],
}


@pytest.fixture(scope="module")
def talker() -> Adapter:
    # Attention alone, and loud: its outputs hang on the input, so that an edit shows.
    shape = ENCODER_DECODER_SHAPES["LNPre, no MLP"]
    weights = random_weights(shape, seed=3)
    loud = {k: 4 * w if k.endswith(("W_V", "W_O")) else w for k, w in weights.items()}
    return Adapter(native.build_hooked(shape, loud), TASK)


@pytest.mark.parametrize("plan", WHOLE.values(), ids=WHOLE)
def test_kv_cache_does_not_change_outputs(
    talker: Adapter, plan: list[Intervention], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = build_batch(TASK, INPUT, PREFIX)
    clean = generate(talker, TASK, rows)
    own = talker.generate([list(x) for x in INPUT], [list(y) for y in PREFIX])
    # Under plans an output is cut where its last token can still be read, a token earlier.
    for under, said in zip(clean, own, strict=True):
        assert list(under) == said or [*under[:-1], said[-2], "…"] == said
    assert supports_kv_cache(plan)
    assert not hooks_needed(talker, plan)
    kept = generate(talker, TASK, rows, plan)
    monkeypatch.setattr(engine, "supports_kv_cache", lambda _: False)
    monkeypatch.setattr(engine, "fast_backend_for", lambda _: "asked not to")
    assert kept == generate(talker, TASK, rows, plan)
    assert kept != clean


def test_trained_encoder_decoder_uses_the_fast_backend() -> None:
    config = ri.TrainConfig(
        architecture="encoder-decoder", n_layers=1, d_model=32, max_length=5, steps=3
    )
    trained = ri.train(TASK, config, progress=False).model
    every = [[Ablate(head(block, h))] for block in range(3) for h in range(config.n_heads)]
    swept = sweep(trained, TASK, INPUT[EVEN], every)
    assert (swept.backend, len(swept.values)) == ("fast", len(every))
