"""What a model does after outputs that it would not have written."""

from __future__ import annotations

from functools import cache

import pytest

import recinterp as ri
from recinterp.causal.forced_prefixes import (
    NextTokenPredictor,
    PrefixedState,
    learn_forced_prefix_rules,
    predict_next_token,
    predict_token,
    replace_token,
)
from recinterp.causal.pairs import PairSampler
from recinterp.causal.prediction import measure_interventional_match
from recinterp.causal.results import ForcedPrefixRule
from recinterp.causal.traces import trace_run
from recinterp.machine import Machine
from recinterp.models import Adapter, load
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_tokens
from recinterp.splits import in_fit_split
from recinterp.stats import Rate
from recinterp.view.report.sentences.network import condition_text, effect_text
from tests.perturb.hand_set import LENGTH, Words, machine, planted

pytestmark = pytest.mark.backend
COPY, PARITY = Words("copy"), Words("parity")
SUCC = ri.task("binary-successor")
INPUTS = [tuple(x) for x in SUCC.sample(400, seed=2, max_length=10)]


@cache
def parity() -> Adapter:
    return Adapter(planted(PARITY), PARITY)


@cache
def of_parity() -> tuple[ForcedPrefixRule, ...]:
    return learn_forced_prefix_rules(
        parity(), PairSampler(PARITY, machine(PARITY), list(PARITY.inputs(LENGTH)), 0)
    )


@cache
def shipped() -> Adapter:
    return Adapter(load("binary-successor-natural"), SUCC)


@cache
def of_shipped() -> tuple[ForcedPrefixRule, ...]:
    return learn_forced_prefix_rules(shipped(), PairSampler(SUCC, SUCC.machine, INPUTS, 0))


def test_rules_find_a_state_that_is_read_off_the_output() -> None:
    """Parity written token by token from the last one: what was forced decides, always."""
    assert {rule.when: rule.then for rule in of_parity()} == {
        (("mode", "even"), ("last", "b")): "odd",
        (("mode", "odd"), ("last", "a")): "even",
    }
    for one in of_parity():
        assert one.observed.total >= 10
        assert one.observed.value == 1.0
        assert one.without_rule.value < 0.5  # not 0: at the end of the input both modes stop
    assert {condition_text(o) for o in of_parity()} == {
        "in mode even, after b",
        "in mode odd, after a",
    }
    assert {effect_text(o) for o in of_parity()} == {
        "continues as in mode odd",
        "continues as in mode even",
    }


def test_rules_improve_interventional_match() -> None:
    words = list(PARITY.inputs(LENGTH))
    ask = (parity(), PairSampler(PARITY, machine(PARITY), words, 0), ())
    assert measure_interventional_match(*ask).carried_state_contrast.hits == 0
    found = measure_interventional_match(
        *ask,
        predictor=NextTokenPredictor(machine=machine(PARITY), forced_prefix_rules=of_parity()),
    )
    assert found.carried_state_contrast.total >= 10
    assert found.carried_state_contrast.value == 1.0
    assert found.unpredicted_changes.hits == 0


def test_a_model_that_reads_its_input_has_no_rules() -> None:
    adapter = Adapter(planted(COPY), COPY)
    assert (
        learn_forced_prefix_rules(
            adapter, PairSampler(COPY, machine(COPY), list(COPY.inputs(LENGTH)), 0)
        )
        == ()
    )


def test_outputs_of_one_token_give_no_rules() -> None:
    adapter = Adapter(planted(COPY), COPY)
    one = Machine.parse(
        "vocab a/0 b/0\nstart run\nmode run\n  all: in(0) in {a, b} -> emit in(0), halt\n"
    )
    words = list(COPY.inputs(LENGTH))
    assert learn_forced_prefix_rules(adapter, PairSampler(COPY, one, words, 0)) == ()
    assert (
        measure_interventional_match(
            adapter, PairSampler(COPY, one, words, 0), ()
        ).carried_state_contrast.total
        == 0
    )


def test_a_trained_model_ends_after_a_forced_last_constructor() -> None:
    """Its machine ends where the input does; forced to write One early, the model stops there."""
    last = next(o for o in of_shipped() if o.when == (("last", "01"),))
    assert last.then is None
    assert last.observed.value > 0.8
    assert last.without_rule.value < 0.2


def test_rules_do_not_change_the_machines_own_runs() -> None:
    assert of_shipped()
    for tokens in SUCC.inputs(7):
        run = trace_run(SUCC.machine, tuple(tokens))
        says = [*SUCC.apply(tokens), "EOS"]
        predicted = [
            predict_next_token(SUCC.machine, tuple(tokens), tuple(says[:t]), of_shipped())
            for t in range(len(says))
        ]
        assert predicted == says
        for t, state in enumerate(run.emitting_states[1:], 1):
            assert not any(
                o.fits(PrefixedState(state, t, run.outputs[:t]).features()) for o in of_shipped()
            )


def test_rules_hold_on_inputs_outside_the_fit_split() -> None:
    """Counted here anew, on every such input and with other outputs than were drawn there."""
    rest = [x for x in INPUTS if not in_fit_split(x)][:60]
    at = [
        PrefixedState(run.emitting_states[t], t, replace_token(run.outputs[:t], 1, "01"))
        for run in (trace_run(SUCC.machine, x) for x in rest)
        for t in range(1, len(run.emitting_states))
    ]
    rows = build_batch(SUCC, [b.state.tokens for b in at], [b.prefix for b in at])
    written = next_tokens(shipped(), SUCC, rows)
    both = list(zip(at, written, strict=True))
    with_rules = Rate.of(predict_token(b, of_shipped()) == a for b, a in both)
    without = Rate.of(predict_token(b) == a for b, a in both)
    assert with_rules.value > 0.8 > 0.3 > without.value


def test_after_the_machines_end_there_is_no_prediction() -> None:
    assert predict_next_token(SUCC.machine, ("X0", "01"), ("X1", "01")) == "EOS"
    assert predict_next_token(SUCC.machine, ("X0", "01"), ("X1", "01", "01")) is None


def test_the_same_seed_gives_the_same_rules() -> None:
    again = learn_forced_prefix_rules(
        parity(), PairSampler(PARITY, machine(PARITY), list(PARITY.inputs(LENGTH)), 0)
    )
    assert again == of_parity()
