"""Models that users build themselves, with ids and a template of their own."""

from __future__ import annotations

import warnings

import pytest
import torch

import recinterp as ri
from recinterp.errors import IncompatibleModelError, TaskError
from recinterp.models import Adapter, decoding
from recinterp.models.backends import transformer_lens as backend

pytestmark = pytest.mark.backend
SIZES = {"n_layers": 2, "d_model": 16, "d_head": 8, "n_heads": 2, "d_mlp": 32, "n_ctx": 16}
TEMPLATES = ["{input}{sep}{output}{eos}", "{bos}{input}{sep}{output}{eos}"]


@pytest.fixture(params=["standard", "rotary"])
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    settings = {**SIZES, "d_vocab": 12, "act_fn": "gelu", "normalization_type": "LN", "seed": 3}
    settings |= {"positional_embedding_type": request.param}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.manual_seed(3)
        if backend.has_bridge():
            import transformer_lens.model_bridge.sources  # noqa: F401
            from transformer_lens.config import TransformerBridgeConfig
            from transformer_lens.model_bridge import TransformerBridge

            return TransformerBridge.boot_native(TransformerBridgeConfig(**settings))
        from transformer_lens import HookedTransformer, HookedTransformerConfig

        return HookedTransformer(HookedTransformerConfig(**settings))


def fitted(task: ri.Task, template: str) -> ri.Task:
    words = {"X0": 9, "X1": 2, "01": 11}
    bos = 7 if "{bos}" in template else None
    return task.with_vocab(words, pad=0, sep=4, eos=5, bos=bos, template=template)


@pytest.mark.parametrize("template", TEMPLATES)
def test_outputs_are_the_argmax_of_the_model(
    model: torch.nn.Module, task: ri.Task, template: str
) -> None:
    theirs = fitted(task, template)
    inputs = list(theirs.inputs(4))
    for x, output in zip(inputs, ri.predict(model, theirs, inputs), strict=True):
        row = [7] * template.startswith("{bos}") + [{"X0": 9, "X1": 2, "01": 11}[t] for t in x]
        row.append(4)
        start = len(row)
        while row[-1] != 5 and len(row) <= SIZES["n_ctx"]:
            with torch.no_grad():
                row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
        names = [Adapter(model, theirs).token(i) for i in row[start:] if i != 5]
        assert output == names + ["…"] * (row[-1] != 5)


def test_rotary_conventions_that_differ_use_the_models_forward(
    model: torch.nn.Module, task: ri.Task
) -> None:
    # 3.9 turns the halves of a head by default, 4.x its neighbouring features, as ours do.
    rotary = model.cfg.positional_embedding_type == "rotary"
    assert (decoding.get_stand_in(model) is None) == (rotary and not backend.has_bridge())
    adapter, inputs = Adapter(model, fitted(task, TEMPLATES[0])), list(task.inputs(4))
    watch = [("hook_embed", lambda value, hook: None)]
    assert adapter.generate(inputs) == adapter.generate(inputs, hooks=watch)


def test_an_untrained_model_has_an_undetermined_verdict(
    model: torch.nn.Module, task: ri.Task
) -> None:
    theirs = fitted(task, TEMPLATES[1])
    ex = ri.explain(model, theirs, domain=ri.Domain(max_length=4))
    assert ex.diff.verdict == "undetermined"
    assert [h.name for h in ex.heads] == ["L0H0", "L0H1", "L1H0", "L1H1"]
    assert ex.recursion_heads == ()


def test_ids_outside_the_vocabulary_raise(model: torch.nn.Module, task: ri.Task) -> None:
    words = {"X0": 9, "X1": 2, "01": 12}
    with pytest.raises(IncompatibleModelError, match="knows 12 tokens and the task needs 13"):
        ri.predict(model, task.with_vocab(words, pad=0, sep=4, eos=5), [["01"]])


@pytest.mark.parametrize(
    "template",
    ["{input}{output}{eos}", "{eos}{input}{sep}{output}", "{sep}{input}{output}{eos}", "{input}"],
)
def test_an_invalid_template_raises(task: ri.Task, template: str) -> None:
    with pytest.raises(TaskError, match="template"):
        fitted(task, template)
