"""Greedy outputs: with cached keys, as the plain loop over the model's own forward gives them."""

from __future__ import annotations

import pytest
import torch

import recinterp as ri
from recinterp.errors import (
    IncompatibleModelError,
    InvalidInputError,
    NonFiniteWeightsError,
    UnknownNameError,
)
from recinterp.models import Adapter, TrainingRun, decoding
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends import native
from tests.models.tiny import random_weights

pytestmark = pytest.mark.backend


def by_hand(
    model: torch.nn.Module, task: ri.Task, tokens: list[str], prefix: tuple[str, ...] = ()
) -> list[str]:
    """The definition: one forward a token, no cache, no batch."""
    n_ctx = model.cfg.n_ctx
    ids = task.prompt(tokens) + [task.ids[t] for t in prefix]
    names = {i: name for name, i in task.ids.items()}
    out = list(prefix)
    while len(ids) <= n_ctx:
        with torch.no_grad():
            token = int(model(torch.tensor([ids]))[0, -1].argmax())
        if token == task.eos:
            return out
        out.append(names.get(token, f"<{token}>"))
        ids.append(token)
    return [*out, "…"]


def test_predict_agrees_with_a_loop_without_a_cache(run: TrainingRun, task: ri.Task) -> None:
    assert decoding.get_stand_in(run.model) is not None
    inputs = list(task.inputs(5))
    outputs = ri.predict(run.model, task, inputs)
    assert outputs == [by_hand(run.model, task, tokens) for tokens in inputs]
    assert len({tuple(output) for output in outputs}) > 5  # it has learned to look at its input


def test_predict_returns_outputs_in_the_order_of_the_inputs(
    run: TrainingRun, task: ri.Task
) -> None:
    inputs = list(task.inputs(5))[::-1]
    assert ri.predict(run.model, task, iter(inputs), batch_size=3) == ri.predict(
        run.model, task, inputs
    )
    assert ri.predict(run.model, task, []) == []


@pytest.mark.parametrize("seed", range(4))
def test_predict_agrees_with_the_loop_for_random_models(
    shape: Shape, task: ri.Task, seed: int
) -> None:
    model = native.build_hooked(shape, random_weights(shape, seed))
    inputs = list(task.inputs(4))
    assert ri.predict(model, task, inputs) == [by_hand(model, task, tokens) for tokens in inputs]


def test_reading_shared_prefixes_once_changes_no_output(run: TrainingRun, task: ri.Task) -> None:
    inputs = [tokens for tokens in task.inputs(8) if len(tokens) == 8]
    ids = torch.tensor([task.prompt(tokens) for tokens in inputs])
    tree = decoding._build_prefix_tree(ids)
    assert tree is not None
    assert sum(len(tokens) for _, tokens in tree.levels) < ids.numel() / 2
    shuffled = [inputs[i] for i in torch.randperm(len(inputs)).tolist()]
    one_by_one = [ri.predict(run.model, task, [tokens])[0] for tokens in shuffled]
    assert decoding._build_prefix_tree(ids[:1]) is None
    assert ri.predict(run.model, task, shuffled) == one_by_one
    assert ri.predict(run.model, task, shuffled + shuffled) == one_by_one + one_by_one


def always(shape: Shape, token: int) -> torch.nn.Module:
    """A model that predicts one token whatever it reads: only the last norm's bias counts."""
    weights = random_weights(shape)
    weights["ln_final.w"] = torch.zeros(shape.d_model)
    weights["ln_final.b"] = torch.ones(shape.d_model)
    weights["unembed.W_U"] = torch.zeros(shape.d_model, shape.d_vocab)
    weights["unembed.W_U"][:, token] = 1.0
    return native.build_hooked(shape, weights)


def test_an_output_without_end_is_truncated_at_the_context(shape: Shape, task: ri.Task) -> None:
    output = ri.predict(always(shape, task.ids["X0"]), task, [["X1", "01"]])[0]
    assert output == ["X0"] * (shape.n_ctx - 3 + 1) + ["…"]  # every position has been asked


def test_special_tokens_have_names_and_unknown_ids_numbers(shape: Shape, task: ri.Task) -> None:
    assert ri.predict(always(shape, task.sep), task, [["01"]])[0][:2] == ["SEP", "SEP"]
    wide = Shape(**{**shape.to_json(), "d_vocab": 9})
    assert ri.predict(always(wide, 8), task, [["01"]])[0][:2] == ["<8>", "<8>"]


