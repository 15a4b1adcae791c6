"""Patches: which places they name, which interventions they become, what the model writes then."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recinterp.causal.pairs import Pair, PairSampler, Step
from recinterp.causal.patches import (
    PatchSpec,
    build_base_batch,
    build_interchanges,
    interchange_accuracy,
    predict_patched,
)
from recinterp.causal.results import PatchLocation, is_single
from recinterp.models import Adapter
from recinterp.perturb import INPUTS, OUTPUTS, PREDICTION, SEP, At
from recinterp.stats import Rate
from tests.perturb.hand_set import LENGTH, Words, machine, planted

pytestmark = pytest.mark.backend
COPY = Words("copy")
POST, ATTENTION = "blocks.0.hook_resid_post", "blocks.0.attn.hook_z"
READS_HEAD = (PatchLocation(ATTENTION, "prediction", 0),)


def step(tokens: str, t: int, read_position: int | None) -> Step:
    return Step(
        tokens=tuple(tokens),
        prefix=tuple(tokens[:t]),
        t=t,
        output=tokens[t],
        read_position=read_position,
        pointer_positions=(("p", read_position),),
    )


def pair(base: Step, source: Step) -> Pair:
    return Pair(base=base, source=source, counterfactual=source.output, others_match=True)


TWO = pair(step("abbab", 1, 1), step("aabbb", 2, 2))
NOTHING_READ = pair(step("abbab", 1, None), step("aabbb", 2, 2))


def positions(position: str, *pairs: Pair) -> tuple[At, At]:
    """Where a patch writes in the base, and where it reads in the source."""
    (plan,) = build_interchanges(PatchSpec((PatchLocation(POST, position),)), pairs)
    assert isinstance(plan.units[0].at, At)
    assert isinstance(plan.at, At)
    return plan.units[0].at, plan.at


@pytest.fixture(scope="module")
def copier() -> Adapter:
    return Adapter(planted(COPY), COPY)


@pytest.fixture(scope="module")
def content_pairs() -> list[Pair]:
    sampler = PairSampler(COPY, machine(COPY), list(COPY.inputs(LENGTH)), 0)
    variable = next(v for v in sampler.variables if v.name == "in(p)")
    return sampler.sample(variable, 20)


@pytest.mark.parametrize(
    ("hook", "layer", "stage"),
    [
        ("blocks.0.hook_resid_pre", -1, 0),
        (ATTENTION, 0, 1),
        (POST, 0, 2),
        ("blocks.1.attn.hook_z", 1, 3),
        ("blocks.1.hook_resid_post", 1, 4),
    ],
)
def test_stages_follow_the_order_of_computation(hook: str, layer: int, stage: int) -> None:
    location = PatchLocation(hook, "prediction")
    assert (location.layer, location.stage) == (layer, stage)
    assert location.is_attention == hook.endswith("hook_z")
    assert location.is_layer_output == hook.endswith("hook_resid_post")


def test_input_positions_lie_before_the_output() -> None:
    reading = ("read", "changed", "others", "inputs", "at p", "others than p")
    assert all(PatchLocation(POST, position).while_reading for position in reading)
    writing = ("prediction", "sep", "outputs")
    assert not any(PatchLocation(POST, position).while_reading for position in writing)


def test_a_single_site_is_one_place_with_one_token() -> None:
    at_query = PatchLocation(POST, "prediction")
    assert is_single((at_query,))
    assert is_single((PatchLocation(POST, "changed"),))
    assert not is_single((PatchLocation(POST, "inputs"),))
    assert not is_single((at_query, PatchLocation(POST, "read")))
    assert not is_single(())


def test_decoder_only_models_number_their_blocks(copier: Adapter) -> None:
    location = PatchLocation(POST, "prediction")
    assert location.with_block_name(copier) == location


@pytest.mark.parametrize(
    ("position", "where"),
    [("prediction", PREDICTION), ("sep", SEP), ("inputs", INPUTS), ("outputs", OUTPUTS)],
)
def test_fixed_positions_are_the_same_in_base_and_source(position: str, where: At) -> None:
    assert positions(position, TWO) == (where, where)


def test_pointer_positions_differ_between_base_and_source() -> None:
    assert positions("read", TWO) == (At("input", (1,)), At("input", (2,)))
    assert positions("at p", TWO) == (At("input", (1,)), At("input", (2,)))
    assert positions("others", TWO) == (At("others", (1,)), At("others", (2,)))
    assert positions("others than p", TWO) == (At("others", (1,)), At("others", (2,)))


def test_a_pair_in_which_one_side_reads_nothing_has_no_read_position() -> None:
    base, source = positions("read", TWO, NOTHING_READ)
    assert (base.index, source.index) == ((1, None), (2, None))


def test_changed_positions_leave_out_the_position_read() -> None:
    assert TWO.changed_positions == (3,)  # abbab and aabbb differ at 1, which is read, and at 3
    base, source = positions("changed", TWO)
    assert base == source == At("some", ((3,),))


def test_interchange_takes_the_sources_with_their_outputs() -> None:
    basis = torch.eye(4)[:, :2]
    spec = PatchSpec((PatchLocation(POST, "prediction"),), control_seed=7, bases=[basis])
    (plan,) = build_interchanges(spec, [TWO])
    assert plan.inputs == (tuple("aabbb"),)
    assert plan.prefixes == (tuple("aa"),)
    assert plan.control_seed == 7
    assert plan.within == (basis,)
    assert (plan.units[0].hook, plan.units[0].head) == (POST, None)


def test_base_batch_has_one_row_per_pair(content_pairs: list[Pair]) -> None:
    assert len(build_base_batch(COPY, content_pairs)) == len(content_pairs)


def test_patching_the_reading_head_gives_the_counterfactual(
    copier: Adapter, content_pairs: list[Pair]
) -> None:
    spec = PatchSpec(READS_HEAD)
    predicted = predict_patched(copier, COPY, content_pairs, spec)
    assert predicted == [p.counterfactual for p in content_pairs]
    assert interchange_accuracy(copier, COPY, content_pairs, spec) == Rate(20, 20)


def test_a_head_that_writes_nothing_leaves_the_base_as_it_is(
    copier: Adapter, content_pairs: list[Pair]
) -> None:
    idle = PatchSpec((replace(READS_HEAD[0], head=1),))
    assert interchange_accuracy(copier, COPY, content_pairs, idle) == Rate(0, 20)


def test_without_pairs_nothing_is_counted(copier: Adapter) -> None:
    assert interchange_accuracy(copier, COPY, [], PatchSpec(READS_HEAD)) == Rate(0, 0)
