"""Greedy decoding with cached keys and values, checked against the model's own forward.

TransformerLens's own generation gives wrong tokens with its cache (3.9) or has none (4.x). Where
plain torch cannot stand in for a model, or hooks are attached, every step is a full forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recinterp.errors import IncompatibleModelError
from recinterp.models.architectures.decoder_only import DecoderOnly, KeyValueCache
from recinterp.models.architectures.encoder_decoder import EncoderDecoder, Memory
from recinterp.models.backends import native
from recinterp.models.backends.split_rows import RowSplit
from recinterp.models.backends.transformer_lens import has_user_hooks

Forward = Callable[[Int[Tensor, "batch pos"]], Float[Tensor, "batch pos vocab"]]
NextIds = Int[Tensor, "batch"]


@dataclass(frozen=True)
class EncoderDecoderLayout:
    """How the rows of an encoder-decoder divide.

    Attributes:
        split: Where a row divides.
        max_positions: Most positions of each half.
    """

    split: RowSplit
    max_positions: int

    def check_lengths(self, prompts: Sequence[Sequence[int]], *, operation: str) -> None:
        """Raise IncompatibleModelError where the encoder's part of a prompt is too long."""
        longest = max((self.split.find_start(prompt) for prompt in prompts), default=0)
        if longest > self.max_positions:
            problem = f"an input takes {longest} positions and the encoder has {self.max_positions}"
            raise IncompatibleModelError(operation, problem, "pass shorter inputs")


def decode_greedily(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    eos: int | None,
    n_ctx: int,
    lengths: Sequence[int] | None = None,
    forward: Forward | None = None,
    batch_size: int = 2048,
    layout: EncoderDecoderLayout | None = None,
) -> list[list[int]]:
    """Decode each prompt greedily, up to EOS (included) or to the end of the context.

    Args:
        model: A hooked model.
        prompts: Token ids of each prompt.
        eos: The id that ends an output; None if there is none.
        n_ctx: Most positions of a row.
        lengths: Most ids to decode for each prompt; None: as many as the context holds.
        forward: What computes the logits; None: the model, as fast as can be.
        batch_size: Most rows of one forward pass.
        layout: How rows divide; None of a decoder-only model.

    Returns:
        The ids that follow each prompt.
    """
    start_steps = _choose_steps(model, forward)
    out: list[list[int]] = [[] for _ in prompts]
    for rows, ids, begins in _batch_by_length(model, prompts, batch_size, layout):
        end = n_ctx if layout is None else min(n_ctx, begins + layout.max_positions)
        room = end - ids.shape[1] + 1
        limits = torch.tensor(
            [room if lengths is None else min(lengths[row], room) for row in rows],
            device=ids.device,
        )
        decoded = _decode_batch(start_steps(begins), ids, eos, limits)
        for row, tail in zip(rows, decoded, strict=True):
            out[row] = tail
    return out


def predict_next_ids(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    forward: Forward | None = None,
    batch_size: int = 2048,
    layout: EncoderDecoderLayout | None = None,
) -> list[int]:
    """The most likely next id after each prompt; arguments as of `decode_greedily`."""
    start_steps = _choose_steps(model, forward)
    out = [0] * len(prompts)
    for rows, ids, begins in _batch_by_length(model, prompts, batch_size, layout):
        for row, token in zip(rows, start_steps(begins).predict_next(ids).tolist(), strict=True):
            out[row] = token
    return out


def _batch_by_length(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    size: int,
    layout: EncoderDecoderLayout | None,
) -> Iterator[tuple[list[int], Int[Tensor, "batch pos"], int]]:
    # Prompts of one length share a batch: no padding, so nothing to mask. Of an encoder-decoder,
    # the decoder's part has one length too.
    device = next(model.parameters()).device
    groups: dict[tuple[int, int], list[int]] = {}
    for row, prompt in enumerate(prompts):
        begins = 0 if layout is None else layout.split.find_start(prompt)
        groups.setdefault((len(prompt), begins), []).append(row)
    for (_, begins), group in groups.items():
        for start in range(0, len(group), size):
            rows = group[start : start + size]
            yield rows, torch.tensor([prompts[row] for row in rows], device=device), begins


