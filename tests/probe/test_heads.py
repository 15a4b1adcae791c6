"""The head that was built to read is found, by both tests; nothing is found in untrained models."""

from __future__ import annotations

import pytest

from recinterp.models import Adapter, load
from recinterp.perturb.controls import untrained_twin
from recinterp.probe import HeadReport, head_scores, probe_heads
from recinterp.view.report.sentences.heads import layer_sentence
from tests.perturb.hand_set import Words, planted

pytestmark = pytest.mark.backend


def report(kind: str, n_layers: int = 1) -> HeadReport:
    task = Words(kind)
    return probe_heads(Adapter(planted(task, n_layers), task), task, task.sample(40), seed=0)


@pytest.mark.parametrize(("kind", "landmark"), [("copy", "t"), ("reverse", "n-1-t")])
def test_hand_set_reader_passes_both_tests(kind: str, landmark: str) -> None:
    found = report(kind)
    assert [h.name for h in found.recursion] == ["L0H0"]
    reader, inactive = found.heads
    assert (reader.role, reader.landmark) == ("reader", landmark)
    assert reader.score == 1.0
    assert reader.effect == pytest.approx(1.0)
    assert reader.controls["random direction"] < 0.2
    assert reader.controls["random head"] == 0.0
    assert (inactive.role, inactive.effect, inactive.recursion) == ("inactive", 0.0, False)
    assert found.gate.value == 1.0


def test_layer_without_weights_does_not_carry_the_recursion() -> None:
    found = report("copy", n_layers=2)
    assert [(layer.layer, layer.carries) for layer in found.layers] == [(0, True), (1, False)]
    assert found.layers[0].recursion_heads == ("L0H0",)
    assert layer_sentence(found.layers[0]).startswith("layer 0 carries the recursion through L0H0")
    assert [h.role for h in found.heads] == ["reader", "inactive", "inactive", "inactive"]


def test_untrained_models_have_no_recursion_head() -> None:
    task = Words("copy")
    for seed in range(4):
        adapter = Adapter(untrained_twin(planted(task, 2), seed), task)
        assert not any(h.recursion for h in head_scores(adapter, task, task.sample(30), seed))


def test_same_seed_gives_the_same_heads() -> None:
    task = Words("parity")
    adapter = Adapter(planted(task), task)
    one, two = (head_scores(adapter, task, task.sample(30), seed=5) for _ in range(2))
    assert one == two


def test_shipped_model_passes_the_gate_and_its_twin_has_no_reader() -> None:
    model = load("binary-successor-natural")
    task = model.checkpoint.task
    words = task.sample(100, seed=3)
    found = probe_heads(Adapter(model, task), task, words, seed=0)
    assert found.gate.value >= 0.8
    assert found.recursion or any(layer.carries for layer in found.layers)
    twin = Adapter(untrained_twin(model, 1), task)
    assert not any(h.recursion for h in head_scores(twin, task, words, seed=0))
