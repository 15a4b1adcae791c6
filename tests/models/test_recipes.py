"""Shipped checkpoints against the shared table: trained by it, small, as good as they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import recinterp as ri
from recinterp.errors import UnknownName
from recinterp.models import RECIPES, census, recipe, save, shipped

pytestmark = pytest.mark.backend
PLAIN = [name for name in RECIPES if "-seed" not in name]
SHORT = 9  # the table's first rows, run again: 511 inputs a model


def test_every_plain_name_is_shipped() -> None:
    assert len(PLAIN) == 8
    assert set(PLAIN) <= set(shipped()) <= set(RECIPES)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_checkpoint(name: str, tmp_path: Path) -> None:
    path, wanted = shipped()[name], recipe(name)
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
def test_what_is_known_about_it_holds(name: str) -> None:
    model = ri.load(name)
    known = model.checkpoint.known
    assert known["max_length"] == 16
    assert known["inputs"] == 65535
    found = census(model, model.checkpoint.task, SHORT)
    table = json.loads(json.dumps(found.to_json()))["right_wrong_by_length_and_depth"]
    assert {
        k: v for k, v in known["right_wrong_by_length_and_depth"].items() if int(k) <= SHORT
    } == table
    assert found.rate.total == 2**SHORT - 1


def test_a_census_counts_every_input_once(task: ri.Task, run: object) -> None:
    found = census(run.model, task, 5)  # type: ignore[attr-defined]
    assert found.rate.total == 31
    assert found.cells[(4, 2)].total == 1
    assert found.at_depth(0).total == sum(
        cell.total for (_, d), cell in found.cells.items() if d == 0
    )
    outputs = ri.predict(run.model, task, list(task.inputs(5)))  # type: ignore[attr-defined]
    truth = task.apply_many(list(task.inputs(5)))
    assert found.rate.hits == sum(a == b for a, b in zip(outputs, truth, strict=True))


def test_an_unknown_recipe_lists_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean"):
        recipe("binary-successor-natural-depthcap4")
