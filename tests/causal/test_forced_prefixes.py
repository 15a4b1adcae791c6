"""What a model does behind outputs that it would not have written."""

from __future__ import annotations

from functools import cache

import pytest

import recinterp as ri
from recinterp.causal.forced_prefixes import (
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


def test_a_state_read_off_the_output_is_found_there() -> None:
    """Parity written token by token from the last one: what was forced decides, always."""
    told = {o.when: o.then for o in of_parity()}
    assert told == {
        (("mode", "even"), ("last", "b")): "odd",
        (("mode", "odd"), ("last", "a")): "even",
    }
    for one in of_parity():
        assert one.observed.total >= 10
        assert one.observed.value == 1.0
        assert one.without_rule.value < 0.5  # not 0: at the end of the input both modes stop
    assert {condition_text(o) for o in of_parity()} == {"in even, behind b", "in odd, behind a"}
    assert {effect_text(o) for o in of_parity()} == {"goes on as in odd", "goes on as in even"}


def test_with_them_the_machine_foretells_what_without_them_only_its_rival_did() -> None:
    words = list(PARITY.inputs(LENGTH))
    ask = (parity(), PairSampler(PARITY, machine(PARITY), words, 0), ())
    assert measure_interventional_match(*ask).carried_state_contrast.hits == 0
    found = measure_interventional_match(*ask, forced_prefix_rules=of_parity())
    assert found.carried_state_contrast.total >= 10
    assert found.carried_state_contrast.value == 1.0
    assert found.unpredicted_changes.hits == 0


def test_a_model_that_reads_its_input_has_none() -> None:
    adapter = Adapter(planted(COPY), COPY)
    assert (
        learn_forced_prefix_rules(
            adapter, PairSampler(COPY, machine(COPY), list(COPY.inputs(LENGTH)), 0)
        )
        == ()
    )


def test_outputs_of_one_token_leave_nothing_to_force() -> None:
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


def test_a_trained_model_ends_behind_a_token_that_ends() -> None:
    """Its machine ends where the input does; forced to write One early, the model stops there."""
    last = next(o for o in of_shipped() if o.when == (("last", "01"),))
    assert last.then is None
    assert last.observed.value > 0.8
    assert last.without_rule.value < 0.2


def test_they_leave_every_run_of_the_machines_own_as_it_is() -> None:
    assert of_shipped()
    for tokens in SUCC.inputs(7):
        run = trace_run(SUCC.machine, tuple(tokens))
        says = [*SUCC.apply(tokens), "EOS"]
        told = [
            predict_next_token(SUCC.machine, tuple(tokens), tuple(says[:t]), of_shipped())
            for t in range(len(says))
        ]
        assert told == says
        for t, state in enumerate(run.emitting_states[1:], 1):
            assert not any(
                o.fits(PrefixedState(state, t, run.outputs[:t]).features()) for o in of_shipped()
            )


def test_their_counts_are_on_inputs_they_were_not_in_fit_split() -> None:
    """Counted here anew, on every such input and with other outputs than were drawn there."""
    rest = [x for x in INPUTS if not in_fit_split(x)][:60]
    at = [
        PrefixedState(run.emitting_states[t], t, replace_token(run.outputs[:t], 1, "01"))
        for run in (trace_run(SUCC.machine, x) for x in rest)
        for t in range(1, len(run.emitting_states))
    ]
    rows = build_batch(SUCC, [b.state.tokens for b in at], [b.prefix for b in at])
    said = next_tokens(shipped(), SUCC, rows)
    both = list(zip(at, said, strict=True))
    held = Rate.of(predict_token(b, of_shipped()) == a for b, a in both)
    alone = Rate.of(predict_token(b) == a for b, a in both)
    assert held.value > 0.8 > 0.3 > alone.value


def test_what_lies_behind_the_machines_own_end_is_no_claim() -> None:
    assert predict_next_token(SUCC.machine, ("X0", "01"), ("X1", "01")) == "EOS"
    assert predict_next_token(SUCC.machine, ("X0", "01"), ("X1", "01", "01")) is None


def test_the_same_seed_gives_the_same_overrides() -> None:
    again = learn_forced_prefix_rules(
        parity(), PairSampler(PARITY, machine(PARITY), list(PARITY.inputs(LENGTH)), 0)
    )
    assert again == of_parity()