def test_an_immediate_end_is_an_empty_output(shape: Shape, task: ri.Task) -> None:
    model = always(shape, task.eos)
    assert ri.predict(model, task, [["01"], ["X1", "01"]]) == [[], []]
    assert Adapter(model, task).next_tokens([["01"]]) == ["EOS"]


def test_forced_prefixes_are_continued(run: TrainingRun, task: ri.Task) -> None:
    inputs = [["X1", "01"], ["X0", "X1", "01"], ["X0", "01"], ["01"]]
    prefixes = [("X1",), (), ("X0", "X0"), ("01",)]
    adapter = Adapter(run.model, task)
    wanted = [by_hand(run.model, task, x, p) for x, p in zip(inputs, prefixes, strict=True)]
    assert adapter.generate(inputs, prefixes) == wanted
    following = adapter.next_tokens(inputs, prefixes)
    ends = [(*output, "EOS") for output in wanted]
    assert following == [end[len(p)] for end, p in zip(ends, prefixes, strict=True)]


def test_hooks_apply_at_every_step(run: TrainingRun, task: ri.Task) -> None:
    adapter = Adapter(run.model, task)
    inputs = list(task.inputs(4))
    seen: list[int] = []

    def watch(z: torch.Tensor, hook: object) -> None:
        seen.append(z.shape[1])

    assert adapter.generate(inputs, hooks=[("blocks.0.attn.hook_z", watch)]) == adapter.generate(
        inputs
    )
    assert max(seen) > min(seen)

    def silence(z: torch.Tensor, hook: object) -> torch.Tensor:
        return torch.zeros_like(z)

    ablated = [(f"blocks.{layer}.attn.hook_z", silence) for layer in (0, 1)]
    assert adapter.generate(inputs, hooks=ablated) != adapter.generate(inputs)
    assert len(adapter.next_tokens(inputs, hooks=ablated)) == len(inputs)


def test_ids_and_template_of_a_model_trained_elsewhere(run: TrainingRun, task: ri.Task) -> None:
    # The same model with its ids permuted: rows of the embedding move with them, outputs stay.
    shape = run.checkpoint.shape
    new = {"X0": 4, "X1": 5, "01": 3, "PAD": 0, "SEP": 1, "EOS": 2}
    theirs = task.with_vocab({t: new[t] for t in ("X0", "X1", "01")}, pad=0, sep=1, eos=2)
    weights = native.read_weights(run.model, shape)
    moved = {name: tensor.clone() for name, tensor in weights.items()}
    for token, i in new.items():
        moved["embed.W_E"][i] = weights["embed.W_E"][task.ids[token]]
        moved["unembed.W_U"][:, i] = weights["unembed.W_U"][:, task.ids[token]]
    moved["unembed.W_U"][:, 6] = weights["unembed.W_U"][:, task.ids["BOS"]]
    inputs = list(task.inputs(5))
    model = native.build_hooked(shape, moved)
    assert ri.predict(model, theirs, inputs) == ri.predict(run.model, task, inputs)


def test_too_long_an_input_raises(model: torch.nn.Module, task: ri.Task) -> None:
    fits, too_long = ["X0"] * 12 + ["01"], ["X0"] * 13 + ["01"]
    assert len(ri.predict(model, task, [fits])) == 1
    with pytest.raises(IncompatibleModelError, match="takes 15 positions and the model has 14"):
        ri.predict(model, task, [too_long])


def test_an_input_outside_the_task_raises(model: torch.nn.Module, task: ri.Task) -> None:
    with pytest.raises(InvalidInputError, match="position 0"):
        ri.predict(model, task, [["X7", "01"]])
    with pytest.raises(UnknownNameError, match=r"forced prefix.*X7"):
        Adapter(model, task).next_tokens([["01"]], [["X7"]])


def test_nan_weights_raise(model: torch.nn.Module, task: ri.Task) -> None:
    with torch.no_grad():
        list(model.parameters())[3][0] = torch.nan
    with pytest.raises(NonFiniteWeightsError, match="NaN"):
        ri.predict(model, task, [["01"]])
