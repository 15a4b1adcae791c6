"""Machines recovered from behaviour: planted shortcuts, exactly and in both orders."""

from __future__ import annotations

from itertools import pairwise
from zlib import crc32

import pytest

import recinterp as ri
from recinterp.errors import HeldOutInputError
from recinterp.splits import held_out
from recinterp.synthesis import Oracle, synthesize
from recinterp.synthesis.config import DEFAULTS
from recinterp.synthesis.hypothesis import RejectionReason, StrategyKind
from recinterp.synthesis.queries import full_sample, stratified_queries
from tests import planted
from tests.cases import CASES

pytestmark = pytest.mark.slow
RECOVERED = (
    "ground truth", "carries 3 times", "carries 5 times", "base case wrong from depth 2",
    "truncated after 7", "copies from length 8",
)  # fmt: skip
RECOVERED_REVERSE = (
    "ground truth, reverse", "carries 3 times, reverse", "base case wrong from depth 2, reverse",
)  # fmt: skip


@pytest.mark.parametrize("name", RECOVERED)
def test_planted_shortcuts_are_recovered_exactly(name: str) -> None:
    case = CASES[name]
    found = synthesize(Oracle(case.predict), case.task, ri.Domain(max_length=10))
    inputs = case.inputs(13)  # lengths 11 to 13 are outside the domain
    assert found.chosen.machine.run_many(inputs) == case.predict(inputs)
    assert found.chosen.machine.size <= 60
    assert len(found.chosen.machine.modes) <= 8


@pytest.mark.parametrize("name", RECOVERED_REVERSE)
def test_planted_shortcuts_in_reverse_order_are_recovered(name: str) -> None:
    case = CASES[name]
    found = synthesize(Oracle(case.predict), case.task, ri.Domain(max_length=10))
    inputs = case.inputs(12)
    assert found.chosen.machine.run_many(inputs) == case.predict(inputs)


def test_no_held_out_input_is_queried() -> None:
    oracle = Oracle(planted.many(planted.successor))
    locked = next(x for x in planted.words(8) if held_out(x))
    with pytest.raises(HeldOutInputError, match="held out"):
        oracle([locked])
    task, domain = ri.task("binary-successor"), ri.Domain(max_length=12)
    assert not any(held_out(x) for x in stratified_queries(task, domain, DEFAULTS.queries))
    synthesize(oracle, task, domain)
    assert oracle.outputs
    assert not any(held_out(x) for x in oracle.outputs)


def test_every_length_and_depth_is_queried() -> None:
    task = ri.task("binary-successor")
    cells = {
        (len(x), task.depth(x))
        for x in stratified_queries(task, ri.Domain(max_length=12), DEFAULTS.queries)
    }
    wanted = {(n, d) for n in range(1, 13) for d in task.depths(n)}
    missing = wanted - cells
    # a cell is missed only where everything in it is held out
    assert all(all(held_out(x) for x in task.sample(8, length=n, depth=d)) for n, d in missing)


def test_machine_abstains_where_outputs_have_no_rule() -> None:
    def noisy(x: list[str]) -> list[str]:
        if planted.depth(x) <= 3:
            return planted.successor(x)
        return ["X1"] * (sum(i * len(t) for i, t in enumerate(x) if t != "X0") * 7919 % 5 + 1)

    found = synthesize(
        Oracle(planted.many(noisy)), ri.task("binary-successor"), ri.Domain(max_length=10)
    )
    inputs = list(planted.words(10))
    for x, predicted in zip(inputs, found.chosen.machine.run_many(inputs), strict=True):
        assert predicted == (planted.successor(x) if planted.depth(x) <= 3 else None)


def test_rejected_hypotheses_have_a_reason() -> None:
    oracle = Oracle(planted.many(planted.capped(3)))
    found = synthesize(oracle, ri.task("binary-successor"), ri.Domain(max_length=9))
    assert found.rejected_hypotheses
    assert any(h.reason == RejectionReason.MORE_WRONG for h in found.rejected_hypotheses)
    for h in found.rejected_hypotheses:
        if h.reason == RejectionReason.MORE_WRONG:
            assert h.difference == h.wrong - found.chosen.wrong > 0


