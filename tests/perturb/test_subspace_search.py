"""Subspaces of sites: what is interchanged, gradients on the fast backend, and what is learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recinterp.errors import InterventionError
from recinterp.models import Adapter
from recinterp.perturb import (
    INPUTS,
    PREDICTION,
    At,
    Interchange,
    Unit,
    layer_output,
    learn_subspaces,
)
from recinterp.perturb.lowering.lower import lower_to_hooks
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import generate, next_logits
from recinterp.perturb.subspace_search import make_subspace_batch, orthonormal, random_subspaces
from tests.perturb.hand_set import LENGTH, Words, planted
from tests.perturb.untrained import (
    DECODER_SHAPES,
    ENCODER_DECODER_SHAPES,
    INPUT,
    PREFIX,
    SOURCE,
    TASK,
    random_model,
    random_pair,
    rotary,
)

pytestmark = pytest.mark.backend
COPY = Words("copy")
ROWS = build_batch(TASK, INPUT, PREFIX)
PLAN = [Interchange((layer_output(0, place),), SOURCE, PREFIX) for place in (INPUTS, PREDICTION)]


@pytest.fixture(scope="module", params=[*DECODER_SHAPES, *ENCODER_DECODER_SHAPES, "gated"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    name: str = request.param
    if name == "gated":
        return Adapter(rotary(gated=True, turned=4), TASK)
    if name in ENCODER_DECODER_SHAPES:
        return random_pair(ENCODER_DECODER_SHAPES[name])
    return Adapter(random_model(DECODER_SHAPES[name]), TASK)


def _random(features: int, dims: int) -> torch.Tensor:
    return random_subspaces([torch.zeros(features, dims)], seed=5)[0]


def test_full_basis_is_the_interchange_and_empty_basis_no_change(
    adapter: Adapter,
) -> None:
    clean, whole = next_logits(adapter, TASK, ROWS), next_logits(adapter, TASK, ROWS, PLAN)
    everything = [replace(step, within=(_random(32, 32),)) for step in PLAN]
    nothing = [replace(step, within=(torch.zeros(32, 0),)) for step in PLAN]
    assert torch.allclose(next_logits(adapter, TASK, ROWS, everything), whole, atol=1e-4)
    assert torch.allclose(next_logits(adapter, TASK, ROWS, nothing), clean, atol=1e-4)
    assert not torch.allclose(whole, clean, atol=1e-3)


def test_fast_backend_matches_hooks_within_subspaces(adapter: Adapter) -> None:
    some = [replace(step, within=(_random(32, 6),)) for step in PLAN]
    hooks = lower_to_hooks(adapter, TASK, ROWS, some)
    said = adapter.run_with_hooks(ROWS.ids, hooks)[torch.arange(len(ROWS)), ROWS.prediction]
    assert torch.allclose(next_logits(adapter, TASK, ROWS, some), said, atol=1e-4)


def test_gradients_match_finite_differences(adapter: Adapter) -> None:
    goals = ["X0", "X1"] * 4
    batch = make_subspace_batch(adapter, TASK, ROWS, PLAN, goals, range(len(ROWS)))
    free = [_random(32, 6).requires_grad_() for _ in PLAN]
    torch.autograd.backward(batch.loss([orthonormal(one) for one in free]))
    along = torch.Generator().manual_seed(1)
    for which, one in enumerate(free):
        way = torch.randn(one.shape, generator=along)
        way /= way.norm()

        def loss(step: float, which: int = which, way: torch.Tensor = way) -> float:
            moved = [b + step * way if i == which else b for i, b in enumerate(free)]
            with torch.no_grad():
                return float(batch.loss([orthonormal(b) for b in moved]))

        slope = (loss(0.02) - loss(-0.02)) / 0.04
        assert one.grad is not None
        assert float((one.grad * way).sum()) == pytest.approx(slope, rel=0.05, abs=2e-3)


def test_learned_subspaces_generalise_to_other_rows() -> None:
    """A copier's input token stands among 12 directions; two are enough to bring another's."""
    model = Adapter(planted(COPY, 2), COPY)
    words = list(COPY.inputs(LENGTH))
    others = [w[1:] + w[:1] for w in words]
    apart = [(tuple(a), tuple(b)) for a, b in zip(words, others, strict=True) if a[0] != b[0]]
    bases, sources = (tuple(side) for side in zip(*apart, strict=True))

    def plan_of(some: slice, within: tuple[torch.Tensor, ...] | None = None) -> list[Interchange]:
        unit, none = layer_output(0, At("input", 0)), ((),) * len(bases[some])
        units = (unit,), (layer_output(0, PREDICTION),)
        return [Interchange(u, sources[some], none, within=within and within[i : i + 1])
                for i, u in enumerate(units)]  # fmt: skip

    learn, judge = slice(0, None, 2), slice(1, None, 2)
    rows, goals = build_batch(COPY, bases[learn]), [w[0] for w in sources[learn]]
    found = learn_subspaces(model, COPY, rows, plan_of(learn), goals, dims=2, steps=60)
    assert all(torch.allclose(b.T @ b, torch.eye(2), atol=1e-5) for b in found)
    logits = next_logits(model, COPY, build_batch(COPY, bases[judge]), plan_of(judge, found))
    said = [model.token(i) for i in logits.argmax(-1).tolist()]
    assert said == [w[0] for w in sources[judge]]


def test_generation_within_subspaces_does_not_use_the_kv_cache() -> None:
    model = Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)
    step = Interchange((layer_output(0, At("input", 1)),), SOURCE, PREFIX)
    whole = generate(model, TASK, ROWS, [step])
    assert generate(model, TASK, ROWS, [replace(step, within=(torch.eye(32),))]) == whole


def test_basis_of_the_wrong_shape_is_refused() -> None:
    model = Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)
    with pytest.raises(InterventionError, match="one basis per unit"):
        replace(PLAN[0], within=(torch.eye(32), torch.eye(32)))
    with pytest.raises(InterventionError, match="features"):
        next_logits(model, TASK, ROWS, [replace(PLAN[0], within=(torch.eye(31),))])


def test_subspaces_need_the_fast_backend() -> None:
    model = Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)
    plan = [Interchange((Unit("blocks.0.hook_nowhere", None, PREDICTION),), SOURCE, PREFIX)]
    with pytest.raises(InterventionError, match="fast backend"):
        learn_subspaces(model, TASK, ROWS, plan, ["X0"] * len(ROWS), dims=2)


def test_same_seed_learns_the_same_subspaces() -> None:
    model = Adapter(random_model(DECODER_SHAPES["LN, gelu"]), TASK)
    goals = ["X0", "X1"] * 4
    one, two = (learn_subspaces(model, TASK, ROWS, PLAN, goals, dims=3, steps=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
