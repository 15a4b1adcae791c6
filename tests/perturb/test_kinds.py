"""Paths between heads, mixtures, machines' pointers and named references do what they say."""

from __future__ import annotations

import pytest
import torch

from recinterp.errors import InterventionError, UnknownNameError
from recinterp.models import Adapter
from recinterp.models.architectures.shape import Shape
from recinterp.perturb import (
    INPUTS,
    PREDICTION,
    SEP,
    Ablate,
    At,
    ForcePrefix,
    Interchange,
    Mixture,
    PathPatch,
    Redirect,
    Reference,
    Swap,
    head,
    pointer,
    run,
    stratum,
)
from recinterp.perturb.lowering.edits import PatternEdit, Write
from recinterp.perturb.lowering.lower import lower
from recinterp.perturb.positions import build_batch
from tests.perturb.hand_set import LENGTH, Words, machine, planted
from tests.perturb.untrained import (
    DECODER_SHAPES,
    INPUT,
    PREFIX,
    SOURCE,
    TASK,
    random_model,
    through_hooks,
)

pytestmark = pytest.mark.backend
COPY = Words("copy")
WORD = tuple("abbab")
ROWS = build_batch(TASK, INPUT, PREFIX)


@pytest.fixture(scope="module")
def adapter() -> Adapter:
    return Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)


@pytest.mark.parametrize("through", ["q", "k", "v"])
def test_path_patch_adds_only_the_output_of_the_sender(through: str) -> None:
    bare = Shape(3, 4, 32, 8, 64, 24, 8, norm="none", attn_only=True)
    adapter = Adapter(random_model(bare), TASK)
    (edit,) = lower(adapter, TASK, ROWS, [PathPatch((0, 1), (2, 3), through, SOURCE, PREFIX)])
    assert isinstance(edit, Write)
    name = f"blocks.2.attn.hook_{through}"
    clean = adapter.cache(ROWS.ids, [name, "blocks.0.attn.hook_z"])
    source = adapter.cache(build_batch(TASK, SOURCE, PREFIX).ids, ["blocks.0.attn.hook_z"])
    sent = (source["blocks.0.attn.hook_z"] - clean["blocks.0.attn.hook_z"])[:, :, 1]
    # Without norms a path is the product of two matrices.
    first, second = (adapter.model.get_submodule(f"blocks.{i}.attn") for i in (0, 2))
    added = sent @ first.W_O[1] @ getattr(second, f"W_{through.upper()}")[3]
    wanted = (clean[name][:, :, 3] + added)[edit.row, edit.pos]
    torch.testing.assert_close(edit.value, wanted, atol=1e-5, rtol=1e-4)
    assert float(added.detach()[edit.row, edit.pos].abs().max()) > 1e-3


def test_path_patch_through_mlps_to_the_next_layer_is_the_full_patch(adapter: Adapter) -> None:
    path = PathPatch((0, 1), (1, 2), "k", SOURCE, PREFIX, mlps=True)
    (edit,) = lower(adapter, TASK, ROWS, [path])
    held: dict[str, torch.Tensor] = {}
    patch = [Interchange((head(0, 1),), SOURCE, PREFIX)]
    from recinterp.perturb.lowering.lower import lower_to_hooks

    hooks = lower_to_hooks(adapter, TASK, ROWS, patch)
    name = "blocks.1.attn.hook_k"
    hooks += [(name, lambda value, hook: held.__setitem__(name, value.clone()))]
    adapter.run_with_hooks(ROWS.ids, hooks)
    torch.testing.assert_close(edit.value, held[name][edit.row, edit.pos, 2])
    strict = PathPatch((0, 1), (1, 2), "k", SOURCE, PREFIX)
    assert not torch.allclose(edit.value, lower(adapter, TASK, ROWS, [strict])[0].value)
    effects = run(adapter, TASK, INPUT, [path], PREFIX)
    assert effects.backend == "fast"
    wanted = through_hooks(adapter, ROWS, [path])
    assert float((effects.logits - wanted).abs().max()) < 1e-5


