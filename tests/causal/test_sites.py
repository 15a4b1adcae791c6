"""Sites and mechanism of models whose variables were put where they are by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from recinterp.causal.agreement import pairs_where_model_agrees
from recinterp.causal.mechanism import decide_mechanism
from recinterp.causal.pairs import Pair, PairSampler
from recinterp.causal.prediction import measure_interventional_match
from recinterp.causal.results import Mechanism, MechanismKind, PatchLocation, Site
from recinterp.causal.sites import find_sites
from recinterp.causal.traces import trace_run
from recinterp.causal.variables import Variable, VariableKind, counterfactual_output, list_variables
from recinterp.machine import Machine
from recinterp.machine.nodes import Find, Reg
from recinterp.models import Adapter, load
from recinterp.perturb.controls import untrained_twin
from recinterp.perturb.liveness import is_live
from recinterp.view.report.sentences.network import (
    mechanism_sentence,
    site_note,
)
from tests.perturb.hand_set import LENGTH, Words, machine, planted

pytestmark = pytest.mark.backend
COPY, PARITY = Words("copy"), Words("parity")
CONTENT = Variable("in(p)", VariableKind.CONTENT, Reg("p"))
POINTER = Variable("p", VariableKind.POINTER, Reg("p"))
MODE = Variable("mode", VariableKind.MODE)
LOOKAHEAD = """vocab a/0 b/0
start run
registers p := 0
mode run
  last: in(p) in {a, b} and find(p + 1, +1, {b}) = n -> emit b, p := p + 1, goto run
  else: in(p) in {a, b} and find(p + 1, +1, {b}) != n -> emit in(p), p := p + 1, goto run
  end: in(p) = $ -> halt
"""


@pytest.fixture(scope="module")
def parity() -> Adapter:
    return Adapter(planted(PARITY), PARITY)


@pytest.fixture(scope="module")
def parity_sites(parity: Adapter) -> dict[str, Site]:
    found = find_sites(parity, PairSampler(PARITY, machine(PARITY), list(PARITY.inputs(LENGTH)), 0))
    return {site.variable: site for site in reversed(found)}


def test_variables_are_what_a_machines_rules_read() -> None:
    assert list_variables(machine(PARITY), 10) == (MODE, CONTENT, POINTER)
    assert [(v.name, v.kind) for v in list_variables(Machine.parse(LOOKAHEAD), 10)] == [
        ("in(p)", "content"),
        ("p", "pointer"),
        ("find(p + 1, +1, {b})", "lookahead"),
    ]


def test_setting_one_variable_does_not_change_the_others() -> None:
    owner = trace_run(machine(PARITY), "abbab").emitting_states[2]
    # It reads b, and its mode is odd: it writes a.
    assert owner.mode == "odd"
    assert [counterfactual_output(owner, MODE, m, 2) for m in ("even", "odd")] == ["b", "a"]
    assert [counterfactual_output(owner, CONTENT, x, 2) for x in "ab"] == ["b", "a"]
    moved = [counterfactual_output(owner, POINTER, p, 2) for p in (0, 1, LENGTH)]
    assert moved == ["b", "a", "EOS"]
    assert owner.out == ["a", "b"]  # the state itself is as it was


def test_setting_a_lookahead_changes_the_guard_and_not_the_token() -> None:
    look = Machine.parse(LOOKAHEAD)
    variable = list_variables(look, 10)[2]
    assert isinstance(variable.node, Find)
    owner = trace_run(look, "aabba").emitting_states[0]
    assert [counterfactual_output(owner, variable, to, 0) for to in (1, 5)] == ["a", "b"]


def test_emitting_states_write_their_outputs() -> None:
    run = trace_run(machine(PARITY), "abbab")
    assert run.outputs == (*PARITY.apply("abbab"), "EOS")
    assert [o.registers["p"] for o in run.emitting_states] == list(range(LENGTH + 1))


def test_pairs_differ_in_their_variable_and_in_the_output() -> None:
    finder = PairSampler(PARITY, machine(PARITY), PARITY.sample(40), seed=1)
    for variable in finder.variables:
        pairs = finder.sample(variable, 30)
        assert len(pairs) == 30
        assert all(p.counterfactual != p.base.output for p in pairs)
        same = finder.sample(variable, 30, same_value=True)
        assert all(p.counterfactual == p.base.output for p in same)
        third = finder.sample(variable, 30, source_answer_differs=True)
        assert all(p.counterfactual != p.source.output for p in third)


def test_variables_are_found_where_they_were_planted(parity_sites: dict[str, Site]) -> None:
    mode, content, pointer = (parity_sites[name] for name in ("mode", "in(p)", "p"))
    embedding = (PatchLocation("blocks.0.hook_resid_pre", "prediction"),)
    assert mode.patch == pointer.patch == embedding
    assert content.patch == (PatchLocation("blocks.0.attn.hook_z", "prediction", 0),)
    for site in (mode, content, pointer):
        assert site.accepted
        assert site.single
        assert (site.accuracy, site.same_value_control) == (1.0, 1.0)
        assert site.control <= 0.2
        assert site.pairs >= 10


def test_content_passes_on_third_token_pairs(
    parity_sites: dict[str, Site],
) -> None:
    assert parity_sites["in(p)"].third_token_accuracy.value == 1.0
    assert parity_sites["in(p)"].third_token_accuracy.total >= 30


def test_an_untrained_model_has_no_sites() -> None:
    adapter = Adapter(untrained_twin(planted(PARITY), 3), PARITY)
    found = find_sites(
        adapter, PairSampler(PARITY, machine(PARITY), list(PARITY.inputs(LENGTH)), 0)
    )
    assert not any(site.accepted for site in found)


def test_too_few_pairs_give_no_site(parity: Adapter) -> None:
    found = find_sites(parity, PairSampler(PARITY, machine(PARITY), [list("ababb")], 0))
    few = [site for site in found if math.isnan(site.accuracy)]
    assert few
    assert all(not site.accepted and "too few" in site_note(site) for site in few)


THERE_AND_BACK = """vocab a/0 b/0
start copy
registers p := 0
frames put
mode copy
  go: in(p) in {a, b} -> emit in(p), p := p + 1, push put(p), goto copy
  turn: in(p) = $ -> goto back