@torch.no_grad()
def _decode_batch(
    steps: _Steps, ids: Int[Tensor, "batch pos"], eos: int | None, limits: Int[Tensor, "batch"]
) -> list[list[int]]:
    batch, longest = len(ids), max(int(limits.max()), 0)
    done = torch.full((batch, longest), -1, dtype=torch.long, device=ids.device)
    unfinished = torch.arange(batch, device=ids.device)
    for t in range(longest):
        token = steps.predict_next(ids)
        done[unfinished, t] = torch.where(limits[unfinished] > t, token, -1)
        going = limits[unfinished] > t + 1
        if eos is not None:
            going &= token != eos
        if not bool(going.all()):
            unfinished, token = unfinished[going], token[going]
            steps.select_rows(going.nonzero()[:, 0])
        if not len(unfinished):
            break
        ids = token[:, None]
    return [[i for i in row if i >= 0] for row in done.tolist()]


class _Steps:
    """Reads ids after those it has read, and predicts the next one."""

    def predict_next(self, ids: Int[Tensor, "batch pos"]) -> NextIds:
        raise NotImplementedError

    def select_rows(self, rows: Int[Tensor, "row"]) -> None:
        raise NotImplementedError


class _CachedSteps(_Steps):
    def __init__(self, plain: DecoderOnly) -> None:
        self.plain, self.cache = plain, KeyValueCache(plain.shape.n_layers)

    @torch.no_grad()
    def predict_next(self, ids: Int[Tensor, "batch pos"]) -> NextIds:
        tree = _build_prefix_tree(ids) if ids.shape[1] > 1 else None
        if tree is None:
            return self._predict(ids)
        for parents, tokens in tree.levels:
            self.cache.select_rows(parents)
            predicted = self._predict(tokens[:, None])
        self.cache.select_rows(tree.rows)
        return predicted[tree.rows]

    def _predict(self, ids: Int[Tensor, "batch pos"]) -> NextIds:
        return self.plain.compute_logits(self.plain.residual(ids, self.cache)[:, -1]).argmax(-1)

    def select_rows(self, rows: Int[Tensor, "row"]) -> None:
        self.cache.select_rows(rows)


@dataclass(frozen=True)
class _PrefixTree:
    """The distinct prefixes of a batch, by length.

    Attributes:
        levels: For each length, the row of each prefix's parent among the prefixes that are one
            token shorter, and its last token.
        rows: The row of each input among the last level.
    """

    levels: tuple[tuple[Int[Tensor, "prefix"], Int[Tensor, "prefix"]], ...]
    rows: Int[Tensor, "batch"]


