"""Sentences on rejected hypotheses and equivalent machines, from results put together by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recinterp.synthesis import EquivalentMachine
from recinterp.synthesis.hypothesis import RejectionReason, Strategy, StrategyKind
from recinterp.synthesis.state_merging.views import BoundOn, Reading
from recinterp.view.report.sentences.hypotheses import (
    equivalent_machine,
    reading_text,
    rejected_hypothesis,
    rejection_text,
    strategy_text,
)
from tests.view.builders import REJECTED
from tests.view.machines import SUCCESSOR

EDITS, TREES, MERGING = StrategyKind.EDITS, StrategyKind.GUARD_TREES, StrategyKind.STATE_MERGING


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        (Strategy(kind=EDITS), "edits of the ground-truth machine"),
        (
            Strategy(kind=EDITS, from_right=True),
            "edits of the ground-truth machine, read from the right",
        ),
        (Strategy(kind=TREES), "guard trees on the ground-truth machine"),
        (Strategy(kind=TREES, on_edited=True), "guard trees on the edited machine"),
        (
            Strategy(kind=MERGING, reading=Reading(backwards=False), states=2),
            "state merging, read from the left: 2 control states",
        ),
    ],
)
def test_each_strategy_has_a_text(strategy: Strategy, text: str) -> None:
    assert strategy_text(strategy) == text


def test_a_reading_names_what_is_known_ahead() -> None:
    reading = Reading(True, True, True, ("X1", "X0"), (BoundOn.LENGTH, 8))
    assert reading_text(reading) == (
        "from the right and written from there, knowing the next token and whether the rest is all"
        " X1 or X0 and whether the length is 8 or more"
    )


@pytest.mark.parametrize(
    ("reason", "difference", "text"),
    [
        (RejectionReason.MORE_WRONG, 7, "it is wrong on 7 inputs more than the chosen machine"),
        (
            RejectionReason.MORE_ABSTENTIONS,
            1,
            "it abstains on 1 input more than the chosen machine",
        ),
        (
            RejectionReason.TOO_LARGE,
            2,
            "it is wrong on 2 inputs fewer, but its size is 31 instead of 24",
        ),
        (RejectionReason.LARGER, 0, "it explains no more, and is larger than 24"),
        (RejectionReason.NO_BETTER, 0, "it explains no more"),
    ],
)
def test_each_reason_has_a_text(reason: RejectionReason, difference: int, text: str) -> None:
    found = replace(REJECTED, reason=reason, difference=difference)
    assert rejection_text(found) == text


def test_a_rejected_hypothesis_is_one_sentence() -> None:
    assert rejected_hypothesis(replace(REJECTED, wrong=3, abstained=4)) == (
        "edits of the ground-truth machine, size 31: wrong on 3 and abstains on 4 of 791 queries;"
        " it explains no more, and is larger than 24"
    )


def test_an_equivalent_machine_says_where_it_differs() -> None:
    found = EquivalentMachine(
        machine=SUCCESSOR,
        rules=("flip where t >= 3",),
        input=("X1", "01"),
        output=(),
        chosen_output=None,
    )
    assert equivalent_machine(found) == (
        "flip where t >= 3: it has the same outputs on this domain; on the longer input X1 01 it"
        " writes ε, and the chosen machine abstains"
    )