mode back
  pop: top is put -> emit in(top), pop, goto back
  end: stack is empty -> halt
"""


FIRST_TURNED = """vocab a/0 b/0
start read
registers p := 0
frames put
mode read
  put: in(p) = a -> p := p + 1, push put(p), goto read
  turn: in(p) in {b, $} -> goto back
mode back
  pop: top is put -> emit in(top), pop, goto back
  on: stack is empty -> goto rest
mode rest
  write: in(p) in {a, b} -> emit b, p := p + 1, goto rest
  end: in(p) = $ -> halt
"""


def test_sources_of_the_same_value_have_the_same_pointers() -> None:
    finder = PairSampler(COPY, Machine.parse(THERE_AND_BACK), list(COPY.inputs(LENGTH)), 0)
    pointers = {v.name: v for v in finder.variables if v.kind == "pointer"}
    assert set(pointers) == {"p", "top"}
    for variable in pointers.values():
        equal = finder.sample(variable, 60, same_value=True)
        assert equal
        assert all(pair.base.pointer_positions == pair.source.pointer_positions for pair in equal)
        moved = finder.sample(variable, 60)
        assert moved
        assert all(pair.base.pointer_positions != pair.source.pointer_positions for pair in moved)


def test_pairs_that_differ_in_mode_and_frame_are_left_out() -> None:
    """It goes back as long as there is a frame: another mode with that frame never occurs."""
    finder = PairSampler(COPY, Machine.parse(FIRST_TURNED), list(COPY.inputs(LENGTH)), 0)
    kinds = {v.kind: v for v in finder.variables}
    assert {"mode", "frame", "pointer"} <= set(kinds)
    assert not finder.sample(kinds["mode"], 60)
    assert not finder.sample(kinds["frame"], 60)
    assert finder.sample(kinds["pointer"], 60)


def test_a_state_in_the_output_is_carried(parity: Adapter) -> None:
    found = decide_mechanism(
        parity, PairSampler(PARITY, machine(PARITY), list(PARITY.inputs(LENGTH)), 0)
    )
    assert (found.kind, found.layer) == ("carried", -1)
    assert found.forced_prefix.value == 1.0
    assert found.source_swap.value == 0.0
    assert "the mode is carried in the output" in mechanism_sentence(found, 30)


def test_a_copier_computes_from_the_input() -> None:
    adapter = Adapter(planted(COPY), COPY)
    found = decide_mechanism(
        adapter, PairSampler(COPY, machine(COPY), list(COPY.inputs(LENGTH)), 0)
    )
    assert (found.kind, found.source_swap.value) == ("computed-from-input", 1.0)
    assert found.forced_prefix.total == 0  # its machine has no state that a prefix could carry


FIRST_ALONE = """vocab a/0 b/0
start copy
registers p := 0
mode copy
  first: in(p) in {a, b} -> emit in(p), halt
