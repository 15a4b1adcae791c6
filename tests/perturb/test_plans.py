"""Each kind of intervention does what its name says, on models whose algorithm is known."""

from __future__ import annotations

import pytest
import torch

from recinterp.errors import IncompatibleModelError, InterventionError, UnknownHookError
from recinterp.models import Adapter
from recinterp.perturb import (
    ALL,
    INPUTS,
    PREDICTION,
    Ablate,
    At,
    ForcePrefix,
    FreezePatterns,
    Interchange,
    Redirect,
    Steer,
    Swap,
    Transplant,
    Unit,
    head,
    layer_output,
    run,
)
from recinterp.perturb.controls import random_direction, random_heads, untrained_twin
from recinterp.perturb.lowering.lower import lower
from recinterp.perturb.positions import build_batch
from tests.perturb.hand_set import LENGTH, Words, planted

pytestmark = pytest.mark.backend
COPY, PARITY = Words("copy"), Words("parity")
WORD = list("abbab")


@pytest.fixture(scope="module")
def copier() -> Adapter:
    return Adapter(planted(COPY), COPY)


@pytest.fixture(scope="module")
def parity() -> Adapter:
    return Adapter(planted(PARITY), PARITY)


def test_hand_set_models_compute_their_function() -> None:
    for kind in ("copy", "reverse", "parity"):
        task = Words(kind)
        words = list(task.inputs(LENGTH))
        assert Adapter(planted(task, 2), task).generate(words) == [task.apply(w) for w in words]


def test_position_classes_partition_a_row() -> None:
    rows = build_batch(COPY, [WORD, WORD], [["a", "b"], []])
    parts = [At("inputs"), At("sep"), At("outputs"), PREDICTION]
    masks = torch.stack([rows.mask(part) for part in parts])
    assert torch.equal(masks.sum(0).bool(), rows.mask(ALL))
    assert int(masks.sum(0).max()) == 1
    assert rows.mask(At("others", (0, 3)))[:, :LENGTH].tolist() == [
        [False, True, True, True, True],
        [True, True, True, False, True],
    ]


def test_zero_ablation_of_the_reader_removes_the_answer(copier: Adapter) -> None:
    gone = run(copier, COPY, [WORD], [Ablate(head(0, 0))])
    assert float(gone.logits.abs().max()) == 0.0
    idle = run(copier, COPY, [WORD], [Ablate(head(0, 1))])
    torch.testing.assert_close(idle.logits, idle.clean_logits)


def test_mean_ablation_writes_the_mean_over_the_reference(copier: Adapter) -> None:
    always_b = (tuple("bbbbb"),)
    effects = run(copier, COPY, [list("aaaaa")], [Ablate(head(0, 0, PREDICTION), "mean", always_b)])
    # The reference's queries are its SEP and its outputs: the last one reads SEP, hence says EOS.
    assert effects.edited == ("EOS",)
    inputs = run(copier, COPY, [list("aaaaa")], [Ablate(head(0, 0), "mean", always_b)])
    assert inputs.edited == ("b",)


def test_resampling_draws_from_the_reference_by_seed(copier: Adapter) -> None:
    words = [list("aaaaa")] * 40
    draws = [
        run(copier, COPY, words, [Ablate(head(0, 0), "resample", (tuple(WORD),), seed=s)])
        for s in (1, 1, 2)
    ]
    assert set(draws[0].edited) > {"a", "b"} - {"?"}
    assert draws[0].edited == draws[1].edited != draws[2].edited


def test_set_of_heads_is_ablated_at_once(parity: Adapter) -> None:
    words, pair = PARITY.sample(12), (head(0, 0), head(0, 1, PREDICTION))
    for kind in ("zero", "mean", "resample"):
        one = run(parity, PARITY, words, [Ablate(pair, kind)])
        apart = run(parity, PARITY, words, [Ablate(unit, kind) for unit in pair])
        assert torch.equal(one.logits, apart.logits)
        assert not torch.equal(one.logits, one.clean_logits)
    whole = run(parity, PARITY, words, [Ablate(pair)], whole=True)
    assert whole.outputs != whole.clean_outputs
    split = run(parity, PARITY, words, [Ablate(unit) for unit in pair], whole=True)
    assert whole.outputs == split.outputs


def test_resampled_units_of_a_set_share_their_rows(copier: Adapter) -> None:
    # Two names of one stream: their values are alike if, and only if, they were drawn together.
    words, names = COPY.sample(40), ("blocks.0.hook_resid_pre", "hook_embed")
    both = Ablate(tuple(Unit(name, None, INPUTS) for name in names), "resample")
    stream, tokens = lower(copier, COPY, build_batch(COPY, words), [both])
    vocabulary = slice(len(COPY.ids))
    assert torch.equal(stream.value[:, vocabulary], tokens.value[:, vocabulary])
    assert len(tokens.value.unique(dim=0)) == 2


def test_redirected_head_reads_the_given_position(copier: Adapter) -> None:
    plans = [[Redirect(0, 0, At("input", i))] for i in range(LENGTH)]
    assert [run(copier, COPY, [WORD], plan).edited[0] for plan in plans] == WORD
    assert run(copier, COPY, [WORD], [Redirect(0, None, At("input", 1))]).edited == ("b",)


