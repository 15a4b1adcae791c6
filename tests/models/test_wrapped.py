"""Modules of own training loops: predicted, perturbed and explained as far as their parts allow."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import recinterp as ri
from recinterp import perturb
from recinterp.errors import (
    IncompatibleModelError,
    InterventionError,
    ModelNotLoadedError,
    UnknownNameError,
    UnreachableHookError,
)
from recinterp.models import Adapter, Wrapped
from recinterp.models.fingerprint import fingerprint_weights
from recinterp.models.training.batches import IGNORE, Batches
from recinterp.perturb import ALL, Ablate, Interchange, Redirect, Unit, head, layer_output
from recinterp.perturb.controls import untrained_twin
from recinterp.perturb.liveness import is_live
from recinterp.perturb.positions import At

TASK = ri.task("binary-successor")
VOCAB, WIDTH, HEADS, LENGTH = 1 + max(TASK.ids.values()), 32, 4, 5
INPUTS = [["X1", "X0", "01"], ["X0", "X1", "X1", "01"], ["01"], ["X1", "X1", "X0", "X1", "01"]]


class LSTM(nn.Module):
    """Reads positions before the batch, as an nn.LSTM does by default."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCAB, WIDTH)
        self.cells = nn.LSTM(WIDTH, 2 * WIDTH)
        self.unembed = nn.Linear(2 * WIDTH, VOCAB)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        states, (last, _) = self.cells(self.embed(ids.T))
        return self.unembed(states).transpose(0, 1), last


class Causal(nn.Module):
    """A causal language model of PyTorch's own encoder layers."""

    def __init__(self, n_layers: int = 2, *, batch_first: bool = True, context: int = 16) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.embed, self.place = nn.Embedding(VOCAB, WIDTH), nn.Embedding(context, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, dropout=0.1, batch_first=batch_first, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.unembed = nn.Linear(WIDTH, VOCAB)

    def forward(self, ids: Tensor) -> Tensor:
        n = ids.shape[1]
        x = self.embed(ids) + self.place(torch.arange(n))
        mask = nn.Transformer.generate_square_subsequent_mask(n)
        x = x if self.batch_first else x.transpose(0, 1)
        x = self.encoder(x, mask=mask, is_causal=True)
        return cast(Tensor, self.unembed(x if self.batch_first else x.transpose(0, 1)))


class Attention(nn.Module):
    """Attention as people write it, with a fused projection and a dropout on the pattern."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.view(*x.shape[:2], HEADS, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, -1)
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5
        future = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
        pattern = self.drop(scores.masked_fill(future, float("-inf")).softmax(-1))
        return cast(Tensor, self.proj((pattern @ v).transpose(1, 2).flatten(2)))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn, self.norm = Attention(), nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, hidden_states: Tensor) -> tuple[Tensor]:
        x = hidden_states + self.attn(self.norm(hidden_states))
        return (x + self.mlp(x),)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(VOCAB, WIDTH), nn.Embedding(16, WIDTH)
        self.layers = nn.ModuleList([Block(), Block()])
        self.unembed = nn.Linear(WIDTH, VOCAB)

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        x = self.embed(ids) + self.place(torch.arange(ids.shape[1]))
        for layer in self.layers:
            (x,) = layer(hidden_states=x)
        return {"logits": self.unembed(x)}


def seeded(make: Callable[[], nn.Module], scale: float = 3.0) -> nn.Module:
    """An untrained module whose outputs depend on its inputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = make()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(scale if parameter.dim() > 1 else 1.0)
    return module


def wrapped_own(**given: Any) -> Wrapped:
    places = ("layers.0.attn", "layers.1.attn")
    return Wrapped(
        seeded(Own, 2.0),
        logits=lambda module, ids: module(ids)["logits"],
        **{
            "blocks": "layers",
            "attention": [f"{x}.proj" for x in places],
            "patterns": [f"{x}.drop" for x in places],
            "mlps": ["layers.0.mlp", "layers.1.mlp"],
            "n_heads": HEADS,
            **given,
        },
    )


def wrapped_causal(**given: Any) -> Wrapped:
    return Wrapped(seeded(lambda: Causal(**given), 2.0), blocks="encoder.layers")


MODELS = {
    "LSTM": lambda: Wrapped(seeded(LSTM), blocks=["cells"], n_ctx=20),
    "nn.Transformer": wrapped_causal,
    "nn.Transformer, time first": lambda: wrapped_causal(batch_first=False),
    "own attention": wrapped_own,
}
HEADED = [name for name in MODELS if name != "LSTM"]


@cache
def adapter(name: str) -> Adapter:
    return Adapter(MODELS[name](), TASK)


def trained(module: nn.Module, steps: int = 400) -> nn.Module:
    """An own training loop on short inputs."""
    batches = Batches(TASK, ri.TrainConfig(max_length=LENGTH), ri.Domain(LENGTH))
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / steps)
        ids, targets = batches(step)
        given = module(ids)
        logits = given if isinstance(given, Tensor) else given[0]
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return module


