"""Hook points of a user's own module: which module passes on what, and in which layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from recinterp.errors import IncompatibleModelError, UnknownNameError

Change: TypeAlias = Callable[[Tensor], Tensor]
OPERATION = "wrap a module"


class Handle(Protocol):
    """What `register_forward_hook` returns."""

    def remove(self) -> None:
        """Take the hook away."""


@dataclass(frozen=True, kw_only=True)
class NamedParts:
    """The modules that a user names, layer by layer.

    Attributes:
        blocks: The layers.
        attention: Their attention modules or output projections; None: to be found in the blocks.
        patterns: What passes on their attention patterns.
        mlps: Their MLPs.
    """

    blocks: tuple[str, ...]
    attention: tuple[str, ...] | None
    patterns: tuple[str, ...]
    mlps: tuple[str, ...]


def list_names(module: nn.Module, names: object) -> tuple[str, ...]:
    """Names of modules; the name of one list of modules stands for those in it.

    Raises:
        UnknownNameError: The module has no part of this name.
        IncompatibleModelError: The names are no names, or one is given twice.
    """
    known = dict(module.named_modules())
    given: list[Any] = [names] if isinstance(names, str) else list(cast("Sequence[Any]", names))
    for name in given:
        if not isinstance(name, str):
            hint = "give names as module.named_modules() lists them"
            raise IncompatibleModelError(OPERATION, f"{name!r} is no name", hint)
        if name not in known:
            raise UnknownNameError(OPERATION, name, [k for k in known if k])
    if isinstance(names, str) and isinstance(known[names], nn.ModuleList | nn.Sequential):
        children = [child for child, _ in known[names].named_children()]
        given = [f"{names}.{child}" if names else child for child in children]
    if len(set(given)) < len(given):
        raise IncompatibleModelError(OPERATION, "a module is named twice", "name each once")
    return tuple(given)


def find_device(module: nn.Module) -> torch.device:
    """The device of a module's weights; the CPU for a module without weights."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def first_tensor(value: object) -> Tensor | None:
    """A tensor, `.logits`, or the first tensor of a tuple; None where there is none."""
    if isinstance(value, Tensor):
        return value
    if isinstance(getattr(value, "logits", None), Tensor):
        return cast(Tensor, cast(Any, value).logits)
    if isinstance(value, tuple | list):
        return next((x for x in value if isinstance(x, Tensor)), None)
    return None


def replace_first(value: Any, new: Tensor) -> Any:
    """The value of a module with its first tensor replaced."""
    if isinstance(value, Tensor):
        return new
    at = next(i for i, x in enumerate(value) if isinstance(x, Tensor))
    changed = [*value[:at], new, *value[at + 1 :]]
    return type(value)(*changed) if hasattr(value, "_fields") else type(value)(changed)