def test_mixture_divides_attention() -> None:
    adapter = Adapter(planted(COPY), COPY)
    rows = build_batch(COPY, [WORD, WORD], [(), ("a",)])
    mixture = Mixture(((At("input", 1), 3.0), (SEP, 1.0)))
    (edit,) = lower(adapter, COPY, rows, [Redirect(0, 0, mixture)])
    assert isinstance(edit, PatternEdit)
    # The first row's SEP is its query, so that all of it goes to the input.
    assert edit.pattern[0, 0].tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert edit.pattern[1, 0].tolist() == [0, 0.75, 0, 0, 0, 0.25, 0]
    with pytest.raises(InterventionError, match="no attention"):
        Mixture(((INPUTS, 0.0),))


def test_pointer_of_the_machine_is_where_the_model_reads() -> None:
    adapter, prefixes = Adapter(planted(COPY), COPY), (("a", "b"), (), WORD)
    at = pointer(machine(COPY), "p", (WORD,) * 3, prefixes)
    assert at == At("input", (2, 0, None))
    there = pointer(machine(COPY), "p", (WORD,) * 2, prefixes[:2])
    effects = run(adapter, COPY, [WORD] * 2, [Redirect(0, 0, there)], prefixes[:2])
    assert effects.edited == effects.clean == (WORD[2], WORD[0])
    with pytest.raises(UnknownNameError, match="known: p"):
        pointer(machine(COPY), "q", (WORD,), ((),))


def test_reference_values_are_read_at_the_named_positions(adapter: Adapter) -> None:
    deep = stratum(TASK, 5, depth=3)
    assert deep.name == "depth 3"
    assert {TASK.depth(list(x)) for x in deep.inputs} == {3}
    whole = run(adapter, TASK, INPUT, [Ablate(head(0, 1), "mean", deep)], PREFIX)
    same = run(adapter, TASK, INPUT, [Ablate(head(0, 1), "mean", deep.inputs)], PREFIX)
    assert torch.equal(whole.logits, same.logits)
    early = Reference("first steps", deep.inputs, ((),) * 5)
    other = run(adapter, TASK, INPUT, [Ablate(head(0, 1), "mean", early)], PREFIX)
    assert not torch.allclose(whole.logits, other.logits)
    (edit,) = lower(adapter, TASK, ROWS, [Ablate(head(0, 1, PREDICTION), "mean", early)])
    rows = build_batch(TASK, deep.inputs)
    z = adapter.cache(rows.ids, ["blocks.0.attn.hook_z"])["blocks.0.attn.hook_z"]
    mean = z[torch.arange(5), rows.prediction, 1].mean(0)
    torch.testing.assert_close(edit.value, mean, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Reference("none", ()), "the set is empty"),
        (lambda: Reference("odd", (WORD,), ((), ())), "1 inputs, but 2 prefixes"),
        (lambda: PathPatch((1, 0), (1, 1), "q", SOURCE, PREFIX), "later layer"),
        (lambda: PathPatch((0, 0), (1, 1), "o", SOURCE, PREFIX), "q, k or v"),  # type: ignore
    ],
)
def test_invalid_interventions_are_refused(make: object, says: str) -> None:
    with pytest.raises(InterventionError, match=says):
        make()  # type: ignore[operator]


def test_repeated_swaps_and_prefixes_are_refused() -> None:
    adapter = Adapter(planted(COPY), COPY)
    twice = [Swap(((1, "a"),)), Swap(((1, "b"),))]
    with pytest.raises(InterventionError, match="two swaps of one token in row 0"):
        run(adapter, COPY, [WORD], twice)
    run(adapter, COPY, [WORD], [twice[0], Swap(((LENGTH - 1, "b"),))])
    with pytest.raises(InterventionError, match="two forced prefixes"):
        run(adapter, COPY, [WORD], [ForcePrefix((("a",),)), ForcePrefix((("b",),))])
