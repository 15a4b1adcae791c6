"""A saved explanation recognises the model that it explains by its weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import recinterp as ri
from recinterp.errors import IncompatibleModelError
from recinterp.models.fingerprint import fingerprint_weights
from tests.cases import load_shipped
from tests.view.builders import explanation


def test_fingerprint_is_that_of_the_weights() -> None:
    model, other = load_shipped(), ri.load("binary-successor-natural")
    same = fingerprint_weights(model)
    assert len(same) == 64
    assert same == fingerprint_weights(load_shipped()) == fingerprint_weights(copy.deepcopy(model))
    assert same != fingerprint_weights(other)
    edited = copy.deepcopy(model)
    with torch.no_grad():
        next(edited.parameters()).view(-1)[0] += 1e-3
    assert same != fingerprint_weights(edited)


def test_any_module_and_dtype_has_one_and_a_function_has_none() -> None:
    module = torch.nn.LSTM(3, 4).to(torch.bfloat16)
    again = copy.deepcopy(module)
    again.double()
    assert fingerprint_weights(module) == fingerprint_weights(copy.deepcopy(module))
    assert fingerprint_weights(module) != fingerprint_weights(again)
    assert fingerprint_weights(lambda inputs: inputs) == ""


def test_an_explanation_is_loaded_with_its_own_model_only(tmp_path: Path) -> None:
    model, path = load_shipped(), tmp_path / "ex"
    replace(explanation(), fingerprint=fingerprint_weights(model)).save(path)
    assert ri.Explanation.load(path, model=model).model is model
    assert ri.Explanation.load(path, model=load_shipped()).fingerprint
    for other in (ri.load("binary-successor-natural"), lambda inputs: inputs):
        with pytest.raises(IncompatibleModelError, match="the model's weights are not those of"):
            ri.Explanation.load(path, model=other)
    again = tmp_path / "again"
    ri.Explanation.load(path).save(again)  # without its model, the fingerprint stays in the file
    with pytest.raises(IncompatibleModelError, match="the model's weights are not those of"):
        ri.Explanation.load(again, model=ri.load("binary-successor-natural"))


@pytest.mark.slow
def test_explain_records_the_fingerprint() -> None:
    task, domain = ri.task("binary-successor"), ri.Domain(max_length=3)

    def run(inputs: Sequence[Sequence[str]]) -> list[list[str]]:
        return task.apply_many(inputs)

    assert ri.explain(run, task, domain=domain).fingerprint == ""
    model = load_shipped()
    assert ri.explain(model, task, domain=domain).fingerprint == fingerprint_weights(model)
