"""A machine's predictions on another domain, compared with the model there."""

from __future__ import annotations

import pytest

import recinterp as ri
from recinterp.errors import DomainError, IncompatibleModelError
from recinterp.judge.domain_check import check_on_domain
from recinterp.machine.continuation import Preference
from recinterp.stats import Rate

TASK = ri.Task.from_gallina(
    """Inductive label := a | b | c.
Inductive list (A : Type) : Type := nil | cons (x : A) (l : list A).
Arguments nil {A}.
Arguments cons {A} x l.
Fixpoint copy (l : list label) : list label :=
  match l with nil => nil | cons x t => cons x (copy t) end.""",
    function="copy",
)
PLAIN = TASK.machine


def drop_repeats(inputs: list[list[str]]) -> list[list[str]]:
    return [list(dict.fromkeys(x)) for x in inputs]


def loop_back(inputs: list[list[str]]) -> list[list[str]]:
    """Induction by the first occurrence: it loops on a repeated label until it is cut."""
    return [x if len(set(x)) == len(x) else _loop(x) for x in inputs]


def _loop(x: list[str]) -> list[str]:
    out = [x[0]]
    while len(out) < 7:
        at = x.index(out[-1]) + 1
        if at == len(x):
            return out
        out.append(x[at])
    return [*out, "…"]


def test_the_right_continuation_predicts_and_the_others_do_not() -> None:
    dropping = PLAIN.with_continuation(Preference.UNWRITTEN)
    domain = ri.Domain(max_length=4)
    found = check_on_domain(drop_repeats, TASK, dropping, domain, others=[PLAIN])
    assert found.exhaustive
    assert found.predicted == Rate(121, 121)
    assert found.correct == found.others[0] == Rate(1 + 3 + 6 + 6, 121)
    assert found.wrong == ()


def test_outputs_that_were_cut_are_compared_up_to_there() -> None:
    looping = PLAIN.with_continuation(Preference.AFTER_LAST)
    found = check_on_domain(loop_back, TASK, looping, ri.Domain(max_length=4))
    assert found.predicted == Rate(121, 121)


def test_wrong_predictions_are_listed_the_shortest_first() -> None:
    found = check_on_domain(drop_repeats, TASK, PLAIN, ri.Domain(max_length=3), sample_size=20)
    assert not found.exhaustive
    lengths = [len(w.input) for w in found.wrong]
    assert lengths == sorted(lengths)
    assert found.wrong[0].output != found.wrong[0].predicted
    assert "the machine predicts" in str(found)


def test_no_model_and_no_inputs_are_refused() -> None:
    with pytest.raises(IncompatibleModelError, match="no model"):
        check_on_domain(None, TASK, PLAIN, ri.Domain(max_length=3))
    with pytest.raises(DomainError, match="max_length"):
        check_on_domain(drop_repeats, TASK, PLAIN, ri.Domain())
