"""explain() on a shipped model, end to end, and what a user does with the answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

import recinterp as ri
from recinterp.causal.results import MechanismKind
from recinterp.errors import CheckpointError, DomainError, IncompatibleModelError, RecinterpError
from recinterp.view import explanation_json
from tests import planted
from tests.cases import SHORT_DOMAIN

pytestmark = pytest.mark.slow


def test_shipped_model_is_a_bounded_depth_shortcut(explanation: ri.Explanation) -> None:
    assert explanation.diff.verdict == "shortcut"
    assert any(("bounded-depth", 3) in s.bounds for s in explanation.diff.shortcuts)


def test_machine_predicts_errors_exactly_and_flags_all(
    explanation: ri.Explanation, shipped_model: nn.Module
) -> None:
    task = explanation.task
    inputs = list(task.inputs(9))
    outputs, expected = ri.predict(shipped_model, task, inputs), task.apply_many(inputs)
    failing = [i for i, output in enumerate(outputs) if output != expected[i]]
    predicted = explanation.machine.run_many(inputs)
    assert failing
    assert sum(predicted[i] == outputs[i] for i in failing) >= 0.9 * len(failing)
    assert [i for i, fails in enumerate(explanation.will_fail(inputs)) if fails] == failing


def test_counterexample_is_what_the_model_writes(
    explanation: ri.Explanation, shipped_model: nn.Module
) -> None:
    first, task = explanation.diff.shortcuts[0], explanation.task
    assert ri.predict(shipped_model, task, [first.counterexample]) == [first.model_output]
    assert task.apply(first.counterexample) == first.expected != first.model_output


def test_heads_have_controls(explanation: ri.Explanation) -> None:
    assert [h.name for h in explanation.heads] == ["L0H0", "L0H1", "L1H0", "L1H1"]
    assert set(explanation.recursion_heads) <= set(explanation.heads)
    assert all(h.controls for h in explanation.heads)


def test_accepted_sites_beat_their_control(explanation: ri.Explanation) -> None:
    accepted = [s for s in explanation.sites if s.accepted]
    assert accepted
    assert all(s.control <= 0.25 and s.accuracy >= 0.7 and s.pairs >= 10 for s in accepted)


def test_fidelity_is_above_its_baselines(explanation: ri.Explanation) -> None:
    overall = explanation.fidelity.overall
    assert overall.match.value > overall.baselines["model is right"].value
    assert overall.match.value > overall.baselines["nearest neighbour"].value
    assert explanation.fidelity.interventional is not None


def test_saved_explanation_loads_unchanged(explanation: ri.Explanation, tmp_path: Path) -> None:
    explanation.save(tmp_path / "ex")
    loaded = ri.Explanation.load(tmp_path / "ex")
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_text() == (tmp_path / "ex").read_text()
    assert str(loaded) == str(explanation)
    assert loaded.machine.run(["X0", "01"]) == ["X1", "01"]


def test_damaged_missing_and_foreign_files_are_refused(
    explanation: ri.Explanation, tmp_path: Path
) -> None:
    explanation.save(tmp_path / "ex")
    (tmp_path / "half").write_text((tmp_path / "ex").read_text()[:500])
    for name in ("half", "missing"):
        with pytest.raises(CheckpointError, match="not an explanation"):
            ri.Explanation.load(tmp_path / name)
    (tmp_path / "foreign").write_text(json.dumps({"format": "other"}))
    with pytest.raises(CheckpointError, match="another format"):
        ri.Explanation.load(tmp_path / "foreign")


def test_same_seed_gives_the_same_explanation(
    shipped_model: nn.Module, binary_successor: ri.Task
) -> None:
    domain = ri.Domain(max_length=6)
    one, other = (
        ri.explain(shipped_model, binary_successor, domain=domain, seed=1) for _ in range(2)
    )
    assert one.machine == other.machine
    assert (one.heads, one.sites, one.diff, one.fidelity) == (
        other.heads,
        other.sites,
        other.diff,
        other.fidelity,
    )


def test_config_is_recorded_and_its_default_changes_nothing(tmp_path: Path) -> None:
    task, domain = ri.task("binary-successor"), ri.Domain(max_length=6)
    predict = planted.many(planted.capped(2))
    config = ri.ExplainConfig(max_enumerated=20, sample_size=40)
    changed = ri.explain(predict, task, domain=domain, config=config)
    plain, again = (
        ri.explain(predict, task, domain=domain, **given)
        for given in ({}, {"config": ri.ExplainConfig()})
    )
    assert replace(again, seconds=plain.seconds) == plain
    assert (plain.diff.exhaustive, changed.diff.exhaustive) == (True, False)
    assert changed.diff.total < plain.diff.total == 63
    changed.save(tmp_path / "ex")
    saved = json.loads((tmp_path / "ex").read_text())["config"]
    assert saved["sample_size"] == 40
    assert explanation_json(changed)["config"] == saved
    assert ri.Explanation.load(tmp_path / "ex").config == config


def test_explains_a_plain_function_by_its_outputs() -> None:
    ex = ri.explain(
        planted.many(planted.capped(2)), ri.task("binary-successor"), domain=SHORT_DOMAIN
    )
    assert ex.diff.verdict == "shortcut"
    assert ex.heads == ex.sites == ()
    assert ex.mechanism.kind is MechanismKind.OUTPUTS_ONLY


@pytest.mark.parametrize(
    ("model_given", "error", "message"),
    [
        (planted.many(planted.successor), DomainError, "Domain"),
        ("a string", IncompatibleModelError, r"ri\.load\('a string'\)"),
    ],
)
def test_bad_input_raises_one_clear_error(
    model_given: object, error: type[RecinterpError], message: str
) -> None:
    domain = None if error is DomainError else SHORT_DOMAIN
    with pytest.raises(error, match=message):
        ri.explain(model_given, ri.task("binary-successor"), domain=domain)


def test_public_names_are_pinned() -> None:
    assert set(dir(ri)) == {
        "Domain", "ExplainConfig", "Explanation", "Machine", "RecinterpError", "Task",
        "TrainConfig", "Wrapped", "diff", "explain", "fidelity", "load", "perturb", "predict",
        "probe", "task", "tasks", "train",
    }  # fmt: skip
    assert all(getattr(ri, name) is not None for name in dir(ri))
