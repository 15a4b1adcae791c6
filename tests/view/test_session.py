"""The Session answers what `perturb` returns, in fewer forward passes."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch

from recinterp import perturb
from recinterp.errors import (
    InterventionError,
    InvalidInputError,
    ModelNotLoadedError,
    RecinterpError,
    UnknownNameError,
)
from recinterp.perturb.lowering.sources import source_cache
from recinterp.perturb.positions import build_batch
from recinterp.tokens import first_difference
from recinterp.view.notebook.session import HeadIntervention, Session
from tests.view.builders import explanation, session

MODEL = "binary-successor-natural-depthcap3"
INPUTS = (("X1", "X0", "01"), ("X1",) * 4 + ("01",), ("X0", "X1", "01"), ("01",))


def generated(x: tuple[str, ...], intervention: HeadIntervention) -> tuple[str, ...]:
    """The output under an intervention as `perturb` generates it, token by token."""
    queried = session()
    with source_cache(queried._source_cache):
        found = perturb.run(
            queried.adapter, queried.task, [x], queried.plan(intervention), whole=True
        )
    assert found.outputs is not None
    return found.outputs[0]


@pytest.mark.parametrize("kind", ["zero", "mean", "resample"])
def test_ablated_output_equals_that_of_perturb(kind: Any) -> None:
    for heads, x in [(((1, 0),), INPUTS[0]), (((0, 0), (1, 1)), INPUTS[1]), (((0, 1),), INPUTS[3])]:
        intervention = HeadIntervention(heads, kind)
        assert session().output(x, intervention) == generated(x, intervention), (heads, x)


def test_some_ablation_changes_an_output() -> None:
    changed = [
        session().answer(x, HeadIntervention((h,))).changed for h in session().heads for x in INPUTS
    ]
    assert any(changed)


@pytest.mark.parametrize("to", ["t", "n-1-t", "t + 1"])
def test_redirected_output_equals_that_of_perturb(to: str) -> None:
    queried, intervention = session(), HeadIntervention(((1, 0),), "redirect", to)
    for x in INPUTS:
        out = queried.output(x, intervention)
        for t in range(len(out)):
            at = queried.pointers[to].at(x, t)
            plan = [] if at is None else queried.plan(intervention, [at])
            found = perturb.run(queried.adapter, queried.task, [x], plan, [out[:t]])
            assert found.edited == (out[t],)


@pytest.mark.parametrize("room", [9, 10, 11, 13])
def test_output_is_truncated_at_the_context_as_by_perturb(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    queried, x = Session(session().ex), ("X1", "X1", "X0", "X1", "X0", "01")
    monkeypatch.setattr(type(queried.adapter), "n_ctx", property(lambda _: room))
    for intervention in (HeadIntervention(), HeadIntervention(((0, 0),))):
        found = perturb.run(
            queried.adapter, queried.task, [x], queried.plan(intervention), whole=True
        )
        assert found.outputs is not None
        assert queried.output(x, intervention) == found.outputs[0]
    assert queried.output(x)[-1] == "…" or room == 13


def test_answer_takes_fewer_passes_than_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    queried = session()
    queried.warm_up()
    for _, x in queried.suggested_inputs:
        queried.output(x)  # clean ones are remembered
    real, passes, tokens = queried.adapter.run_with_hooks, [], 0

    def counted(*args: Any) -> torch.Tensor:
        passes[-1] += 1
        return real(*args)

    monkeypatch.setattr(queried.adapter, "run_with_hooks", counted)
    for h in queried.heads:
        for _, x in queried.suggested_inputs[:4]:
            passes.append(0)
            out = queried.answer(x, HeadIntervention((h,), "mean")).output
            assert passes[-1] <= len(out) + 2
            tokens += len(out) + 1
    assert 2 * sum(passes) <= tokens  # token by token it would be as many


def test_attention_is_that_of_the_model() -> None:
    queried, x = session(), INPUTS[0]
    a = queried.answer(x)
    rows = build_batch(queried.task, [x], [a.output])
    held = queried.adapter.cache(rows.ids, ["blocks.1.attn.hook_pattern"])
    want = held["blocks.1.attn.hook_pattern"][0, :, a.first_query :]
    assert torch.allclose(a.attention[1] / 255, want, atol=1 / 255)
    assert a.tokens == (*x, "SEP", *a.output)


def test_redirected_head_attends_to_its_pointer() -> None:
    a = session().answer(INPUTS[1], HeadIntervention(((1, 0),), "redirect", "t"))
    for t in range(min(len(a.output) + 1, len(a.input))):
        assert a.attention[1, 0, t].tolist() == [
            255 * (k == t) for k in range(a.attention.shape[3])
        ]


@pytest.mark.slow
def test_accuracy_counts_whole_outputs() -> None:
    queried, intervention = session(), HeadIntervention(((1, 1),), "zero")
    for s in islice(queried.accuracy(intervention), 3):
        inputs = queried._strata[s.name]
        truth = [tuple(y) for y in queried.task.apply_many(inputs)]
        assert s.clean.total == len(inputs)
        assert s.clean.hits == sum(
            queried.output(x) == y for x, y in zip(inputs, truth, strict=True)
        )
        assert s.edited.hits == sum(
            queried.output(x, intervention) == y for x, y in zip(inputs, truth, strict=True)
        )


def test_accuracy_of_a_redirect_uses_fewer_inputs() -> None:
    queried, intervention = session(), HeadIntervention(((1, 1),), "redirect", "t")
    first = next(queried.accuracy(intervention))
    inputs = queried._strata[first.name][: first.edited.total]
    truth = [tuple(y) for y in queried.task.apply_many(inputs)]
    assert first.edited.hits == sum(
        queried.output(x, intervention) == y for x, y in zip(inputs, truth, strict=True)
    )


def test_accuracy_stops_on_request() -> None:
    told = iter([False, False, True])
    assert len(list(session().accuracy(HeadIntervention(), lambda: next(told)))) == 2


def test_step_of_the_first_difference_writes_that_token() -> None:
    seen = 0
    for h in session().heads:
        for x in INPUTS:
            a = session().answer(x, HeadIntervention((h,)))
            assert a.first_difference == first_difference(a.output, a.machine_output)
            if a.first_difference is not None and a.first_difference < len(a.machine_output):
                assert a.step is not None
                wrote = a.run[a.step + 1].out if a.step + 1 < len(a.run) else a.machine_output
                assert len(a.run[a.step].out) <= a.first_difference < len(wrote)
                seen += 1
    assert seen


def test_suggested_inputs_begin_with_the_counterexample() -> None:
    offered = session().suggested_inputs
    assert offered[0][1] == tuple(session().ex.diff.counterexample.input)  # type: ignore[union-attr]
    assert len({x for _, x in offered}) == len(offered) >= 5
    for _, x in offered:
        session().task.well_formed(x)


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda s: s.output(("X1",)), InvalidInputError, "position"),
        (
            lambda s: s.output(("01",), HeadIntervention(((5, 0),))),
            InterventionError,
            "L0H0 to L1H1",
        ),
        (
            lambda s: s.output(("01",), HeadIntervention(((1, 0),), "redirect", "q")),
            UnknownNameError,
            "redirect",
        ),
        (lambda s: HeadIntervention((), "knock"), InterventionError, "resample"),
        (lambda s: Session(explanation()), ModelNotLoadedError, "model="),
        (lambda s: Session(explanation(model=len)), ModelNotLoadedError, "not a hooked model"),
    ],
)
def test_impossible_queries_are_refused(ask: Any, error: type[RecinterpError], says: str) -> None:
    with pytest.raises(error, match=says):
        ask(session())
