"""Models without EOS: outputs are decoded to the length that is known of each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import nn

import recinterp as ri
from recinterp import perturb
from recinterp.causal.pairs import PairSampler
from recinterp.errors import TaskError, UnknownNameError
from recinterp.models import Adapter
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends import native
from recinterp.perturb import ForcePrefix, head
from recinterp.perturb.positions import build_batch
from tests.models.tiny import TINY, random_weights

PARITY = """
Inductive bit := Zero | One.
Inductive bits := Nil | Cons (b : bit) (rest : bits).
Definition flip (b : bit) : bit := match b with Zero => One | One => Zero end.
Fixpoint parity (x : bits) : bit :=
  match x with
  | Nil => Zero
  | Cons b rest => match b with Zero => parity rest | One => flip (parity rest) end
  end.
"""
LETTERS = {"a": 0, "b": 1, "c": 2, "d": 3}
REVERSE = ri.task("list-reverse").with_vocab(LETTERS, pad=5, sep=4, eos=None)


def parity(**given: object) -> ri.Task:
    task = ri.Task.from_gallina(PARITY, "parity", tokens={"Zero": "0", "One": "1"})
    return task.with_vocab({"0": 0, "1": 1}, pad=2, sep=2, eos=None, **given)  # type: ignore[arg-type]


def random_model(kind: str = "decoder-only", n_ctx: int = 14) -> nn.Module:
    start = 4 if kind == "encoder-decoder" else None
    shape = Shape(2, 2, 16, 8, 32, n_ctx, 6, kind=kind, start=start)
    return native.build_hooked(shape, random_weights(shape, 1))


def by_hand(model: nn.Module, tokens: Sequence[str], length: int) -> list[str]:
    """The definition: the model's forward, once for each token of the output."""
    names = {i: token for token, i in REVERSE.ids.items() if token in LETTERS}
    ids = [*(LETTERS[t] for t in tokens), 4]
    for _ in range(length):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    written = ids[len(ids) - length :]
    return [names.get(i, Adapter(model, REVERSE).token(i)) for i in written]


def test_rows_have_no_end() -> None:
    assert REVERSE.eos is None
    assert REVERSE.prompt(["a", "b"]) == [0, 1, 4]
    assert REVERSE.target(["b", "a"]) == [1, 0]
    assert REVERSE.count_output_tokens([["a", "b"], [], ["c"]]) == [2, 0, 1]
    assert ri.task("list-reverse").count_output_tokens([["a"]]) is None
    given = REVERSE.with_vocab(LETTERS, pad=5, sep=4, eos=None, template="{input}{sep}{output}")
    assert given.prompt(["a"]) == REVERSE.prompt(["a"])


@pytest.mark.backend
@pytest.mark.parametrize(
    ("rule", "length_of"),
    [(None, len), (2, lambda x: 2), (lambda x: 2 * len(x), lambda x: 2 * len(x))],
    ids=["true output", "a number", "a function"],
)
def test_outputs_are_decoded_to_their_length(rule: object, length_of: object) -> None:
    model = random_model()
    task = REVERSE.with_vocab(LETTERS, pad=5, sep=4, eos=None, output_length=rule)  # type: ignore[arg-type]
    inputs = [*REVERSE.sample(20, seed=1, length=4), ["d"], []]
    expected = [by_hand(model, x, length_of(x)) for x in inputs]  # type: ignore[operator]
    assert len({tuple(y) for y in expected}) > 3
    assert ri.predict(model, task, inputs) == expected
    outputs = perturb.run(model, task, inputs, [], whole=True).clean_outputs
    if all("<" not in token for y in expected for token in y):
        assert outputs == tuple(map(tuple, expected))


def test_an_output_that_has_its_length_is_not_cut_at_the_end_of_the_context() -> None:
    x = ["a", "b", "c"]
    tight, short = random_model(n_ctx=6), random_model(n_ctx=5)  # 4 of the prompt and 2 written
    assert len(ri.predict(tight, REVERSE, [x])[0]) == 3
    assert ri.predict(tight, REVERSE, [x])[0][-1] != "…"
    assert ri.predict(short, REVERSE, [x])[0][-1] == "…"


