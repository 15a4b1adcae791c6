"""Any `nn.Module` of an own training loop, with the hook points that its parts allow.

    model = Wrapped(lstm)                                          # predict, explain
    model = Wrapped(net, blocks="encoder.layers")                  # an nn.TransformerEncoder
    model = Wrapped(mine, blocks=["b0", "b1"], attention=["b0.attn.proj", "b1.attn.proj"],
                    patterns=["b0.attn.drop", "b1.attn.drop"], n_heads=4)

Hook points have TransformerLens's names. They are made of `register_forward_hook` on the modules
that are named; a part that no module passes on, such as attention patterns that are never stored,
is out of reach, and asking for it is an error. A module is never changed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TypeAlias, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recinterp.errors import IncompatibleModelError, UnreachableHookError
from recinterp.models.backends import wrapped_parts as parts
from recinterp.models.decoding import evaluation_mode

Logits: TypeAlias = Callable[
    [nn.Module, Int[Tensor, "batch pos"]], Float[Tensor, "batch pos vocab"]
]
Names: TypeAlias = str | Sequence[str]
Edit: TypeAlias = Callable[..., Tensor | None]
OPERATION = "wrap a module"
MAX_CONTEXT = 128  # positions up to which the context of a module is tried out


class Wrapped(nn.Module):
    """A module of an own training loop, as a model that can be predicted, perturbed and explained.

    Args:
        module: The module. It maps token ids, (batch, pos), to the logits of the next token,
            (batch, pos, vocab), or `logits` does.
        logits: A function from the module and token ids to the logits. None: what the module
            returns, or the first part of it where it returns several.
        blocks: Names of the modules that are the layers, as `named_modules` gives them, or the name
            of the `ModuleList` that holds them: what goes in and comes out is the residual stream.
            For an LSTM its own name: what goes in, and its hidden states.
        attention: For each layer the name of its attention: an `nn.MultiheadAttention`, or the
            linear output projection, whose input are the heads' outputs (`hook_z`). None: the
            `nn.MultiheadAttention` in each block, where there is exactly one.
        patterns: For each layer the name of a module that passes on the attention pattern, (batch,
            head, query, key), such as the dropout after the softmax. An `nn.MultiheadAttention`
            needs none. Heads are scored where patterns are known.
        mlps: For each layer the name of the module whose output is added to the stream.
        n_heads: Heads of a layer, where `attention` names output projections.
        n_ctx: Most positions of a row. None: tried out, up to 128.

    Raises:
        IncompatibleModelError: A name is none of the module's, a part does not pass on one tensor
            with batch and position, or the logits have another shape.

    Attributes:
        module: The module.
        cfg: The sizes: `n_layers`, `n_heads`, `d_model`, `d_head`, `n_ctx`, `d_vocab`.
        hook_dict: The hook points, by name.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        logits: Logits | None = None,
        blocks: Names = (),
        attention: Names | None = None,
        patterns: Names = (),
        mlps: Names = (),
        n_heads: int | None = None,
        n_ctx: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(cast(object, module), nn.Module):
            problem = f"it is of type {type(module).__name__}"
            hint = "pass an nn.Module; a function from inputs to outputs needs no wrapper"
            raise IncompatibleModelError(OPERATION, problem, hint)
        _check_logits_function(logits)
        self.module, self._logits = module, logits
        named = parts.NamedParts(
            blocks=parts.list_names(module, blocks),
            attention=None if attention is None else parts.list_names(module, attention),
            patterns=parts.list_names(module, patterns),
            mlps=parts.list_names(module, mlps),
        )
        self._points = parts.find_points(module, named, n_heads)
        self.cfg = SimpleNamespace(
            n_layers=max(map(len, (named.blocks, named.attention or ())), default=0),
            n_heads=0,
            d_model=0,
            d_head=0,
            n_ctx=n_ctx or 1,
            d_vocab=0,
            is_own_module=True,
        )
        self.cfg.n_ctx = n_ctx or self._try_context()
        self._measure()

    @property
    def wrapped_module(self) -> nn.Module:
        """The module, by which a report names the model."""
        return self.module

    @property
    def hook_dict(self) -> dict[str, SimpleNamespace]:
        """The hook points that the named parts allow."""
        return {name: SimpleNamespace(name=name) for name in self._points}

    def forward(self, ids: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos vocab"]:
        """Compute logits of the next token at every position.

        Args:
            ids: Token ids.

        Raises:
            IncompatibleModelError: The logits have another shape.
        """
        with parts.without_fused_attention():
            given = self.module(ids) if self._logits is None else self._logits(self.module, ids)
        logits = given if self._logits is not None else parts.first_tensor(given)
        if not isinstance(logits, Tensor) or logits.shape[:-1] != ids.shape:
            came = f"a {type(given).__name__}"
            if isinstance(logits, Tensor):
                came = f"of shape {tuple(logits.shape)}"
            problem = f"for ids of shape {tuple(ids.shape)} its logits are {came}"
            hint = "logits=… is a function of module and ids that returns (batch, pos, vocab)"
            raise IncompatibleModelError(OPERATION, problem, hint)
        return logits

    def run_with_hooks(
        self, ids: Int[Tensor, "batch pos"], fwd_hooks: Sequence[tuple[str, Edit]] = ()
    ) -> Float[Tensor, "batch pos vocab"]:
        """Compute logits under edits of activations.

        Args:
            ids: Token ids.
            fwd_hooks: Pairs of a hook point and a function of (activation, hook), which returns the
                new activation, or None to leave it as it is.

        Raises:
            UnreachableHookError: No named part has this hook point.
        """
        by_point: dict[str, list[Edit]] = {}
        for name, edit in fwd_hooks:
            if name not in self._points:
                raise self.explain_missing_hook(name)
            by_point.setdefault(name, []).append(edit)
        with ExitStack() as stack:
            for name, edits in by_point.items():
                stack.enter_context(self._hooked(name, edits, len(ids)))
            return self(ids)

    def explain_missing_hook(self, name: str) -> UnreachableHookError:
        """Say what would bring a hook point in reach that is out of reach.

        Args:
            name: Name of the hook point.

        Returns:
            The error, to be raised.
        """
        hints = {
            "hook_pattern": "name what passes the patterns on: Wrapped(…, patterns=[…])",
            "hook_mlp_out": "name the modules of the MLPs: Wrapped(…, mlps=[…])",
            "hook_resid_pre": "name the layers: Wrapped(…, blocks=[…])",
            "hook_resid_post": "name the layers: Wrapped(…, blocks=[…])",
            "hook_z": "name the attention modules: Wrapped(…, attention=[…], n_heads=…)",
            "hook_attn_out": "name the attention modules: Wrapped(…, attention=[…], n_heads=…)",
        }
        layer = name.split(".")[1] if name.startswith("blocks.") else ""
        inside = layer.isdigit() and int(layer) < self.cfg.n_layers
        known = ", ".join(self._points) or "there is none"
        hint = hints.get(name.rpartition(".")[2], f"in reach: {known}")
        if self.cfg.n_layers and not inside:
            hint = f"layers are 0 to {self.cfg.n_layers - 1}; in reach: {known}"
        what = type(self.module).__name__
        return UnreachableHookError(
            f"reach {name} of {what}", "no module that was named has it", hint
        )

    @contextmanager
    def _hooked(self, name: str, edits: Sequence[Edit], batch: int) -> Iterator[None]:
        """Apply the edits at a hook point until the end of the block."""
        hook = SimpleNamespace(name=name)

        def edit_all(value: Tensor) -> Tensor:
            for edit in edits:
                new = edit(value, hook=hook)
                value = value if new is None else new
            return value

        handle = self._points[name].attach(self.module, edit_all, batch)
        try:
            yield
        finally:
            handle.remove()

    def _try_context(self) -> int:
        """The longest row, up to MAX_CONTEXT, that the module takes."""
        device = parts.find_device(self.module)
        if device.type != "cpu":
            problem = f"how many positions it takes cannot be tried out on {device}"
            raise IncompatibleModelError(OPERATION, problem, "pass n_ctx=…")
        longest, low, high = 0, 1, MAX_CONTEXT
        length, error = MAX_CONTEXT, None
        while low <= high:
            try:
                self._probe(1, length)
                longest, low = length, length + 1
            except (RuntimeError, IndexError, ValueError, AssertionError, TypeError) as caught:
                high, error = length - 1, caught
            length = (low + high) // 2
        if not longest:
            problem = f"it fails on one token ({' '.join(str(error).split())[:160]})"
            hint = "pass logits=…, a function of module and ids"
            raise IncompatibleModelError(OPERATION, problem, hint)
        return longest

    @torch.no_grad()
    def _probe(self, batch: int, length: int, edits: Sequence[tuple[str, Edit]] = ()) -> Tensor:
        ids = torch.zeros((batch, length), dtype=torch.long, device=parts.find_device(self.module))
        with evaluation_mode(self):
            return self.run_with_hooks(ids, edits)

    def _measure(self) -> None:
        """Run the module once with every point read: shapes, axes, sizes."""
        length = min(5, self.cfg.n_ctx)
        batch = length + 2  # another number than positions, so that sizes distinguish the axes
        seen: dict[str, list[Tensor]] = {name: [] for name in self._points}
        for name, point in self._points.items():
            point.begin_probe((batch, length), name)

        def read(name: str) -> Edit:
            return lambda value, hook: seen[name].append(value)

        logits = self._probe(batch, length)
        probed = self._probe(batch, length, [(name, read(name)) for name in self._points])
        for name, values in seen.items():
            if len(values) != 1:
                problem = f"{self._points[name].path!r} runs {len(values)} times in one pass"
                hint = "name modules that run once, or leave this one out"
                raise IncompatibleModelError(OPERATION, problem, hint)
        scale = max(1.0, float(logits.abs().max()))
        if float((logits - probed).abs().max()) > 1e-3 * scale:
            problem = "its attention does not compute what nn.MultiheadAttention is defined to"
            raise IncompatibleModelError(OPERATION, problem, "leave attention out")
        self.cfg.d_vocab = logits.shape[-1]
        self._read_sizes({name: values[0] for name, values in seen.items()})

    def _read_sizes(self, seen: dict[str, Tensor]) -> None:
        streams = {n: v.shape[-1] for n, v in seen.items() if "hook_resid" in n}
        width = next((w for n, w in streams.items() if n.endswith("post")), 0)
        for name, own in streams.items():
            if own != width:  # an LSTM of another width than its embeddings
                del self._points[name]
        heads = {v.shape[2:] for n, v in seen.items() if n.endswith("hook_z")}
        if len(heads) > 1:
            problem = "its layers have different numbers or sizes of heads"
            raise IncompatibleModelError(OPERATION, problem, "name layers that are alike")
        self.cfg.n_heads, self.cfg.d_head = next(iter(heads), (0, 0))
        self.cfg.d_model = width or self.cfg.n_heads * self.cfg.d_head


def _check_logits_function(logits: object) -> None:
    hint = "pass logits=lambda module, ids: …, which returns (batch, pos, vocab)"
    if logits is None:
        return
    if not callable(logits):
        raise IncompatibleModelError(OPERATION, f"logits is {logits!r}", hint)
    try:
        inspect.signature(logits).bind(None, None)
    except TypeError:
        # A function of ids alone would go on calling the original in copies of the model.
        problem = "logits is no function of two arguments"
        raise IncompatibleModelError(OPERATION, problem, hint) from None
    except ValueError:  # a builtin without a signature
        return
