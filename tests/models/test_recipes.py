"""Shipped checkpoints against the shared table: trained by it, small, as good as they say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import recinterp as ri
from recinterp.errors import UnknownNameError
from recinterp.models import RECIPES, exhaustive_accuracy, get_recipe, list_shipped, save

pytestmark = pytest.mark.backend
PLAIN = [name for name in RECIPES if "-seed" not in name]
# What the shipped weights were trained on. A change of the sampler that changes these draws makes
# the recipes describe other models: train them again, or leave the draws as they are.
DRAWN = {
    "binary-successor-natural": "b23de9e2899c",
    "binary-successor-reverse": "5cb55166f575",
    "binary-successor-natural-noall": "df11c93bcd29",
    "binary-successor-reverse-noall": "061d01943680",
    "binary-successor-natural-depthcap3": "8c0851ab23c3",
    "binary-successor-reverse-depthcap3": "470d749eef6b",
    "binary-successor-natural-uniform": "d5a7cffc53ae",
    "binary-successor-reverse-uniform": "d5ab87b5c1a0",
}
SHORT = 9  # the table's first rows, run again: 511 inputs a model


def test_every_plain_name_is_shipped() -> None:
    assert len(PLAIN) == 8
    assert set(PLAIN) <= set(list_shipped()) <= set(RECIPES)


@pytest.mark.parametrize("name", sorted(list_shipped()))
def test_a_shipped_checkpoint_has_its_recipe_and_round_trips(name: str, tmp_path: Path) -> None:
    path, wanted = list_shipped()[name], get_recipe(name)
    sizes = [
        path.with_name(path.name + suffix).stat().st_size for suffix in (".safetensors", ".json")
    ]
    assert sum(sizes) < 1_000_000
    model = ri.load(name)
    checkpoint, config = model.checkpoint, wanted.config
    assert checkpoint.task == wanted.task
    assert checkpoint.domain == ri.Domain(config.max_length, config.max_depth, config.exclude)
    assert dict(checkpoint.recipe) == config.to_json()
    # Either backend writes the very bytes it has read, so each reads what the other has written.
    save(model, tmp_path / name)
    assert (tmp_path / f"{name}.safetensors").read_bytes() == path.with_name(
        path.name + ".safetensors"
    ).read_bytes()


@pytest.mark.parametrize("name", PLAIN)
def test_recorded_accuracy_of_short_inputs_is_reproduced(name: str) -> None:
    model = ri.load(name)
    known = model.checkpoint.known
    assert known["max_length"] == 16
    assert known["inputs"] == 65535
    found = exhaustive_accuracy(model, model.checkpoint.task, SHORT)
    table = json.loads(json.dumps(found.to_json()))["right_wrong_by_length_and_depth"]
    assert {
        k: v for k, v in known["right_wrong_by_length_and_depth"].items() if int(k) <= SHORT
    } == table
    assert found.rate.total == 2**SHORT - 1


@pytest.mark.parametrize("name", PLAIN)
def test_recipes_draw_the_recorded_inputs(name: str) -> None:
    config, task = get_recipe(name).config, get_recipe(name).task
    domain = ri.Domain(config.max_length, config.max_depth, config.exclude)
    inputs = domain.sample(task, 1600, seed=7, distribution=config.distribution)
    assert hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:12] == DRAWN[name]


def test_exhaustive_accuracy_counts_every_input_once(task: ri.Task, run: object) -> None:
    found = exhaustive_accuracy(run.model, task, 5)  # type: ignore[attr-defined]
    assert found.rate.total == 31
    assert found.cells[(4, 2)].total == 1
    outputs = ri.predict(run.model, task, list(task.inputs(5)))  # type: ignore[attr-defined]
    truth = task.apply_many(list(task.inputs(5)))
    assert found.rate.hits == sum(a == b for a, b in zip(outputs, truth, strict=True))


def test_an_unknown_recipe_raises_and_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean"):
        get_recipe("binary-successor-natural-depthcap4")
