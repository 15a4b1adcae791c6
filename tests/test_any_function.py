"""Any function from inputs to outputs is explained: here an LSTM, which has no heads to look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import recinterp as ri
from recinterp.errors import DomainError, IncompatibleModelError
from recinterp.models.training.batches import IGNORE, Batches

pytestmark = pytest.mark.slow

LENGTH, STEPS, RATE = 5, 900, 5e-3
Predict = Callable[[list[list[str]]], list[list[str]]]


class LSTM(nn.Module):
    """Reads `input SEP output` and says the next token."""

    def __init__(self, d_vocab: int, width: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(d_vocab, width)
        self.cells = nn.LSTM(width, width, batch_first=True)
        self.unembed = nn.Linear(width, d_vocab)

    def forward(self, ids: Tensor) -> Tensor:
        return cast(Tensor, self.unembed(self.cells(self.embed(ids))[0]))


@pytest.fixture(scope="module")
def task() -> ri.Task:
    return ri.task("binary-successor")


@pytest.fixture(scope="module")
def right(task: ri.Task) -> LSTM:
    return trained(task, None)


def trained(task: ri.Task, max_depth: int | None) -> LSTM:
    batches = Batches(task, ri.TrainConfig(max_length=LENGTH), ri.Domain(LENGTH, max_depth))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LSTM(1 + max(task.ids.values()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        ids, targets = batches(step)
        loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten(), ignore_index=IGNORE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def outputs_of(model: LSTM, task: ri.Task) -> Predict:
    names = {i: name for name, i in task.ids.items()}

    @torch.no_grad()
    def predict(inputs: list[list[str]]) -> list[list[str]]:
        found = []
        for x in inputs:
            row = task.prompt(x)
            start = len(row)
            while row[-1] != task.eos and len(row) < start + LENGTH + 3:
                row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
            found.append([names[i] for i in row[start:] if i != task.eos])
        return found

    return predict


def test_correct_lstm_is_exact(right: LSTM, task: ri.Task, tmp_path: Path) -> None:
    predict, inputs = outputs_of(right, task), list(task.inputs(LENGTH))
    assert predict(inputs) == task.apply_many(inputs)
    ex = ri.explain(predict, task, domain=ri.Domain(max_length=LENGTH))
    assert ex.diff.verdict == "exact"
    assert ex.machine.run_many(inputs) == predict(inputs)
    assert (ex.heads, ex.layers, ex.sites, ex.recursion_heads) == ((), (), (), ())
    text = " ".join(str(ex).split())
    flat = " ".join(text.split())
    assert "Only the outputs were" in flat
    assert "No intervention was tested" in flat
    assert "Localised variables" not in text
    ex.save(tmp_path / "ex.json")
    assert ri.Explanation.load(tmp_path / "ex.json").machine == ex.machine


def test_failures_of_lstm_without_deep_inputs_are_predicted(task: ri.Task) -> None:
    predict, inputs = outputs_of(trained(task, 1), task), list(task.inputs(LENGTH))
    wrong = [out != task.apply(x) for x, out in zip(inputs, predict(inputs), strict=True)]
    assert any(wrong)
    ex = ri.explain(predict, task, domain=ri.Domain(max_length=LENGTH))
    assert ex.diff.verdict in ("shortcut", "undetermined")
    assert ex.will_fail(inputs) == wrong
    assert ex.diff.shortcuts
    for shortcut in ex.diff.shortcuts:
        assert predict([list(shortcut.counterexample)]) == [list(shortcut.model_output)]
        assert list(shortcut.expected) == task.apply(list(shortcut.counterexample))


def test_module_without_hooks_is_refused_with_a_hint(right: LSTM, task: ri.Task) -> None:
    with pytest.raises(
        IncompatibleModelError, match=r"LSTM has no run_with_hooks.*a function from"
    ):
        ri.explain(right, task, domain=ri.Domain(max_length=LENGTH))


SUCCESSOR = ri.task("binary-successor")


@pytest.mark.parametrize("last", [["?"], ["EOS"], ["01", "X0", "…"]])
def test_unknown_output_tokens_are_outputs_like_others(last: list[str]) -> None:
    def answers(xs: list[list[str]]) -> list[list[str]]:
        return [
            last if len(x) > 3 else y for x, y in zip(xs, SUCCESSOR.apply_many(xs), strict=True)
        ]

    ex = ri.explain(answers, SUCCESSOR, domain=ri.Domain(max_length=6))
    inputs = list(SUCCESSOR.inputs(6))
    told = [m == y for m, y in zip(ex.machine.run_many(inputs), answers(inputs), strict=True)]
    flags = zip(inputs, ex.will_fail(inputs), strict=True)
    assert ex.diff.verdict == "shortcut"
    assert sum(told) >= len(inputs) - 2
    assert sum(flag != (len(x) > 3) for x, flag in flags) <= 1  # a short input nobody asked about


def test_outputs_may_be_tuples_but_none_may_be_missing() -> None:
    domain = ri.Domain(max_length=4)
    as_tuples = ri.explain(
        lambda xs: [tuple(y) for y in SUCCESSOR.apply_many(xs)], SUCCESSOR, domain=domain
    )
    assert as_tuples.diff.verdict == "exact"
    with pytest.raises(IncompatibleModelError, match="returned 12 outputs"):
        ri.explain(lambda xs: SUCCESSOR.apply_many(xs)[1:], SUCCESSOR, domain=domain)


def test_domain_without_inputs_is_refused() -> None:
    with pytest.raises(DomainError, match="no input"):
        ri.explain(SUCCESSOR.apply_many, SUCCESSOR, domain=ri.Domain(max_length=0))


def test_function_without_a_general_machine_is_explained_on_its_domain() -> None:
    """The larger of two heights has no bound that a stack of pointers could hold."""
    source = """
        Inductive nat := O | S (n : nat).  Inductive tree := leaf | node (l r : tree).
        Fixpoint max (m n : nat) : nat :=
          match m, n with O, _ => n | _, O => m | S p, S q => S (max p q) end.
        Fixpoint height (t : tree) : nat :=
          match t with leaf => O | node l r => S (max (height l) (height r)) end."""
    task, domain = ri.Task.from_gallina(source, function="height"), ri.Domain(max_length=11)
    assert ri.explain(task.apply_many, task, domain=domain).diff.verdict == "exact"

    def shallow(inputs: list[list[str]]) -> list[list[str]]:
        return [y[-4:] for y in task.apply_many(inputs)]  # never more than three

    ex = ri.explain(shallow, task, domain=domain)
    inputs = list(task.inputs(11))
    assert ex.machine.run_many(inputs) == shallow(inputs)
    assert ex.diff.verdict == "shortcut"
