"""What a model does behind outputs that it would not have written."""

from __future__ import annotations

from functools import cache

import pytest

import recinterp as ri
from recinterp.causal.forced_prefixes import (
    Behind,
    Override,
    foretell,
    next_token,
    overrides,
    swapped,
)
from recinterp.causal.pairs import Pairs
from recinterp.causal.prediction import interventional
from recinterp.causal.traces import timeline
from recinterp.machine import Machine
from recinterp.models import Adapter, load
from recinterp.perturb import lay_out, say
from recinterp.splits import in_fit_split
from recinterp.stats import Rate
from tests.perturb.hand_set import LENGTH, Words, machine, planted

pytestmark = pytest.mark.backend
COPY, PARITY = Words("copy"), Words("parity")
SUCC = ri.task("binary-successor")
INPUTS = [tuple(x) for x in SUCC.sample(400, seed=2, max_length=10)]


@cache
def parity() -> Adapter:
    return Adapter(planted(PARITY), PARITY)


@cache
def of_parity() -> tuple[Override, ...]:
    return overrides(parity(), Pairs(PARITY, machine(PARITY), list(PARITY.inputs(LENGTH)), 0))


@cache
def shipped() -> Adapter:
    return Adapter(load("binary-successor-natural"), SUCC)


@cache
def of_shipped() -> tuple[Override, ...]:
    return overrides(shipped(), Pairs(SUCC, SUCC.machine, INPUTS, 0))


def test_a_state_read_off_the_output_is_found_there() -> None:
    """Parity written token by token from the last one: what was forced decides, always."""
    told = {o.when: o.then for o in of_parity()}
    assert told == {
        (("mode", "even"), ("last", "b")): "odd",
        (("mode", "odd"), ("last", "a")): "even",
    }
    for one in of_parity():
        assert one.held.total >= 10
        assert one.held.value == 1.0
        assert one.alone.value < 0.5  # not 0: at the end of the input both modes stop
    assert {o.condition for o in of_parity()} == {"in even, behind b", "in odd, behind a"}
    assert {o.effect for o in of_parity()} == {"goes on as in odd", "goes on as in even"}


def test_with_them_the_machine_foretells_what_without_them_only_its_rival_did() -> None:
    words = list(PARITY.inputs(LENGTH))
    ask = (parity(), Pairs(PARITY, machine(PARITY), words, 0), ())
    assert interventional(*ask).rivals_apart.hits == 0
    found = interventional(*ask, overrides=of_parity())
    assert found.rivals_apart.total >= 10
    assert found.rivals_apart.value == 1.0
    assert found.false_effects.hits == 0


def test_a_model_that_reads_its_input_has_none() -> None:
    adapter = Adapter(planted(COPY), COPY)
    assert overrides(adapter, Pairs(COPY, machine(COPY), list(COPY.inputs(LENGTH)), 0)) == ()


def test_outputs_of_one_token_leave_nothing_to_force() -> None:
    adapter = Adapter(planted(COPY), COPY)
    one = Machine.parse(
        "vocab a/0 b/0\nstart run\nmode run\n  all: in(0) in {a, b} -> emit in(0), halt\n"
    )
    words = list(COPY.inputs(LENGTH))
    assert overrides(adapter, Pairs(COPY, one, words, 0)) == ()
    assert interventional(adapter, Pairs(COPY, one, words, 0), ()).rivals_apart.total == 0


def test_a_trained_model_ends_behind_a_token_that_ends() -> None:
    """Its machine ends where the input does; forced to write One early, the model stops there."""
    last = next(o for o in of_shipped() if o.when == (("last", "01"),))
    assert last.then is None
    assert last.held.value > 0.8
    assert last.alone.value < 0.2


def test_they_leave_every_run_of_the_machines_own_as_it_is() -> None:
    assert of_shipped()
    for tokens in SUCC.inputs(7):
        run = timeline(SUCC.machine, tuple(tokens))
        says = [*SUCC.apply(tokens), "EOS"]
        told = [
            next_token(SUCC.machine, tuple(tokens), tuple(says[:t]), of_shipped())
            for t in range(len(says))
        ]
        assert told == says
        for t, state in enumerate(run.owners[1:], 1):
            assert not any(o.fits(Behind(state, t, run.says[:t]).seen()) for o in of_shipped())


def test_their_counts_are_on_inputs_they_were_not_in_fit_split() -> None:
    """Counted here anew, on every such input and with other outputs than were drawn there."""
    rest = [x for x in INPUTS if not in_fit_split(x)][:60]
    at = [
        Behind(run.owners[t], t, swapped(run.says[:t], 1, "01"))
        for run in (timeline(SUCC.machine, x) for x in rest)
        for t in range(1, len(run.owners))
    ]
    rows = lay_out(SUCC, [b.state.tokens for b in at], [b.prefix for b in at])
    said = say(shipped(), SUCC, rows)
    both = list(zip(at, said, strict=True))
    held = Rate.of(foretell(b, of_shipped()) == a for b, a in both)
    alone = Rate.of(foretell(b) == a for b, a in both)
    assert held.value > 0.8 > 0.3 > alone.value


def test_what_lies_behind_the_machines_own_end_is_no_claim() -> None:
    assert next_token(SUCC.machine, ("X0", "01"), ("X1", "01")) == "EOS"
    assert next_token(SUCC.machine, ("X0", "01"), ("X1", "01", "01")) is None


def test_the_same_seed_gives_the_same_overrides() -> None:
    again = overrides(parity(), Pairs(PARITY, machine(PARITY), list(PARITY.inputs(LENGTH)), 0))
    assert again == of_parity()