def by_hand(module: nn.Module, tokens: list[str], room: int) -> list[str]:
    """The definition of a greedy output: the module's forward, once for each token."""
    names = {i: token for token, i in TASK.ids.items()}
    row = TASK.prompt(tokens)
    start = len(row)
    module.eval()
    while len(row) <= room:
        with torch.no_grad():
            given = module(torch.tensor([row]))
        logits = given if isinstance(given, Tensor) else given["logits" if "logits" in given else 0]
        row.append(int(logits[0, -1].argmax()))
        if row[-1] == TASK.eos:
            return [names[i] for i in row[start:-1]]
    return [*(names[i] for i in row[start:]), "…"]


@contextmanager
def plain_hook(module: nn.Module, edit: Callable[..., Any], *, before: bool) -> Iterator[None]:
    """PyTorch's own hook, without the library."""
    attach = module.register_forward_pre_hook if before else module.register_forward_hook
    handle = attach(edit)
    try:
        yield
    finally:
        handle.remove()


def test_sizes_and_hook_points_are_those_of_the_parts() -> None:
    lstm, causal, own = (adapter(n) for n in ("LSTM", "nn.Transformer", "own attention"))
    assert lstm.hook_names == ("blocks.0.hook_resid_post",)  # its embeddings have another width
    assert (lstm.n_layers, lstm.n_heads, lstm.d_model, lstm.n_ctx) == (1, 0, 2 * WIDTH, 20)
    assert (causal.n_layers, causal.n_heads, causal.d_head) == (2, HEADS, WIDTH // HEADS)
    assert (causal.d_model, causal.d_vocab, causal.n_ctx) == (WIDTH, VOCAB, 16)  # tried out
    assert {x.removeprefix("blocks.1.") for x in causal.hook_names if "blocks.1." in x} == {
        "hook_resid_pre", "hook_resid_post", "hook_attn_out", "hook_mlp_out",
        "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_pattern", "attn.hook_z",
    }  # fmt: skip
    assert own.n_heads == HEADS
    assert (lstm.name, own.name) == ("LSTM", "Own")
    assert own.has_patterns and causal.has_patterns and not lstm.has_patterns  # noqa: PT018
    assert not Adapter(wrapped_own(patterns=()), TASK).has_patterns
    assert Adapter(Wrapped(seeded(LSTM)), TASK).n_layers == 0


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_the_module(name: str) -> None:
    model = cast(Wrapped, adapter(name).model)
    expected = [by_hand(model.module, x, model.cfg.n_ctx) for x in INPUTS]
    assert ri.predict(model, TASK, INPUTS) == expected
    outputs = perturb.run(model, TASK, INPUTS, [], whole=True).outputs or ()
    for y, z in zip(outputs, expected, strict=True):
        assert list(y) == z or (y[-1] == z[-1] == "…" and list(y[:-1]) == z[: len(y) - 1])


@pytest.mark.parametrize("name", MODELS)
def test_every_hook_point_is_live(name: str) -> None:
    model = adapter(name)
    assert model.hook_names
    assert all(is_live(model, TASK, hook) for hook in model.hook_names)


@pytest.mark.parametrize("name", MODELS)
def test_an_identity_changes_nothing_and_no_hook_stays(name: str) -> None:
    model = adapter(name)
    ids = torch.tensor([TASK.prompt(INPUTS[3]), TASK.prompt(INPUTS[3])[::-1]])
    clean = model.logits(ids)
    every = [(hook, lambda value, hook: value * 1.0) for hook in model.hook_names]
    assert torch.allclose(model.run_with_hooks(ids, every), clean, atol=1e-4)
    assert torch.equal(model.logits(ids), clean)
    module = cast(Wrapped, model.model).module
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    with pytest.raises(ZeroDivisionError):
        model.run_with_hooks(ids, [(model.hook_names[-1], lambda value, hook: 1 / 0)])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    assert not any("_recinterp_changes" in vars(m) for m in module.modules())


def test_interventions_are_those_of_plain_hooks() -> None:
    """Own attention: zero a head before the projection, an MLP, a layer's output."""
    model = adapter("own attention")
    module = cast(Own, cast(Wrapped, model.model).module)
    ids = torch.tensor([TASK.prompt(INPUTS[3])])
    block = cast(Block, module.layers[1])

    def without_head(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        z = args[0].clone()
        z[..., WIDTH // HEADS : 2 * WIDTH // HEADS] = 0
        return (z,)

    cases = [
        (Ablate(head(1, 1)), block.attn.proj, without_head, True),
        (Ablate(Unit("blocks.1.hook_mlp_out")), block.mlp, lambda m, a, out: out * 0, False),
        (Ablate(layer_output(1)), block, lambda m, a, out: (out[0] * 0,), False),
    ]
    for step, part, edit, before in cases:
        with torch.no_grad(), plain_hook(part, edit, before=before):
            expected = module.eval()(ids)["logits"][0, -1]
        found = perturb.run(model, TASK, [INPUTS[3]], [step])
        assert torch.allclose(found.logits[0], expected, atol=1e-5)
        assert not torch.allclose(found.logits, found.clean_logits, atol=1e-3)


@pytest.mark.parametrize("name", ["nn.Transformer", "nn.Transformer, time first"])
def test_heads_of_multihead_attention_are_pytorchs_own(name: str) -> None:
    """A head's share of `out_proj` set to zero is that head ablated."""
    model = adapter(name)
    module = copy.deepcopy(cast(Wrapped, model.model).module).eval()
    ids, size = torch.tensor([TASK.prompt(x) for x in [INPUTS[3], INPUTS[3][::-1]]]), WIDTH // HEADS
    weights: list[Tensor] = []
    attention = module.encoder.layers[1].self_attn  # type: ignore[union-attr,index]
    own = attention.forward

    def with_weights(*args: Any, **given: Any) -> Any:
        out = own(*args, **{**given, "need_weights": True, "average_attn_weights": False})
        weights.append(out[1])
        return out

    attention.forward = with_weights
    module(ids)  # with gradients, so that PyTorch's fused kernel stays out of it
    pattern = model.cache(ids, ["blocks.1.attn.hook_pattern"])["blocks.1.attn.hook_pattern"]
    assert torch.allclose(pattern, weights[0], atol=1e-5)
    with torch.no_grad():
        attention.out_proj.weight[:, 2 * size : 3 * size] = 0
        expected = module(ids)
    ablated = model.run_with_hooks(
        ids, [("blocks.1.attn.hook_z", lambda z, hook: z.index_fill(2, torch.tensor([2]), 0.0))]
    )
    assert torch.allclose(ablated, expected, atol=1e-4)


@pytest.mark.parametrize("name", HEADED)
def test_the_language_of_interventions_runs(name: str) -> None:
    model = adapter(name)
    plans: list[list[Any]] = [
        [Ablate(head(0, 1), "mean", tuple(map(tuple, INPUTS)))],
        [Redirect(1, 1, At("input", 0))],
    ]
    same = [["X1", "X0", "01"], ["X0", "X1", "01"]]
    for plan in plans:
        effects = perturb.run(model, TASK, INPUTS, plan)
        assert effects.backend == "hooks: it is a module of its user's own"
        assert (effects.logits - effects.clean_logits).abs().max() > 1e-4
    other = Interchange((layer_output(0, ALL),), tuple(map(tuple, same[::-1])), ((), ()))
    swapped = perturb.run(model, TASK, same, [other])
    assert torch.allclose(swapped.logits, swapped.clean_logits.flip(0), atol=1e-4)


@pytest.mark.parametrize(
    ("plan", "hint"),
    [
        ([Ablate(head(0, 0))], "attention="),
        ([Redirect(0, 0, At("input", 0))], "patterns="),
        ([Ablate(Unit("blocks.0.hook_mlp_out"))], "mlps="),
        ([Ablate(Unit("blocks.3.hook_resid_post"))], "layers are 0 to 0"),
        ([Ablate(Unit("blocks.0.hook_resid_pre"))], "blocks="),
    ],
)
def test_what_is_out_of_reach_is_named(plan: list[Any], hint: str) -> None:
    with pytest.raises(UnreachableHookError, match=hint):
        perturb.run(adapter("LSTM"), TASK, INPUTS, plan)
    with pytest.raises(InterventionError):
        adapter("LSTM").cache(torch.tensor([[0]]), ["blocks.0.attn.hook_z"])


def test_a_copy_computes_with_its_own_weights() -> None:
    model = wrapped_own()
    twin = untrained_twin(model, 0)
    ids = torch.tensor([TASK.prompt(INPUTS[3])])
    assert not torch.allclose(twin.eval()(ids), model.eval()(ids), atol=1e-2)
    assert fingerprint_weights(copy.deepcopy(model)) == fingerprint_weights(model)
    assert fingerprint_weights(twin) != fingerprint_weights(model)


class Twice(nn.Module):
    """One block that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.block = nn.Embedding(VOCAB, VOCAB), nn.Linear(VOCAB, VOCAB)

    def forward(self, ids: Tensor) -> Tensor:
        return cast(Tensor, self.block(self.block(self.embed(ids))))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Wrapped(len), "of type builtin_function_or_method"),  # type: ignore[arg-type]
        (lambda: Wrapped(Own()), "its logits are a dict"),
        (lambda: Wrapped(Own(), logits=lambda ids: ids), "no function of two arguments"),  # type: ignore[arg-type,misc]
        (lambda: Wrapped(LSTM(), logits=lambda m, x: m(x)[1]), "its logits are"),
        (lambda: Wrapped(Causal(), blocks=["embed", "embed"]), "named twice"),
        (lambda: Wrapped(Twice(), blocks=["block"]), "runs 2 times in one pass"),
        (lambda: Wrapped(LSTM(), blocks=["unembed"], attention=["cells"]), "number of heads"),
        (lambda: wrapped_own(mlps=["layers.0.mlp"]), "2 blocks, 2 attention, 2 patterns, 1 mlps"),
        (lambda: wrapped_own(n_heads=5), "32 features and no 5 heads"),
        (lambda: wrapped_own(patterns=["layers.0.mlp", "layers.1.mlp"]), "and no pattern"),
        (lambda: Wrapped(nn.Linear(2, 2)), "fails on one token"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], Wrapped], message: str) -> None:
    with pytest.raises(IncompatibleModelError, match=message):
        make()


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"encoder\.layers"):
        Wrapped(Causal(), blocks="encoder.layer")


@pytest.mark.slow
def test_an_lstm_of_an_own_loop_is_explained(tmp_path: Any) -> None:
    model = Wrapped(trained(seeded(LSTM, 1.0)), blocks=["cells"], n_ctx=20)
    outputs = ri.predict(model, TASK, list(TASK.inputs(LENGTH)))
    right = sum(y == z for y, z in zip(outputs, TASK.apply_many(TASK.inputs(LENGTH)), strict=True))  # type: ignore[arg-type]
    assert right >= 25
    ex = ri.explain(model, TASK, domain=ri.Domain(8))
    assert ex.heads == ()
    assert ex.model_name == "LSTM"
    assert ex.accuracy.overall.total == 255
    assert str(ex)
    ex.save(tmp_path / "ex")
    assert ri.Explanation.load(tmp_path / "ex", model=model).machine == ex.machine
    ex.to_html(tmp_path / "ex.html")
    with pytest.raises(ModelNotLoadedError, match="out of reach"):
        ex.ablate()


@pytest.mark.slow
def test_a_transformer_of_an_own_loop_is_explained_with_its_heads() -> None:
    model = Wrapped(trained(seeded(lambda: Causal(context=24), 1.0)), blocks="encoder.layers")
    ex = ri.explain(model, TASK, domain=ri.Domain(7))
    assert [h.name for h in ex.heads] == [f"L{i}H{h}" for i in range(2) for h in range(HEADS)]
    assert all("untrained effect" in h.controls for h in ex.heads)
    assert any(h.effect > 0.05 for h in ex.heads)
    assert {site.variable for site in ex.sites}
    assert ex.fidelity.interventional is not None