def test_a_full_output_is_followed_by_the_end() -> None:
    adapter, x = Adapter(random_model(), REVERSE), ["a", "b"]
    first = adapter.generate([x])[0][:1]
    assert adapter.next_tokens([x] * 2, [[], ["b", "a"]]) == [*first, "EOS"]
    assert adapter.generate([x], [["b", "a"]]) == [["b", "a"]]
    forced = perturb.run(adapter, REVERSE, [x], [ForcePrefix((("b", "a"),))], whole=True)
    assert forced.outputs == (("b", "a"),)
    assert perturb.run(adapter, REVERSE, [x], [], [["b", "a"]]).clean == ("EOS",)


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["decoder-only", "encoder-decoder"])
def test_both_backends_decode_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, plan = random_model(kind), [perturb.Ablate(head(0, 1))]
    inputs = [["a", "b"], ["c"], ["d", "a", "c"], []]
    adapter = Adapter(model, REVERSE)
    fast = perturb.run(adapter, REVERSE, inputs, plan, whole=True)
    monkeypatch.setattr("recinterp.perturb.runner.supports_kv_cache", lambda plan: False)
    slow = perturb.run(adapter, REVERSE, inputs, plan, whole=True)
    assert (fast.clean_outputs, fast.outputs) == (slow.clean_outputs, slow.outputs)
    assert list(map(list, fast.clean_outputs or ())) == adapter.generate(inputs)
    assert [len(y) for y in adapter.generate(inputs)] == [2, 1, 3, 0]


def test_lengths_are_checked_and_saved() -> None:
    for wrong in (-1, 1.5, True, "2"):
        with pytest.raises(TaskError, match="output length"):
            parity(output_length=wrong)
    with pytest.raises(TaskError, match="both an EOS and an output_length"):
        ri.task("list-reverse").with_vocab(LETTERS, pad=5, sep=4, eos=5, output_length=1)
    for task in (parity(), parity(output_length=1)):
        again = ri.Task.from_json(task.to_json())
        assert (again, again.eos, again.output_length) == (task, None, task.output_length)
    with pytest.raises(TaskError, match="no finite description"):
        parity(output_length=len).to_json()
    with pytest.raises(TaskError, match="output length of 0 is 'x'"):
        parity(output_length=lambda x: "x").count_output_tokens([["0"]])


def test_there_is_no_end_to_learn_a_subspace_for() -> None:
    adapter = Adapter(random_model(), REVERSE)
    rows = build_batch(REVERSE, [["a"], ["b"]])
    with pytest.raises(UnknownNameError, match="there is no 'EOS'"):
        perturb.learn_subspaces(adapter, REVERSE, rows, [], ["a", "EOS"], dims=2)


@pytest.mark.parametrize("eos", [None, 5])
def test_no_pair_tests_an_end_that_no_model_writes(eos: int | None) -> None:
    task = ri.task("list-map").with_vocab(LETTERS, pad=5, sep=4, eos=eos)
    sampler = PairSampler(task, task.machine, list(task.inputs(3)), seed=0)
    pairs = [pair for variable in sampler.variables for pair in sampler.sample(variable, 200)]
    ends = [pair for pair in pairs if "EOS" in (pair.base.output, pair.counterfactual)]
    assert pairs
    assert bool(ends) == (eos is not None)


@pytest.mark.slow
def test_parity_is_trained_and_explained() -> None:
    task = parity(output_length=1)
    config = ri.TrainConfig(**{**TINY, "d_model": 32, "batch_size": 64}, steps=400, seed=1)
    model = ri.train(task, config, progress=False, name="parity").model
    inputs = list(task.inputs(5))
    outputs = ri.predict(model, task, inputs)
    assert all(len(y) == 1 for y in outputs)
    ex = ri.explain(model, task, domain=ri.Domain(5))
    predicted = ex.machine.run_many(inputs)
    assert sum(a == b for a, b in zip(predicted, outputs, strict=True)) >= 0.9 * len(inputs)
    assert ex.heads
    assert ex.accuracy.overall.hits == sum(
        a == b for a, b in zip(task.apply_many(inputs), outputs, strict=True)
    )
