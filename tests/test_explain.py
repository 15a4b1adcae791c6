"""explain() on a shipped model, end to end, and what a user does with the answer."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import recinterp as ri
from recinterp.causal.results import MechanismKind
from recinterp.errors import CheckpointError, DomainError, IncompatibleModelError, RecinterpError
from recinterp.explanation import Explanation
from tests import planted

SHORTCUT = "binary-successor-natural-depthcap3"
DOMAIN = ri.Domain(max_length=9)


@cache
def model() -> object:
    return ri.load(SHORTCUT)


@cache
def explained() -> Explanation:
    return ri.explain(model(), ri.task("binary-successor"), domain=DOMAIN, seed=0)


def test_machine_of_capped_model_predicts_its_errors() -> None:
    ex = explained()
    assert ex.diff.verdict == "shortcut"
    assert any(("bounded-depth", 3) in s.bounds for s in ex.diff.shortcuts)
    inputs = list(ex.task.inputs(9))
    outputs = ri.predict(model(), ex.task, inputs)
    failing = [
        i
        for i, (y, z) in enumerate(zip(outputs, ex.task.apply_many(inputs), strict=True))
        if y != z
    ]
    told = ex.machine.run_many(inputs)
    assert failing
    assert sum(told[i] == outputs[i] for i in failing) >= 0.9 * len(failing)
    assert [i for i, fails in enumerate(ex.will_fail(inputs)) if fails] == failing


def test_counterexample_is_the_models_output() -> None:
    first = explained().diff.shortcuts[0]
    assert ri.predict(model(), explained().task, [first.counterexample]) == [first.model_output]
    assert explained().task.apply(first.counterexample) == first.expected != first.model_output


def test_heads_and_sites_have_controls() -> None:
    ex = explained()
    assert [h.name for h in ex.heads] == ["L0H0", "L0H1", "L1H0", "L1H1"]
    assert set(ex.recursion_heads) <= set(ex.heads)
    assert all(h.controls for h in ex.heads)
    accepted = [s for s in ex.sites if s.accepted]
    assert accepted
    assert all(s.control <= 0.25 and s.accuracy >= 0.7 and s.pairs >= 10 for s in accepted)


def test_fidelity_exceeds_its_baselines() -> None:
    overall = explained().fidelity.overall
    assert overall.match.value > overall.baselines["model is right"].value
    assert overall.match.value > overall.baselines["nearest neighbour"].value
    assert explained().fidelity.interventional is not None


def test_load_restores_what_save_wrote(tmp_path: Path) -> None:
    ex = explained()
    ex.save(tmp_path / "ex")
    back = ri.Explanation.load(tmp_path / "ex")
    back.save(tmp_path / "again")
    assert (tmp_path / "again").read_text() == (tmp_path / "ex").read_text()
    assert str(back) == str(ex)
    assert back.machine.run(["X0", "01"]) == ["X1", "01"]
    (tmp_path / "half").write_text((tmp_path / "ex").read_text()[:500])
    for name in ("half", "missing"):
        with pytest.raises(CheckpointError, match="not an explanation"):
            ri.Explanation.load(tmp_path / name)
    (tmp_path / "foreign").write_text(json.dumps({"format": "other"}))
    with pytest.raises(CheckpointError, match="another format"):
        ri.Explanation.load(tmp_path / "foreign")


def test_same_seed_gives_same_explanation() -> None:
    task, domain = ri.task("binary-successor"), ri.Domain(max_length=6)
    one, other = (ri.explain(model(), task, domain=domain, seed=1) for _ in range(2))
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
    assert ri.Explanation.load(tmp_path / "ex").config == config


def test_plain_function_is_explained_by_behaviour_only() -> None:
    ex = ri.explain(planted.many(planted.capped(2)), ri.task("binary-successor"), domain=DOMAIN)
    assert ex.diff.verdict == "shortcut"
    assert ex.heads == ex.sites == ()
    assert ex.mechanism.kind is MechanismKind.OUTPUTS_ONLY


@pytest.mark.parametrize(
    ("model_given", "error", "says"),
    [
        (planted.many(planted.successor), DomainError, "Domain"),
        ("a string", IncompatibleModelError, "neither a hooked model"),
    ],
)
def test_unusable_model_or_domain_is_refused(
    model_given: object, error: type[RecinterpError], says: str
) -> None:
    domain = None if error is DomainError else DOMAIN
    with pytest.raises(error, match=says):
        ri.explain(model_given, ri.task("binary-successor"), domain=domain)


def test_public_names_are_pinned() -> None:
    assert set(dir(ri)) == {
        "Domain", "ExplainConfig", "Explanation", "Machine", "RecinterpError", "Task",
        "TrainConfig", "diff", "explain", "fidelity", "load", "perturb", "predict", "probe",
        "task", "tasks", "train",
    }  # fmt: skip
    assert all(getattr(ri, name) is not None for name in dir(ri))