@contextmanager
def without_fused_attention() -> Iterator[None]:
    """Let `nn.TransformerEncoderLayer` call its parts, which its fused kernel leaves out."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def find_points(module: nn.Module, named: NamedParts, n_heads: int | None) -> dict[str, HookedPart]:
    """The hook points of the named parts, by their classic names.

    Raises:
        IncompatibleModelError: The numbers of parts differ, or an output projection is named
            without the number of heads.
    """
    modules = dict(module.named_modules())
    attention = named.attention
    if attention is None:
        attention = _find_attention(modules, named.blocks)
    mlps = named.mlps or tuple(
        f"{name}.linear2"
        for name in named.blocks
        if isinstance(modules[name], nn.TransformerEncoderLayer)
    )
    counts = {
        what: len(names)
        for what, names in (
            ("blocks", named.blocks),
            ("attention", attention),
            ("patterns", named.patterns),
            ("mlps", mlps),
        )
        if names
    }
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{n} {what}" for what, n in counts.items())
        raise IncompatibleModelError(OPERATION, f"there are {shown}", "name one for each layer")
    points: dict[str, HookedPart] = {}
    for i, name in enumerate(named.blocks):
        points[f"blocks.{i}.hook_resid_pre"] = HookedPart(name, "input")
        points[f"blocks.{i}.hook_resid_post"] = HookedPart(name, "output")
    for i, name in enumerate(attention):
        points |= _attention_points(modules[name], name, i, n_heads)
    for i, name in enumerate(named.patterns):
        points[f"blocks.{i}.attn.hook_pattern"] = HookedPart(name, "pattern")
    for i, name in enumerate(mlps):
        points[f"blocks.{i}.hook_mlp_out"] = HookedPart(name, "output")
    return points


def _find_attention(modules: dict[str, nn.Module], blocks: Sequence[str]) -> tuple[str, ...]:
    """The attention module of each block; none unless every block has exactly one."""
    found = []
    for block in blocks:
        inside = [
            name
            for name, part in modules.items()
            if name.startswith(f"{block}.") and isinstance(part, nn.MultiheadAttention)
        ]
        if len(inside) != 1:
            return ()
        found += inside
    return tuple(found)


def _attention_points(
    part: nn.Module, name: str, layer: int, n_heads: int | None
) -> dict[str, HookedPart]:
    place = f"blocks.{layer}"
    if isinstance(part, nn.MultiheadAttention):
        if part.bias_k is not None or part.add_zero_attn:
            problem = f"{name!r} adds keys that belong to no position"
            raise IncompatibleModelError(OPERATION, problem, "leave attention out")
        inner = ("q", "k", "v", "pattern", "z")
        heads = {f"{place}.attn.hook_{x}": HookedPart(name, x) for x in inner}
        return heads | {f"{place}.hook_attn_out": HookedPart(name, "output")}
    if n_heads is None:
        problem = f"{name!r} is a {type(part).__name__} and the number of heads is not given"
        raise IncompatibleModelError(OPERATION, problem, "pass n_heads=…")
    return {
        f"{place}.attn.hook_z": HookedPart(name, "projection", n_heads),
        f"{place}.hook_attn_out": HookedPart(name, "output"),
    }


@dataclass
class HookedPart:
    """A hook point: where a module of the user's passes an activation on.

    Attributes:
        path: Name of the module.
        kind: "input" or "output" of the module; "projection", its input as heads; "pattern", its
            output as attention; "q", "k", "v", "z", "pattern" inside an `nn.MultiheadAttention`.
        n_heads: Heads, of a projection.
        time_first: Whether the module has positions before the batch.
    """

    path: str
    kind: str
    n_heads: int = 1
    time_first: bool = False
    _probe: tuple[int, int] | None = None
    _name: str = ""

    def begin_probe(self, shape: tuple[int, int], name: str) -> None:
        """Take the layout from the next run, whose ids have this shape (batch, pos)."""
        self._probe, self._name = shape, name

    def attach(self, module: nn.Module, change: Change, batch: int) -> Handle:
        """Put a change of the activation on the module, until the handle is removed."""
        part = module.get_submodule(self.path)
        if isinstance(part, nn.MultiheadAttention) and self.kind not in ("input", "output"):
            return _attach_inside(part, self, change)
        if self.kind in ("input", "projection"):
            return part.register_forward_pre_hook(
                lambda _, args, kwargs: self._change_input(change, args, kwargs), with_kwargs=True
            )
        return part.register_forward_hook(
            lambda _, args, output: self._change_output(change, output, batch)
        )

    def _change_input(
        self, change: Change, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        value = first_tensor(args)
        if value is not None:
            return replace_first(args, self._changed(change, value)), kwargs
        name = next((k for k, v in kwargs.items() if isinstance(v, Tensor)), None)
        if name is None:
            raise self._refuse("takes no tensor")
        return args, kwargs | {name: self._changed(change, kwargs[name])}

    def _change_output(self, change: Change, output: Any, batch: int) -> Any:
        value = first_tensor(output)
        if value is None or not isinstance(output, Tensor | tuple | list):
            raise self._refuse(f"returns a {type(output).__name__}")
        if self.kind != "pattern":
            return replace_first(output, self._changed(change, value))
        square = value.dim() > 2 and value.shape[-1] == value.shape[-2]
        if square and value.dim() == 3 and value.shape[0] % batch == 0:  # heads with the batch
            return replace_first(
                output, change(value.view(batch, -1, *value.shape[1:])).flatten(0, 1)
            )
        if not square or value.dim() != 4 or value.shape[0] != batch:
            raise self._refuse(f"passes on a tensor of shape {tuple(value.shape)}, and no pattern")
        return replace_first(output, change(value))

    def _changed(self, change: Change, value: Tensor) -> Tensor:
        """The new value of (batch, pos, …), in the layout of the module."""
        if self._probe is not None:
            self._read_layout(value)
        shown = value.transpose(0, 1) if self.time_first else value
        if self.kind == "projection":
            shown = _split_heads(shown, self.n_heads)
        new = change(shown)
        if self.kind == "projection":
            new = new.flatten(-2)
        return new.transpose(0, 1) if self.time_first else new

    def _read_layout(self, value: Tensor) -> None:
        assert self._probe is not None
        shape, places = tuple(value.shape), self._probe
        if value.dim() != 3 or sorted(shape[:2]) != sorted(places):
            raise self._refuse(
                f"passes on a tensor of shape {shape} for {places[0]} rows of {places[1]} positions"
            )
        if self.kind == "projection" and shape[-1] % self.n_heads:
            raise self._refuse(f"has {shape[-1]} features and no {self.n_heads} heads")
        self.time_first, self._probe = shape[:2] != places, None

    def _refuse(self, problem: str) -> IncompatibleModelError:
        hint = f"name another module for {self._name}: one with (batch, pos, width)"
        return IncompatibleModelError(OPERATION, f"{self.path!r} {problem}", hint)


def _attach_inside(part: nn.MultiheadAttention, point: HookedPart, change: Change) -> Handle:
    """Compute an `nn.MultiheadAttention` anew, with a change inside, in place of its output.

    Several changes of one module in one pass are collected: the last hook computes them all.
    """
    changes: dict[str, list[Change]] = part.__dict__.setdefault("_recinterp_changes", {})
    changes.setdefault(point.kind, []).append(change)

    def recompute(_: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        return (attend(part, changes, *args, **kwargs), *output[1:])

    # One hook for all changes, before those that read or change the output.
    handle = None
    if sum(map(len, changes.values())) == 1:
        handle = part.register_forward_hook(recompute, with_kwargs=True, prepend=True)
    return _Removal(part, point.kind, change, handle)


@dataclass
class _Removal:
    """Takes one change out of an `nn.MultiheadAttention`."""

    part: nn.MultiheadAttention
    kind: str
    change: Change
    handle: Handle | None

    def remove(self) -> None:
        """Take the change away."""
        changes = self.part.__dict__["_recinterp_changes"]
        changes[self.kind].remove(self.change)
        if self.handle is not None:
            self.handle.remove()
        if not any(changes.values()):
            del self.part.__dict__["_recinterp_changes"]


def attend(
    part: nn.MultiheadAttention,
    changes: dict[str, list[Change]],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Tensor:
    """What an `nn.MultiheadAttention` is defined to compute, with changes of its activations.

    Args:
        part: The module, in evaluation mode.
        changes: By "q", "k", "v", "pattern" and "z", functions of that activation.
        query: As the module's own forward takes it; so are the others.
        key: Keys.
        value: Values.
        key_padding_mask: Where keys are padding.
        need_weights: Not used: weights are not returned.
        attn_mask: Where queries may not attend, or what is added to the scores.
        average_attn_weights: Not used.
        is_causal: Not used: a hint that `attn_mask` is causal.
    """

    def changed(kind: str, activation: Tensor) -> Tensor:
        for change in changes.get(kind, ()):
            activation = change(activation)
        return activation

    given = (query, key, value)
    rows = given if part.batch_first else tuple(x.transpose(0, 1) for x in given)
    q, k, v = (
        changed(kind, _split_heads(F.linear(x, weight, bias), part.num_heads))
        for kind, x, (weight, bias) in zip("qkv", rows, _projections(part), strict=True)
    )
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    scores = _masked(scores, attn_mask)
    if key_padding_mask is not None:
        scores = _masked(scores, key_padding_mask[:, None, None])
    pattern = changed("pattern", scores.softmax(-1))
    z = changed("z", torch.einsum("bhqk,bkhd->bqhd", pattern, v))
    out = F.linear(z.flatten(-2), part.out_proj.weight, part.out_proj.bias)
    return out if part.batch_first else out.transpose(0, 1)


def _split_heads(
    value: Float[Tensor, "batch pos width"], n_heads: int
) -> Float[Tensor, "batch pos head d_head"]:
    return value.reshape(*value.shape[:-1], n_heads, -1)


def _projections(part: nn.MultiheadAttention) -> list[tuple[Tensor, Tensor | None]]:
    joint = cast("Tensor | None", part.in_proj_weight)
    apart = [part.q_proj_weight, part.k_proj_weight, part.v_proj_weight]
    weights = apart if joint is None else list(joint.chunk(3))
    biases = [None] * 3 if part.in_proj_bias is None else list(part.in_proj_bias.chunk(3))
    return list(zip(weights, biases, strict=True))


def _masked(
    scores: Float[Tensor, "batch head query key"], mask: Tensor | None
) -> Float[Tensor, "batch head query key"]:
    if mask is None:
        return scores
    if mask.dim() == 3:  # one for each row and head
        mask = mask.view(scores.shape)
    return scores.masked_fill(mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
