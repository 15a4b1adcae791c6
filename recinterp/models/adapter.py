"""One interface to every hooked model: logits, hooks, activations, greedy outputs as tokens.

    adapter = Adapter(model, task)
    adapter.logits(ids)                               # (batch, pos, vocab)
    adapter.cache(ids, ["blocks.0.attn.hook_z"])      # {name: (batch, pos, head, d_head)}
    adapter.generate([["X1", "01"]])                  # [["X0", "X0", "01"]]

A model is TransformerLens 3.9's HookedTransformer, 4.x's TransformerBridge, or any HookedRootModule
with a `cfg` and the classic hook names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import cast
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recinterp.errors import IncompatibleModelError, UnknownHookError, UnknownNameError
from recinterp.models import decoding
from recinterp.models.backends import block_names, hugging_face, native
from recinterp.models.backends import transformer_lens as backend
from recinterp.models.backends.split_rows import RowSplit
from recinterp.models.checkpoint import check_recorded_ids
from recinterp.models.decoding import evaluation_mode
from recinterp.models.model_lock import hold_model
from recinterp.models.wrapped import Wrapped
from recinterp.tasks import Task
from recinterp.tasks.arguments import (
    check_model,
    check_task,
    check_token_lists,
    query_function,
)
from recinterp.tokens import EOS, TRUNCATED

Hook = tuple[str, Callable[..., Tensor | None]]  # hook point, function of (activation, hook)
_head_counts: WeakKeyDictionary[nn.Module, dict[str, int]] = WeakKeyDictionary()


class Adapter:
    """A hooked model as a task's function: tokens in, tokens out, activations in between.

    Args:
        model: A HookedTransformer, a TransformerBridge, a HookedRootModule with a `cfg`, a Hugging
            Face model (GPT-2, T5, BART and the like), or a module of one's own as `Wrapped`.
        task: The task whose encoding the model reads and writes.

    Raises:
        IncompatibleModelError: Model and task do not fit.
        NonFiniteWeightsError: A weight is NaN or infinite.
    """

    def __init__(self, model: nn.Module, task: Task) -> None:
        check_task(task, "run a model")
        check_model(model, "run a model")
        self.model, self.task = model, task
        self._operation = f"run {self.name} on {task.name}"
        self._check_device()
        if hugging_face.is_hugging_face(model):
            split = RowSplit.from_task(task)
            self.model = hugging_face.wrap_model(model, split, operation=self._operation)
        elif hugging_face.is_bridged_encoder_decoder(model):
            self.model = hugging_face.join_halves(model, RowSplit.from_task(task))
        self._check_interface()
        self._check_vocabulary()
        check_recorded_ids(model, task, operation=self._operation)
        parameters = dict(self.model.named_parameters())
        native.check_finite(parameters, operation=self._operation)
        self._names: dict[int, str] = {i: name for name, i in task.ids.items()}

    def _check_interface(self) -> None:
        model, sizes = self.model, backend.HookedConfig.__annotations__
        missing = [
            part for part in ("run_with_hooks", "hook_dict", "cfg") if not hasattr(model, part)
        ]
        missing += [f"cfg.{size}" for size in sizes if not hasattr(getattr(model, "cfg", 0), size)]
        if missing:
            raise self._incompatible(
                f"{type(model).__name__} has no {missing[0]}",
                "pass a HookedTransformer, a TransformerBridge, a HookedRootModule with a cfg, "
                "a Hugging Face model, a function from inputs to outputs, or ri.Wrapped(module)",
            )

    def _check_device(self) -> None:
        parameters = getattr(self.model, "parameters", None)
        devices = sorted({str(p.device) for p in parameters()}) if parameters else []
        if "meta" in devices:
            problem = "its weights are on the meta device, where they have no values"
            raise self._incompatible(problem, "load the weights first")
        if len(devices) > 1:
            problem = f"its weights are on several devices: {', '.join(devices)}"
            raise self._incompatible(problem, f"move it to one: model.to({devices[0]!r})")

    def _check_vocabulary(self) -> None:
        if self.architecture == "encoder-decoder":
            self._check_encoder_decoder()
        required = 1 + max(self.task.ids.values())
        if self.d_vocab < required:
            raise self._incompatible(
                f"the model knows {self.d_vocab} tokens and the task needs {required}",
                "task.with_vocab(...) sets the ids of a model trained elsewhere",
            )

    def _check_encoder_decoder(self) -> None:
        start = vars(backend.get_config(self.model)).get("decoder_start")
        if self._layer_counts is None:
            raise self._incompatible(
                "it is an encoder-decoder of an unknown kind",
                "pass a model from ri.train, a T5 or a BART",
            )
        if self._decoder_start is not None and self.task.prompt(())[0] != self.task.sep:
            raise self._incompatible(
                f"its encoder reads only the input and the template is {self.task.template}",
                "use the template {input}{sep}{output}{eos}",
            )
        if start not in (None, self.task.sep):
            raise self._incompatible(
                f"its decoder begins with id {start} and SEP is {self.task.sep}",
                f"task.with_vocab(..., sep={start})",
            )

    def _incompatible(self, problem: str, hint: str) -> IncompatibleModelError:
        return IncompatibleModelError(self._operation, problem, hint)

    @property
    def name(self) -> str:
        """The checkpoint's name, or the model's class."""
        checkpoint = getattr(self.model, "checkpoint", None)
        module = getattr(self.model, "wrapped_module", self.model)
        return str(getattr(checkpoint, "name", "") or type(module).__name__)

    @property
    def architecture(self) -> str:
        """`decoder-only` or `encoder-decoder`."""
        pair = getattr(backend.get_config(self.model), "is_encoder_decoder", False)
        return "encoder-decoder" if pair else "decoder-only"

    @cached_property
    def _layer_counts(self) -> block_names.LayerCounts | None:
        """Layers of an encoder and a decoder."""
        counts = getattr(backend.get_config(self.model), "layer_counts", None)
        return cast("block_names.LayerCounts | None", counts)

    @cached_property
    def _decoder_start(self) -> int | None:
        """The id that our own encoder-decoders' outputs begin with."""
        shape = native.read_shape(self.model)
        return shape.start if shape else None

    @cached_property
    def block_names(self) -> tuple[str, ...]:
        """Names of the blocks: L0, …; of an encoder-decoder E0, …, D0, X0, … (block_names.py)."""
        if self._layer_counts is not None:
            return block_names.list_block_names(self._layer_counts)
        return tuple(f"L{layer}" for layer in range(int(backend.get_config(self.model).n_layers)))

    @cached_property
    def hook_names(self) -> tuple[str, ...]:
        """Names of the hook points; an encoder-decoder's also by block, as `blocks.i.…`."""
        own = tuple(cast(Mapping[str, object], self.model.hook_dict))
        if getattr(backend.get_config(self.model), "attn_only", False):
            # TransformerLens 3.9 makes these points all the same; nothing ever passes through.
            own = tuple(name for name in own if "mlp" not in name)
        if self._layer_counts is None:
            return own
        return (*own, *block_names.list_hooks(self._layer_counts, own))

    @cached_property
    def _layout(self) -> decoding.EncoderDecoderLayout | None:
        """How an encoder-decoder's rows divide, and how far each half reaches."""
        if self._layer_counts is None:
            return None
        max_positions = int(getattr(backend.get_config(self.model), "max_positions", self.n_ctx))
        if self._decoder_start is not None:
            return decoding.EncoderDecoderLayout(RowSplit(0, self._decoder_start, 0), max_positions)
        return decoding.EncoderDecoderLayout(RowSplit.from_task(self.task), max_positions)

    def is_in_encoder(self, hook: str) -> bool:
        """Whether a hook point is in an encoder.

        Args:
            hook: Name of the hook point: the model's own, or by block.

        Raises:
            UnknownHookError: There is no such hook point.
        """
        return self._resolve_hook(hook).startswith("encoder")

    def _resolve_hook(self, name: str) -> str:
        """The model's own name of a hook point."""
        if name not in self.hook_names:
            if isinstance(self.model, Wrapped):
                raise self.model.explain_missing_hook(name)
            near = UnknownNameError(self._operation, name, self.hook_names)
            raise UnknownHookError(self._operation, near.problem, near.hint)
        if self._layer_counts is None:
            return name
        return block_names.resolve_hook(name, self._layer_counts)

    @property
    def has_patterns(self) -> bool:
        """Whether the attention patterns and the heads of all layers are in reach."""
        inner = ("attn.hook_pattern", "attn.hook_z")
        needed = [f"blocks.{i}.{name}" for i in range(self.n_layers) for name in inner]
        return bool(needed) and set(needed) <= set(self.hook_names)

    @property
    def n_layers(self) -> int:
        """Number of blocks; a decoder layer of an encoder-decoder is two (block_names.py)."""
        return len(self.block_names)

    @property
    def n_heads(self) -> int:
        """Heads per block."""
        return int(backend.get_config(self.model).n_heads)

    def count_heads(self, hook: str) -> int:
        """Heads of a hook point, read off its activation; 0 where it has none.

        Keys and values have fewer heads than queries where several query heads share one.

        Args:
            hook: Name of the hook point.

        Raises:
            UnknownHookError: There is no such hook point.
        """
        counts = _head_counts.setdefault(self.model, {})
        if hook not in counts:
            prompt = self.task.prompt(next(x for x in self.task.inputs(None) if x))
            value = self.cache(torch.tensor([prompt]), [hook]).get(hook)
            per_head = value is not None and value.dim() == 4
            axis = 1 if hook.endswith(("hook_pattern", "hook_attn_scores")) else 2
            counts[hook] = value.shape[axis] if value is not None and per_head else 0
        return counts[hook]

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(backend.get_config(self.model).d_model)

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return int(backend.get_config(self.model).d_head)

    @property
    def n_ctx(self) -> int:
        """Longest sequence the model takes, in tokens, specials included."""
        return int(backend.get_config(self.model).n_ctx)

    @property
    def d_vocab(self) -> int:
        """Number of token ids."""
        return int(backend.get_config(self.model).d_vocab)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device

    @torch.no_grad()
    def logits(self, ids: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos vocab"]:
        """Run the model's own forward.

        Args:
            ids: Token ids.

        Returns:
            Logits of the next token at every position.
        """
        with hold_model(self.model), evaluation_mode(self.model):
            return cast(Tensor, self.model(self._prepare_ids(ids)))

    def _prepare_ids(self, ids: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
        """Rows as the model takes them: our encoder-decoders' outputs begin with BOS, not SEP."""
        ids = ids.to(self.device)
        if self._decoder_start is None:
            return ids
        marks = (ids == self.task.sep) | (ids == self._decoder_start)
        return ids.masked_fill(marks & (marks.cumsum(1) == 1), self._decoder_start)

    @torch.no_grad()
    def run_with_hooks(
        self, ids: Int[Tensor, "batch pos"], hooks: Sequence[Hook]
    ) -> Float[Tensor, "batch pos vocab"]:
        """Run the model with edits of its activations.

        Args:
            ids: Token ids.
            hooks: Pairs of a hook point and a function of (activation, hook), which returns the
                new activation, or None to leave it as it is.

        Returns:
            Logits of the next token at every position.

        Raises:
            UnknownHookError: There is no such hook point.
        """
        named = [(self._resolve_hook(name), edit) for name, edit in hooks]
        run = cast(Callable[..., Tensor], self.model.run_with_hooks)
        with hold_model(self.model), evaluation_mode(self.model):
            return run(self._prepare_ids(ids), fwd_hooks=named)

    def cache(
        self, ids: Int[Tensor, "batch pos"], names: Sequence[str]
    ) -> dict[str, Float[Tensor, "batch ..."]]:
        """Run the model and copy activations.

        Args:
            ids: Token ids.
            names: Hook points to read.

        Returns:
            The activation at each hook point: (batch, pos, d_model) of the residual stream,
            (batch, pos, head, d_head) of heads, (batch, head, pos, pos) of attention patterns.

        Raises:
            UnknownHookError: There is no such hook point.
        """
        # Capturing hooks and not run_with_cache: its keys and filters differ between the backends.
        activations: dict[str, Tensor] = {}

        def capture(name: str) -> Callable[..., None]:
            def store(activation: Tensor, hook: object) -> None:
                activations[name] = activation.detach().clone()

            return store

        self.run_with_hooks(ids, [(name, capture(name)) for name in names])
        return activations

    def generate(
        self,
        inputs: Sequence[Sequence[str]],
        prefixes: Sequence[Sequence[str]] | None = None,
        hooks: Sequence[Hook] | None = None,
        batch_size: int = 2048,
    ) -> list[list[str]]:
        """Decode greedily.

        Args:
            inputs: Inputs of the task, in tokens.
            prefixes: An output prefix to force for each input; None forces nothing.
            hooks: Edits that apply at every step, as in `run_with_hooks`.
            batch_size: Most rows of one forward pass.

        Returns:
            One output for each input, in tokens without EOS, the forced prefix included. An output
            that reaches the end of the context closes with "…". Without EOS, each ends at its known
            length.

        Raises:
            IncompatibleModelError: An input is longer than the context.
            InvalidInputError: An input is not one of the task's.
            UnknownHookError: There is no such hook point.
            UnknownNameError: A token of a prefix is unknown.
        """
        prompts = self._encode_prompts(inputs, prefixes)
        forced_lengths = [len(prefix) for prefix in prefixes or [()] * len(prompts)]
        forward = self._bind_hooks(hooks) if hooks else None
        lengths = self.task.count_output_tokens(inputs)
        tails = decoding.decode_greedily(
            self.model,
            prompts,
            eos=self.task.eos,
            n_ctx=self.n_ctx,
            lengths=lengths and [n - k for n, k in zip(lengths, forced_lengths, strict=True)],
            forward=forward,
            batch_size=batch_size,
            layout=self._layout,
        )
        limits: Sequence[int | None] = lengths or [None] * len(prompts)
        return [
            self._decode_ids([*prompt[len(prompt) - k :], *tail], limit)
            for prompt, k, tail, limit in zip(prompts, forced_lengths, tails, limits, strict=True)
        ]

    def next_tokens(
        self,
        inputs: Sequence[Sequence[str]],
        prefixes: Sequence[Sequence[str]] | None = None,
        hooks: Sequence[Hook] | None = None,
        batch_size: int = 2048,
    ) -> list[str]:
        """Predict one token after each forced output prefix.

        Args:
            inputs: Inputs of the task, in tokens.
            prefixes: An output prefix to force for each input; None forces nothing.
            hooks: Edits of activations, as in `run_with_hooks`.
            batch_size: Most rows of one forward pass.

        Returns:
            The most likely token for each input, "EOS" for the end.

        Raises:
            IncompatibleModelError: A prompt is longer than the context.
            InvalidInputError: An input is not one of the task's.
            UnknownHookError: There is no such hook point.
            UnknownNameError: A token of a prefix is unknown.
        """
        prompts = self._encode_prompts(inputs, prefixes)
        forward = self._bind_hooks(hooks) if hooks else None
        ids = decoding.predict_next_ids(
            self.model, prompts, forward=forward, batch_size=batch_size, layout=self._layout
        )
        written = [len(prefix) for prefix in prefixes or [()] * len(prompts)]
        return self.name_next_tokens(ids, inputs, written)

    def name_next_tokens(
        self, ids: Sequence[int], inputs: Sequence[Sequence[str]], written: Sequence[int]
    ) -> list[str]:
        """Name predicted token ids.

        Args:
            ids: Predicted ids.
            inputs: The input of each.
            written: The number of output tokens before each.

        Returns:
            The tokens; "EOS" for the end, which without EOS is wherever an output has its length.
        """
        lengths = self.task.count_output_tokens(inputs)
        if lengths is None:
            return [EOS if i == self.task.eos else self.token(i) for i in ids]
        return [
            EOS if t >= length else self.token(i)
            for i, t, length in zip(ids, written, lengths, strict=True)
        ]

    def token(self, i: int) -> str:
        """Name a token id.

        Args:
            i: The id.

        Returns:
            The token, or `<i>` for an id that the task does not know.
        """
        return self._names.get(i) or f"<{i}>"

    def _bind_hooks(self, hooks: Sequence[Hook]) -> decoding.Forward:
        return lambda ids: self.run_with_hooks(ids, hooks)

    def _encode_prompts(
        self, inputs: Sequence[Sequence[str]], prefixes: Sequence[Sequence[str]] | None
    ) -> list[list[int]]:
        heads = [self._encode_prompt(tokens) for tokens in inputs]
        forced = prefixes or [()] * len(heads)
        if self._decoder_start is not None:
            heads = [[*head[:-1], self._decoder_start] for head in heads]
        tails = [[self._encode_token(token) for token in prefix] for prefix in forced]
        prompts = [head + tail for head, tail in zip(heads, tails, strict=True)]
        if self._layout is not None:
            self._layout.check_lengths(prompts, operation=self._operation)
        longest = max(map(len, prompts), default=0)
        if longest > self.n_ctx:
            raise self._incompatible(
                f"an input takes {longest} positions and the model has {self.n_ctx}",
                "pass shorter inputs",
            )
        return prompts

    def _encode_prompt(self, tokens: Sequence[str]) -> list[int]:
        try:
            return self.task.prompt(tokens)
        except KeyError as error:
            self.task.well_formed(tokens)  # a better error, if the tokens encode no input
            raise UnknownNameError(self._operation, str(error.args[0]), self.task.ids) from error

    def _encode_token(self, token: str) -> int:
        if token not in self.task.ids:
            raise UnknownNameError(f"{self._operation} with a forced prefix", token, self.task.ids)
        return self.task.ids[token]

    def _decode_ids(self, ids: Sequence[int], length: int | None) -> list[str]:
        if length is not None:
            end = () if len(ids) >= length else (TRUNCATED,)
            return [*map(self.token, ids), *end]
        if ids and ids[-1] == self.task.eos:
            return [self.token(i) for i in ids[:-1]]
        return [*map(self.token, ids), TRUNCATED]


def predict(
    model: nn.Module | Callable[[list[list[str]]], list[list[str]]],
    task: Task,
    inputs: Iterable[Sequence[str]],
    *,
    batch_size: int = 2048,
) -> list[list[str]]:
    """Decode a model's outputs greedily.

    Args:
        model: A hooked or a Hugging Face model, as `Adapter` takes it, or a function from a list of
            inputs to the list of their outputs.
        task: The task whose encoding the model reads and writes.
        inputs: Inputs of the task, in tokens.
        batch_size: Most rows of one forward pass.

    Returns:
        One output for each input, in tokens without EOS. An output that reaches the end of the
        context closes with "…".

    Raises:
        IncompatibleModelError: Model and task do not fit, or an input is longer than the context.
        InvalidInputError: An input is not one of the task's.
        MalformedArgumentError: The inputs are no lists of tokens.
        NonFiniteWeightsError: A weight is NaN or infinite.
    """
    operation = "predict outputs"
    check_task(task, operation)
    check_model(model, operation)
    rows = check_token_lists(inputs, operation, None)
    if isinstance(model, nn.Module):
        return Adapter(model, task).generate(rows, batch_size=batch_size)
    for tokens in rows:
        task.well_formed(tokens)
    return query_function(model, rows) if rows else []
