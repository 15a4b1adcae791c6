"""The judge: held-out inputs only, columns as defined, baselines beside."""

from __future__ import annotations

import pytest

import recinterp as ri
from recinterp.errors import DomainError
from recinterp.judge.strata import build_strata
from recinterp.splits import held_out
from recinterp.stats import Rate
from tests import planted

TASK = ri.task("binary-successor")
DOMAIN = ri.Domain(max_length=10)


def test_judged_inputs_are_held_out() -> None:
    found = build_strata(TASK, DOMAIN, trained=None, distribution="balanced", seed=0)
    assert {"in distribution", "depth 0", "depth 5", "full depth"} <= set(found)
    assert all(held_out(x) for inputs in found.values() for x in inputs)


def test_the_ground_truth_machine_predicts_no_failure() -> None:
    judged = ri.fidelity(planted.many(planted.capped(3)), TASK, TASK.machine, domain=DOMAIN)
    overall = judged.overall
    assert overall.failure_recall.hits == 0
    assert overall.failure_recall.total > 0
    assert overall.failure_precision == Rate(0, 1)
    assert overall.match == overall.baselines["model is right"]
    assert overall.coverage.value == 1.0


def test_a_users_hypothesis_can_be_judged() -> None:
    text = """
    vocab X0/1 X1/1 01/0
    start carry
    registers p := 0
    mode carry
      flip: in(p) = X1 and p < 3 -> emit X0, p := p + 1, goto carry
      cap: in(p) = X1 and p >= 3 -> emit X1, p := p + 1, goto copy
      stop: in(p) = X0 -> emit X1, p := p + 1, goto copy
      base: in(p) = 01 -> emit X0 01, halt
    mode copy
      last: in(p) = 01 -> emit 01, halt
      same: in(p) in {X0, X1} -> emit in(p), p := p + 1, goto copy
    """
    mine = ri.Machine.parse(text)
    judged = ri.fidelity(planted.many(planted.capped(3)), TASK, mine, domain=DOMAIN)
    for stratum in judged.strata:
        assert stratum.match.value == 1.0
    assert judged.overall.failure_recall.value == judged.overall.failure_precision.value == 1.0


def test_a_missing_domain_raises_and_names_the_argument() -> None:
    with pytest.raises(DomainError, match=r"domain=ri\.Domain"):
        ri.fidelity(planted.many(planted.successor), TASK, TASK.machine)


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"), [(0, 10, 0.0, 0.278), (8, 10, 0.490, 0.943)]
)
def test_wilson_interval(hits: int, total: int, low: float, high: float) -> None:
    found = Rate(hits, total).interval
    assert found == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_a_wrong_token_before_abstaining_flags_a_failure() -> None:
    """As `will_fail` does: what is written already is not the true output."""
    task = ri.task("binary-successor")
    true = 'in(p) = X1 -> emit X0, p := p + 1, goto succ  @"ι succ X1"'
    text = str(task.machine)
    assert true in text
    lost = text.replace(true, "in(p) = X1 -> emit X1, p := p + 1, goto gone")
    machine = ri.Machine.parse(lost + "mode gone\n  gone: in(p) in {01, X0, X1} -> lost, halt\n")

    def carries(xs: list[list[str]]) -> list[list[str]]:
        both = zip(xs, task.apply_many(xs), strict=True)
        return [["X1", *y] if x[0] == "X1" else y for x, y in both]

    found = ri.fidelity(carries, task, machine, domain=ri.Domain(max_length=7)).overall
    assert found.flagged_recall.value == found.flagged_precision.value == 1.0
    assert found.failure_recall.value == 0.0