def test_same_seed_same_machine() -> None:
    task, domain = ri.task("binary-successor"), ri.Domain(max_length=9)
    runs = [
        synthesize(Oracle(planted.many(planted.skipped_flip(2))), task, domain) for _ in range(2)
    ]
    assert runs[0].chosen.machine == runs[1].chosen.machine


def test_state_merging_recovers_what_is_no_edit_of_the_truth() -> None:
    """Whether the X1 from here on are odd in number: two states, read from the right."""

    def odd_from_here(x: list[str]) -> list[str]:
        return [f"X{x[i:].count('X1') % 2}" for i in range(len(x) - 1)] + ["01"]

    task = ri.task("binary-successor")
    found = synthesize(Oracle(planted.many(odd_from_here)), task, ri.Domain(max_length=10))
    assert found.chosen.strategy.kind == StrategyKind.STATE_MERGING
    inputs = list(task.inputs(12))
    assert found.chosen.machine.run_many(inputs) == [odd_from_here(x) for x in inputs]


def test_full_sample_covers_known_inputs_and_every_stratum() -> None:
    task, domain = ri.task("binary-successor"), ri.Domain(max_length=13)
    known = stratified_queries(task, domain, DEFAULTS.queries)
    found = [tuple(x) for x in full_sample(task, domain, known, DEFAULTS.queries)]
    assert len(set(found)) == len(found) <= DEFAULTS.queries.full_sample_size + len(known)
    assert {tuple(x) for x in known} <= set(found)
    assert not any(held_out(x) for x in found)
    cells = {(task.length(x), task.depth(x)) for x in known}
    assert {(task.length(x), task.depth(x)) for x in found} == cells


def test_full_sample_lists_a_small_domain() -> None:
    task, domain = ri.task("list-reverse"), ri.Domain(max_length=4)
    expected = {tuple(x) for x in task.inputs(4) if not held_out(x)}
    assert {tuple(x) for x in full_sample(task, domain, [], DEFAULTS.queries)} == expected


def test_second_round_finds_rare_faults() -> None:
    task, domain = ri.task("list-map"), ri.Domain(max_length=7)

    def loses_its_end(x: list[str]) -> list[str]:
        """The image of the rest is left out after `a d`, if the last one is a d as well."""
        out = task.apply(x)
        at = next((i for i, two in enumerate(pairwise(x)) if two == ("a", "d")), 9)
        return out[: at + 1] if len(x) == 7 and x[-1] == "d" and at < 5 else out

    def fails(x: list[str]) -> bool:
        return loses_its_end(x) != task.apply(x)

    first = stratified_queries(task, domain, DEFAULTS.queries)
    assert sum(map(fails, first)) < 0.05 * len(first)
    found = synthesize(Oracle(planted.many(loses_its_end)), task, domain)
    inputs = [x for x in task.inputs(7) if held_out(x)]
    failing = [x for x in inputs if fails(x)]
    predicted = found.chosen.machine.run_many(failing)
    assert sum(m == loses_its_end(x) for m, x in zip(predicted, failing, strict=True)) > 0.9 * len(
        predicted
    )


def test_failures_are_flagged_where_a_few_outputs_are_right() -> None:
    """Beyond three labels the order is a hash's, which is at times the right one."""
    task, domain = ri.task("list-reverse"), ri.Domain(max_length=6)

    def shuffled(x: list[str]) -> list[str]:
        return task.apply(x) if len(x) <= 3 else sorted(x, key=lambda t: crc32(f"{x}{t}".encode()))

    ex = ri.explain(planted.many(shuffled), task, domain=domain)
    inputs = [x for x in task.inputs(6) if held_out(x)]
    failing = [shuffled(x) != task.apply(x) for x in inputs]
    flagged = [flag is True for flag in ex.will_fail(inputs)]
    both = sum(f and g for f, g in zip(failing, flagged, strict=True))
    assert any(not f for f, x in zip(failing, inputs, strict=True) if len(x) > 3)
    assert both >= 0.95 * sum(failing)
    assert both >= 0.9 * sum(flagged)
    assert ex.diff.verdict == "bounded"