"""


def test_mechanism_without_trials() -> None:
    adapter = Adapter(planted(COPY), COPY)
    first = Machine.parse(FIRST_ALONE)  # of a model that writes all of them, only the first
    finder = PairSampler(COPY, first, list(COPY.inputs(LENGTH)), 0)
    assert {len(finder.machine.run(x)) for x in finder.inputs} == {1}
    found = decide_mechanism(adapter, finder)
    assert (found.forced_prefix.total, found.source_swap.total) == (0, 0)
    assert found.kind == "computed-from-input"
    assert "no output stands before the answer" in mechanism_sentence(found, 30)
    silent = Machine.parse("vocab a/0 b/0\nstart run\nmode run\n  none: -> lost, halt\n")
    words = list(COPY.inputs(LENGTH))
    for blank in (PairSampler(COPY, machine(COPY), [], 0), PairSampler(COPY, silent, words, 0)):
        none = decide_mechanism(adapter, blank, sites=())
        assert (none.forced_prefix.total, none.source_swap.total) == (0, 0)
        assert none.kind is MechanismKind.NO_TRIALS
        assert "unknown" in mechanism_sentence(none, 30)


def test_a_machine_predicts_interventions_on_its_model_and_not_on_another() -> None:
    words = list(COPY.inputs(LENGTH))
    adapter = Adapter(planted(COPY), COPY)
    found = find_sites(adapter, PairSampler(COPY, machine(COPY), words, 0))
    right = measure_interventional_match(adapter, PairSampler(COPY, machine(COPY), words, 0), found)
    assert right.match.value == 1.0
    assert right.unpredicted_changes.hits == 0
    assert {"swap at the pointer", "row transplant", "site of in(p)"} <= set(right.by_kind)
    twin = Adapter(untrained_twin(planted(COPY), 1), COPY)
    wrong = measure_interventional_match(twin, PairSampler(COPY, machine(COPY), words, 0), found)
    assert not wrong.match.total or wrong.match.value < 0.6


def test_steps_beyond_the_context_are_left_out() -> None:
    """A machine may write on where a model cannot."""
    adapter = Adapter(planted(COPY), COPY)
    words = [tuple(x) for x in COPY.inputs(LENGTH)]
    step = PairSampler(COPY, machine(COPY), words, 0).build_step(words[-1], 1)
    long = replace(step, prefix=step.prefix * adapter.n_ctx)
    pair = Pair(base=step, source=step, counterfactual=step.output, others_match=True)
    assert pairs_where_model_agrees(adapter, COPY, [pair]) == [pair]
    assert pairs_where_model_agrees(adapter, COPY, [replace(pair, source=long)]) == []
    assert pairs_where_model_agrees(adapter, COPY, [replace(pair, base=long)]) == []


def test_a_carried_state_is_predicted_by_the_contrast_only(parity: Adapter) -> None:
    """Parity written token by token: a wrong token forced, the model goes on from there."""
    words = list(PARITY.inputs(LENGTH))
    found = measure_interventional_match(parity, PairSampler(PARITY, machine(PARITY), words, 0), ())
    assert found.carried_state_contrast.total >= 10
    assert found.carried_state_contrast.hits == 0


def test_transplants_leave_out_layers_without_effect() -> None:
    """Compiled models have such layers; an edit there is refused, since it cannot be seen."""
    adapter = Adapter(planted(COPY, n_layers=2), COPY)
    words = list(COPY.inputs(LENGTH))
    assert not is_live(adapter, COPY, "blocks.1.attn.hook_z")
    found = measure_interventional_match(adapter, PairSampler(COPY, machine(COPY), words, 0), ())
    assert found.by_kind["row transplant"].value == 1.0


def test_the_same_seed_gives_the_same_sites_and_mechanism(parity: Adapter) -> None:
    words = PARITY.sample(30)

    def once() -> tuple[tuple[Site, ...], Mechanism]:
        found = find_sites(parity, PairSampler(PARITY, machine(PARITY), words, 4))
        return found, decide_mechanism(
            parity, PairSampler(PARITY, machine(PARITY), words, 4), sites=found
        )

    assert repr(once()) == repr(once())


def test_a_shipped_model_computes_its_carry_while_reading() -> None:
    model = load("binary-successor-natural-depthcap3")
    task = model.checkpoint.task
    adapter, words = Adapter(model, task), task.sample(120, seed=3, max_depth=3)
    found = find_sites(adapter, PairSampler(task, task.machine, words, 0))
    first = {site.variable: site for site in reversed(found)}
    assert first["mode"].accepted
    assert {part.layer for part in first["mode"].patch} == {0}
    assert first["in(p)"].accepted
    assert all(site.control <= 0.2 for site in found if site.accepted)
    how = decide_mechanism(adapter, PairSampler(task, task.machine, words, 0), sites=found)
    assert (how.kind, how.layer) == ("computed-from-input", 0)
    assert how.forced_prefix.value < 0.5 < how.source_swap.value
    found_match = measure_interventional_match(
        adapter, PairSampler(task, task.machine, words, 0), found
    )
    assert found_match.match.value >= 0.8
