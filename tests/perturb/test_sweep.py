"""Sweeps: many plans at once give what each gives alone; they stream, stop, and go on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from recinterp.errors import InterventionError, UnknownHookError
from recinterp.models import Adapter
from recinterp.perturb import (
    Ablate,
    At,
    FreezePatterns,
    Redirect,
    Steer,
    Swap,
    Unit,
    head,
    layer_output,
    run,
    stream,
    sweep,
)
from recinterp.perturb import sweeps as sweeping
from recinterp.perturb.plan import Intervention
from recinterp.perturb.sweeps import changed, last_logits
from tests.perturb.untrained import DECODER_SHAPES, INPUT, TASK, random_model

pytestmark = pytest.mark.backend
FLIP = ((0, "X1"),) * 8
PLACES = list(itertools.product(range(3), range(4), range(5)))


@pytest.fixture(scope="module")
def adapter() -> Adapter:
    return Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)


def ablations() -> Iterator[list[Intervention]]:
    return ([Ablate(head(layer, h, At("input", i)))] for layer, h, i in PLACES)


def test_sweep_gives_what_each_plan_gives_by_itself(adapter: Adapter) -> None:
    plans: list[list[Intervention]] = [*ablations()]
    plans = [*plans[::9], [Swap(((0, "X1"),) * 8)], [Ablate(Unit("hook_embed", None, At("sep")))]]
    plans += [[Ablate(head(0, 1)), FreezePatterns((1,))], []]
    swept = sweep(adapter, TASK, INPUT, plans, measure=last_logits)
    assert swept.backend == "hooks: the fast backend has no point hook_embed"
    for plan, logits in zip(plans, swept.values, strict=True):
        alone = run(adapter, TASK, INPUT, plan)
        assert float((alone.logits - logits).abs().max()) < 1e-5
    assert float((swept.clean - swept.values[-1]).abs().max()) < 1e-6


def test_blocks_come_in_order_and_plans_are_drawn_lazily(adapter: Adapter) -> None:
    asked: list[int] = []

    def plans() -> Iterator[list[Intervention]]:
        for number, plan in enumerate(ablations()):
            asked.append(number)
            yield plan

    each = 4 * 8 * (11 * 8 * 2 + 8)
    seen = []
    for first, values in stream(adapter, TASK, INPUT, plans(), memory=16 * each):
        seen += range(first, first + len(values))
        assert len(values) <= 20
        assert asked == seen
    assert seen == list(range(len(PLACES)))


def test_interrupted_sweep_resumes(adapter: Adapter, tmp_path: Path) -> None:
    ran: list[int] = []

    def until(stop: int) -> Iterator[list[Intervention]]:
        for number, plan in enumerate(ablations()):
            if number == stop:
                raise KeyboardInterrupt
            ran.append(number)
            yield plan

    small = {"memory": 100_000, "save": tmp_path / "sweep"}
    with pytest.raises(KeyboardInterrupt):
        sweep(adapter, TASK, INPUT, until(45), **small)
    done: list[int] = []
    whole = sweep(adapter, TASK, INPUT, ablations(), progress=done.append, **small)
    assert 0 < done[0] - 20 < 60
    assert done[-1] == len(whole.values) == len(PLACES)
    torch.testing.assert_close(whole.values, sweep(adapter, TASK, INPUT, ablations()).values)
    again = sweep(adapter, TASK, INPUT, ablations(), progress=done.append, **small)
    assert torch.equal(again.values, whole.values)
    with pytest.raises(InterventionError, match="another sweep"):
        sweep(adapter, TASK, INPUT, ablations(), measure=changed, **small)


def directions(*values: float) -> Iterator[list[Intervention]]:
    return ([Steer(layer_output(0), torch.full((32,), value))] for value in values)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda: ablations(), lambda: itertools.islice(ablations(), 30)),
        (lambda: ablations(), lambda: itertools.islice(ablations(), 1, None)),
        (
            lambda: iter(sorted(ablations(), key=str)),
            lambda: iter(sorted(ablations(), key=str)[::-1]),
        ),
        (lambda: directions(1, 2, 3), lambda: directions(1, 2, 4, 5)),
        (lambda: iter([[Ablate(head(0, 1))]]), lambda: iter([[Ablate(head(0, 1), "mean")]])),
        (lambda: iter([[Ablate(head(0, 1))]]), lambda: iter([[Ablate(head(0, 1)), Swap(FLIP)]])),
    ],
    ids=["fewer", "shifted", "another order", "other numbers", "another kind", "one step more"],
)
def test_saved_sweep_refuses_other_plans(
    adapter: Adapter,
    tmp_path: Path,
    before: Callable[[], Iterator[list[Intervention]]],
    after: Callable[[], Iterator[list[Intervention]]],
) -> None:
    saved = {"save": tmp_path / "sweep"}
    done = sweep(adapter, TASK, INPUT, before(), **saved)
    with pytest.raises(InterventionError, match="other plans than the first of these"):
        sweep(adapter, TASK, INPUT, after(), **saved)
    assert torch.equal(sweep(adapter, TASK, INPUT, before(), **saved).values, done.values)


def test_saved_sweep_accepts_more_plans(adapter: Adapter, tmp_path: Path) -> None:
    saved = {"save": tmp_path / "sweep"}
    sweep(adapter, TASK, INPUT, directions(1, 2), **saved)
    more = sweep(adapter, TASK, INPUT, directions(1, 2, 3), **saved)
    torch.testing.assert_close(more.values, sweep(adapter, TASK, INPUT, directions(1, 2, 3)).values)


def test_block_is_halved_with_one_warning_if_memory_runs_out(
    adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sweep(adapter, TASK, INPUT, ablations())
    logits, sizes = sweeping._Sweep.logits, []

    def scarce(job: object, block: list) -> torch.Tensor:
        if len(block) > 10:
            raise RuntimeError("[enforce fail] can't allocate memory: you tried to allocate 9 GB")
        sizes.append(len(block))
        return logits(job, block)

    monkeypatch.setattr(sweeping._Sweep, "logits", scarce)
    with pytest.warns(RuntimeWarning, match="no memory for 60 plans at once") as said:
        halved = sweep(adapter, TASK, INPUT, ablations())
    assert len(said) == 1
    assert max(sizes) <= 10
    torch.testing.assert_close(halved.values, whole.values)


def test_other_errors_are_not_treated_as_lack_of_memory(adapter: Adapter) -> None:
    with pytest.raises(UnknownHookError, match="nearest: head 3"):
        sweep(adapter, TASK, INPUT, [[Ablate(head(0, 4))]])
    with pytest.raises(UnknownHookError, match="ends at"):
        sweep(adapter, TASK, INPUT, [[Ablate(head(0, 1, At("position", 9)))]])


@pytest.mark.parametrize(
    "plan",
    [
        [Ablate(head(0, 1)), Ablate(head(0), "mean")],
        [Steer(layer_output(0), torch.ones(32)), Ablate(layer_output(0, At("prediction")))],
        [Redirect(0, 1, At("inputs")), Redirect(0, None, At("input", 0))],
        [Redirect(0, 1, At("inputs")), FreezePatterns()],
        [Redirect(0, 1, At("inputs")), Ablate(head(0, 1))],
    ],
    ids=["set twice", "added, then set", "two places", "frozen afterwards", "read, then cut"],
)
def test_edits_that_overwrite_each_other_are_refused(
    adapter: Adapter, plan: list[Intervention]
) -> None:
    with pytest.raises(InterventionError, match="undoes the first"):
        run(adapter, TASK, INPUT, plan)
    run(adapter, TASK, INPUT, plan[:1])
    run(adapter, TASK, INPUT, plan[1:])