def _build_prefix_tree(ids: Int[Tensor, "batch pos"]) -> _PrefixTree | None:
    """Find the prefixes to read once each; None where too few are shared for that to pay.

    Exhaustive sets share nearly all of them: all inputs of a length have but twice as many.
    """
    batch, length = ids.shape
    place = torch.zeros(batch, dtype=torch.long, device=ids.device)
    levels, width = [], int(ids.max()) + 1
    for column in ids.T:
        codes, place = (place * width + column).unique(return_inverse=True)
        levels.append((codes // width, codes % width))
    if 2 * sum(len(tokens) for _, tokens in levels) > batch * length:
        return None
    return _PrefixTree(tuple(levels), place)


class _UncachedSteps(_Steps):
    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self.read: Int[Tensor, "batch pos"] | None = None

    @torch.no_grad()
    def predict_next(self, ids: Int[Tensor, "batch pos"]) -> NextIds:
        self.read = ids if self.read is None else torch.cat([self.read, ids], dim=1)
        return self.forward(self.read)[:, -1].argmax(-1)

    def select_rows(self, rows: Int[Tensor, "row"]) -> None:
        assert self.read is not None
        self.read = self.read[rows]


class _CachedEncoderDecoderSteps(_Steps):
    """The encoder runs once, with the first ids; after that only the decoder does."""

    def __init__(self, pair: EncoderDecoder, begins: int) -> None:
        self.pair, self.begins, self.cache = pair, begins, KeyValueCache(pair.shape.n_layers)
        self.memory: Memory | None = None

    @torch.no_grad()
    def predict_next(self, ids: Int[Tensor, "batch pos"]) -> NextIds:
        if self.memory is None:
            self.memory, ids = self.pair.encode(ids[:, : self.begins]), ids[:, self.begins :]
        stream = self.pair.decode(ids, self.memory, cache=self.cache)[0]
        return self.pair.compute_logits(stream.view(*ids.shape, -1)[:, -1]).argmax(-1)

    def select_rows(self, rows: Int[Tensor, "row"]) -> None:
        self.cache.select_rows(rows)
        self.memory = [(k[rows], v[rows]) for k, v in self.memory or ()]


class _HuggingFaceSteps(_Steps):
    """A Hugging Face encoder-decoder with its own cache, the encoder run once."""

    def __init__(self, model: nn.Module, begins: int) -> None:
        self.model, self.begins = cast(Any, model), begins
        self.read: Any = None
        self.past: Any = None

    @torch.no_grad()
    def predict_next(self, ids: Int[Tensor, "batch pos"]) -> NextIds:
        if self.read is None:
            with evaluation_mode(self.model):
                self.read = self.model.get_encoder()(input_ids=ids[:, : self.begins])
            ids = ids[:, self.begins :]
        with evaluation_mode(self.model):
            predicted = self.model(
                encoder_outputs=self.read,
                decoder_input_ids=ids,
                past_key_values=self.past,
                use_cache=True,
            )
        self.past = predicted.past_key_values
        return cast(Tensor, predicted.logits[:, -1].argmax(-1))

    def select_rows(self, rows: Int[Tensor, "row"]) -> None:
        self.past.batch_select_indices(rows)
        self.read.last_hidden_state = self.read.last_hidden_state[rows]


def _choose_steps(model: nn.Module, forward: Forward | None) -> Callable[[int], _Steps]:
    """Choose how to decode; the result is called with the start of an encoder-decoder's output."""
    plain = None if forward else get_stand_in(model)
    if isinstance(plain, EncoderDecoder):
        return lambda begins: _CachedEncoderDecoderSteps(plain, begins)
    if plain is not None:
        return lambda begins: _CachedSteps(plain)
    theirs = None if forward or _has_hooks(model) else model.__dict__.get("original")
    if theirs is not None:
        return lambda begins: _HuggingFaceSteps(theirs, begins)
    own = forward or _own_forward(model)
    return lambda begins: _UncachedSteps(own)


def _own_forward(model: nn.Module) -> Forward:
    def run(ids: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos vocab"]:
        with evaluation_mode(model):
            return cast(Tensor, model(ids))

    return run


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode, and back afterwards."""
    training = model.training
    if training:
        model.eval()
    try:
        yield
    finally:
        if training:
            model.train()


@dataclass(frozen=True)
class _CachedStandIn:
    state: tuple[tuple[int, int], ...]
    plain: DecoderOnly | EncoderDecoder | None


def get_stand_in(model: nn.Module) -> DecoderOnly | EncoderDecoder | None:
    """Plain torch with the model's weights; None where its logits are not the model's."""
    if _has_hooks(model):
        return None
    state = tuple((p.data_ptr(), p._version) for p in model.parameters())
    cached = model.__dict__.get("_recinterp_stand_in")
    if cached is None or cached.state != state:  # first use, or the weights have been edited since
        cached = _CachedStandIn(state, _build_stand_in(model))
        model.__dict__["_recinterp_stand_in"] = cached
    return cached.plain


def _has_hooks(model: nn.Module) -> bool:
    return has_user_hooks(getattr(model, "hook_dict", {}).values())


def _build_stand_in(model: nn.Module) -> DecoderOnly | EncoderDecoder | None:
    shape = native.read_shape(model)
    if shape is None:
        return None
    try:
        plain = native.build_plain(shape, native.read_weights(model, shape))
    except (AttributeError, KeyError, RuntimeError, TypeError, NotImplementedError):
        return None  # another layout: the model's own forward will do
    plain = plain.to(next(model.parameters()).device)
    training = model.training
    model.eval()
    try:
        return plain if native.logits_agree(model, plain) else None
    finally:
        model.train(training)
