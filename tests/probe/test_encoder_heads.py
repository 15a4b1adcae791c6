"""An encoder-decoder explained end to end: trained to depth 2, its heads and sites named."""

from __future__ import annotations

import pytest

import recinterp as ri
from recinterp.models import Adapter, TrainingRun
from recinterp.perturb import head
from recinterp.perturb.liveness import is_live
from recinterp.probe import probe_heads
from recinterp.view.report.sentences.heads import head_note
from recinterp.view.report.sentences.network import location_text

pytestmark = pytest.mark.slow

NAMES = ["E0H0", "E0H1", "D0H0", "D0H1", "X0H0", "X0H1"]


@pytest.fixture(scope="module")
def task() -> ri.Task:
    return ri.task("binary-successor")


@pytest.fixture(scope="module")
def run(task: ri.Task) -> TrainingRun:
    config = ri.TrainConfig(
        architecture="encoder-decoder", n_layers=1, d_model=32, max_length=6, max_depth=2,
        steps=250, batch_size=32, learning_rate=4e-3, warmup=20,
    )  # fmt: skip
    return ri.train(task, config, progress=False)


@pytest.fixture(scope="module")
def ex(run: TrainingRun, task: ri.Task) -> ri.Explanation:
    return ri.explain(run.model, task, domain=ri.Domain(max_length=6))


def test_shortcut_matches_the_errors_of_the_model(
    ex: ri.Explanation, run: TrainingRun, task: ri.Task
) -> None:
    inputs = list(task.inputs(6))
    wrong = [ri.predict(run.model, task, [x]) != [task.apply(x)] for x in inputs]
    assert any(wrong)
    assert ex.will_fail(inputs) == wrong
    assert ex.diff.verdict == "shortcut"
    assert "bounded-depth" in ex.diff.shortcuts[0].kinds
    assert ex.diff.shortcuts[0].bound == 2


def test_encoder_decoder_heads_are_named_by_block(ex: ri.Explanation) -> None:
    assert [h.name for h in ex.heads] == NAMES
    assert {h.name[0] for h in ex.recursion_heads} == {"X"}
    assert [layer.block for layer in ex.layers] == ["E0", "D0", "X0"]


def test_encoder_heads_are_scored_at_input_positions_and_by_ablation(
    ex: ri.Explanation,
) -> None:
    for h in ex.heads[:2]:
        assert h.effect == 0.0
        assert not h.recursion
        assert "% of the effect" not in head_note(h)
        assert h.score > h.controls["untrained attention"]
        assert h.landmark.startswith(("p", "n-1-p"))
    assert max(h.controls["ablated"] for h in ex.heads[:2]) > 0


def test_sites_in_the_encoder_are_named_by_block(ex: ri.Explanation) -> None:
    places = {location_text(p) for site in ex.sites if site.accepted for p in site.patch}
    assert any(place.startswith("after E0 at the inputs") for place in places)
    assert not any("layer" in place for place in places)


def test_every_head_is_live(run: TrainingRun, task: ri.Task) -> None:
    adapter = Adapter(run.model, task)
    assert all(is_live(adapter, task, head(block).hook) for block in range(adapter.n_layers))


def test_untrained_encoder_decoder_has_no_reader(task: ri.Task) -> None:
    config = ri.TrainConfig(
        architecture="encoder-decoder", n_layers=1, d_model=32, max_length=6, steps=1
    )
    model = ri.train(task, config, progress=False).model
    report = probe_heads(Adapter(model, task), task, list(task.inputs(6)))
    assert [h.name for h in report.heads] == NAMES
    assert report.recursion == ()


def test_explanation_round_trips_through_json(ex: ri.Explanation, tmp_path: object) -> None:
    path = f"{tmp_path}/ex.json"
    ex.save(path)
    again = ri.Explanation.load(path)
    assert [h.name for h in again.heads] == NAMES
    assert again.sites == ex.sites
    assert "X0H0" in str(again)