@pytest.mark.parametrize("through", ["z", "pattern"])
def test_transplant_from_another_step_redirects_a_head(copier: Adapter, through: str) -> None:
    plan = [Transplant(((0, 0),), (tuple(WORD),), (("a", "b", "b"),), through)]
    assert run(copier, COPY, [list("aaaaa")], plan[:0]).edited == ("a",)
    expected = "a" if through == "z" else "b"  # z brings the token along, the pattern the place
    assert run(copier, COPY, [list("aaaba")], plan).edited == (expected,)


def test_frozen_patterns_keep_the_attention_of_the_clean_run(copier: Adapter) -> None:
    kick = Steer(layer_output(-1, PREDICTION), _position_direction(copier, LENGTH + 4), 1.0)
    unkick = Steer(layer_output(-1, PREDICTION), _position_direction(copier, LENGTH), -1.0)
    word = list("aaaab")
    assert run(copier, COPY, [word], [kick, unkick]).edited == ("b",)
    assert run(copier, COPY, [word], [kick, unkick, FreezePatterns()]).edited == ("a",)


def _position_direction(adapter: Adapter, position: int) -> torch.Tensor:
    return adapter.model.pos_embed.W_pos[position].detach()


def test_swap_changes_one_input_token_only(parity: Adapter) -> None:
    held = run(parity, PARITY, [list("aaaaa")], [Swap(((0, "b"),))], [["a", "a"]])
    assert held.changed.hits == 0  # the state is in the prefix, and that is held
    free = run(parity, PARITY, [list("aaaaa")], [Swap(((0, "b"),))], whole=True)
    assert free.outputs == (tuple("bbbbb"),)
    assert free.clean_outputs == (tuple("aaaaa"),)


def test_generation_continues_a_forced_prefix(parity: Adapter) -> None:
    effects = run(parity, PARITY, [list("aaaaa")], [ForcePrefix((("b",),))], whole=True)
    assert effects.outputs == (tuple("bbbbb"),)
    assert effects.edited == ("b",)


def test_interchange_at_the_prediction_position_moves_the_state(parity: Adapter) -> None:
    plan = [Interchange((layer_output(-1, PREDICTION),), (tuple("babab"),), (("b", "b"),))]
    effects = run(parity, PARITY, [list("aaaaa")], plan, [["a", "a"]])
    assert (effects.clean, effects.edited) == (("a",), ("b",))
    assert float(effects.shift[0]) > 0.9


def test_generated_outputs_match_the_model(copier: Adapter) -> None:
    words = COPY.sample(30)
    effects = run(copier, COPY, words, [], whole=True)
    assert effects.outputs == tuple(map(tuple, copier.generate(words)))
    assert effects.changed.hits == 0


def test_random_direction_of_the_same_norm_has_less_effect(copier: Adapter) -> None:
    plan = [Transplant(((0, 0),), (tuple("bbbbb"),) * 50, ((),) * 50)]
    words = [list("aaaaa")] * 50
    assert run(copier, COPY, words, plan).changed.hits == 50
    noisy = run(copier, COPY, words, random_direction(plan, seed=3))
    assert noisy.changed.hits < 30
    again = run(copier, COPY, words, random_direction(plan, seed=3))
    assert torch.equal(noisy.logits, again.logits)


def test_random_heads_exclude_the_given_ones(copier: Adapter) -> None:
    assert random_heads(copier, ((0, 0),)) == ((0, 1),)


def test_untrained_twin_has_the_shape_but_not_the_function(copier: Adapter) -> None:
    twin = Adapter(untrained_twin(copier.model, 1), COPY)
    words = COPY.sample(30)
    right = sum(a == COPY.apply(w) for a, w in zip(twin.generate(words), words, strict=True))
    assert (twin.n_layers, twin.n_heads, twin.d_model) == (1, 2, copier.d_model)
    assert right <= 3
    assert copier.generate(words) == [COPY.apply(w) for w in words]


@pytest.mark.parametrize(
    ("plan", "error", "says"),
    [
        ([Ablate(head(0, 2))], UnknownHookError, "nearest: head 1"),
        ([Ablate(head(3))], UnknownHookError, "nearest"),
        ([Redirect(0, 0, At("input", 9))], UnknownHookError, "0 to 4"),
        ([Redirect(0, 0, At("outputs"))], UnknownHookError, "no such position"),
        ([Swap(((9, "a"),))], UnknownHookError, "0 to 4"),
        ([Swap(((0, "z"),))], UnknownHookError, "one of a, b"),
        ([Swap(())], InterventionError, "one per row"),
        ([Interchange((head(0, 0, INPUTS),), (), ())], InterventionError, "one per row"),
        ([Transplant(((0, 0),), (), ())], InterventionError, "one per row"),
        ([FreezePatterns(), ForcePrefix((("a",),))], InterventionError, "another shape"),
    ],
)
def test_plans_that_cannot_run_are_refused(
    copier: Adapter, plan: list, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        run(copier, COPY, [WORD], plan)


def test_invalid_values_are_refused(copier: Adapter) -> None:
    with pytest.raises(InterventionError, match="zero, mean or resample"):
        Ablate(head(0, 0), "median")  # type: ignore[arg-type]
    with pytest.raises(InterventionError, match="empty"):
        Ablate(head(0, 0), "mean", ())
    with pytest.raises(InterventionError, match="one unit or more"):
        Ablate(())
    with pytest.raises(UnknownHookError, match="one of"):
        At("somewhere")  # type: ignore[arg-type]
    with pytest.raises(UnknownHookError, match="needs an index"):
        At("input")
    with pytest.raises(IncompatibleModelError, match="at least one"):
        run(copier, COPY, [], [])
