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
from torch import Tensor, nn

from recinterp.errors import IncompatibleModelError
from recinterp.models.architectures.decoder_only import DecoderOnly, KeyValues
from recinterp.models.architectures.encoder_decoder import EncoderDecoder, Memory
from recinterp.models.backends import native
from recinterp.models.backends.split_rows import Split

Forward = Callable[[Tensor], Tensor]  # ids (batch, pos) -> logits (batch, pos, vocab)


@dataclass(frozen=True)
class Halves:
    """How an encoder-decoder's rows divide, and the positions that each half has."""

    split: Split
    reach: int

    def check(self, prompts: Sequence[Sequence[int]], *, asked: str) -> None:
        """Raise IncompatibleModelError where the part that is read is too long."""
        longest = max((self.split.begins(prompt) for prompt in prompts), default=0)
        if longest > self.reach:
            wrong = f"an input takes {longest} positions and the encoder has {self.reach}"
            raise IncompatibleModelError(asked, wrong, "shorter inputs")


def decode(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    eos: int,
    n_ctx: int,
    forward: Forward | None = None,
    batch_size: int = 2048,
    halves: Halves | None = None,
) -> list[list[int]]:
    """What follows each prompt, up to EOS (included) or to the end of the context."""
    step = _stepper(model, forward)
    out: list[list[int]] = [[] for _ in prompts]
    for rows, ids, begins in _batches(model, prompts, batch_size, halves):
        end = n_ctx if halves is None else min(n_ctx, begins + halves.reach)
        for row, tail in zip(rows, _decode_batch(step(begins), ids, eos, end), strict=True):
            out[row] = tail
    return out


def next_ids(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    forward: Forward | None = None,
    batch_size: int = 2048,
    halves: Halves | None = None,
) -> list[int]:
    """The most likely next id after each prompt."""
    step = _stepper(model, forward)
    out = [0] * len(prompts)
    for rows, ids, begins in _batches(model, prompts, batch_size, halves):
        for row, token in zip(rows, step(begins).feed(ids).tolist(), strict=True):
            out[row] = token
    return out


def _batches(
    model: nn.Module, prompts: Sequence[Sequence[int]], size: int, halves: Halves | None
) -> Iterator[tuple[list[int], Tensor, int]]:
    # Prompts of one length share a batch: no padding, so nothing to mask. Of an encoder-decoder,
    # the decoder's part has one length too.
    device = next(model.parameters()).device
    groups: dict[tuple[int, int], list[int]] = {}
    for row, prompt in enumerate(prompts):
        begins = 0 if halves is None else halves.split.begins(prompt)
        groups.setdefault((len(prompt), begins), []).append(row)
    for (_, begins), group in groups.items():
        for start in range(0, len(group), size):
            rows = group[start : start + size]
            yield rows, torch.tensor([prompts[row] for row in rows], device=device), begins


@torch.no_grad()
def _decode_batch(step: _Step, ids: Tensor, eos: int, n_ctx: int) -> list[list[int]]:
    batch, length = ids.shape
    done = torch.full((batch, n_ctx - length + 1), -1, dtype=torch.long, device=ids.device)
    alive = torch.arange(batch, device=ids.device)
    for t in range(done.shape[1]):
        token = step.feed(ids)
        done[alive, t] = token
        going = token != eos
        if not bool(going.all()):
            alive, token = alive[going], token[going]
            step.keep(going.nonzero()[:, 0])
        if not len(alive):
            break
        ids = token[:, None]
    return [[i for i in row if i >= 0] for row in done.tolist()]


class _Step:
    """Reads ids on top of what it has read, and says the next one."""

    def feed(self, ids: Tensor) -> Tensor:
        raise NotImplementedError

    def keep(self, rows: Tensor) -> None:
        raise NotImplementedError


class _Cached(_Step):
    def __init__(self, plain: DecoderOnly) -> None:
        self.plain, self.cache = plain, KeyValues(plain.shape.n_layers)

    @torch.no_grad()
    def feed(self, ids: Tensor) -> Tensor:
        tree = _prefixes(ids) if ids.shape[1] > 1 else None
        if tree is None:
            return self._say(ids)
        for parents, tokens in tree.levels:
            self.cache.keep(parents)
            said = self._say(tokens[:, None])
        self.cache.keep(tree.rows)
        return said[tree.rows]

    def _say(self, ids: Tensor) -> Tensor:
        return self.plain.logits_at(self.plain.residual(ids, self.cache)[:, -1]).argmax(-1)

    def keep(self, rows: Tensor) -> None:
        self.cache.keep(rows)


@dataclass(frozen=True)
class _Prefixes:
    """The distinct prefixes of a batch, level by level: (row of the parent, last token)."""

    levels: tuple[tuple[Tensor, Tensor], ...]
    rows: Tensor  # of each input, among the last level


def _prefixes(ids: Tensor) -> _Prefixes | None:
    """Prefixes to be read once each; None where too few are shared for that to pay.

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
    return _Prefixes(tuple(levels), place)


class _Full(_Step):
    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self.read: Tensor | None = None

    @torch.no_grad()
    def feed(self, ids: Tensor) -> Tensor:
        self.read = ids if self.read is None else torch.cat([self.read, ids], dim=1)
        return self.forward(self.read)[:, -1].argmax(-1)

    def keep(self, rows: Tensor) -> None:
        assert self.read is not None
        self.read = self.read[rows]


class _CachedPair(_Step):
    """The encoder runs once, with the first ids; after that only the decoder does."""

    def __init__(self, pair: EncoderDecoder, begins: int) -> None:
        self.pair, self.begins, self.cache = pair, begins, KeyValues(pair.shape.n_layers)
        self.memory: Memory | None = None

    @torch.no_grad()
    def feed(self, ids: Tensor) -> Tensor:
        if self.memory is None:
            self.memory, ids = self.pair.read(ids[:, : self.begins]), ids[:, self.begins :]
        stream = self.pair.write(ids, self.memory, cache=self.cache)[0]
        return self.pair.logits_at(stream.view(*ids.shape, -1)[:, -1]).argmax(-1)

    def keep(self, rows: Tensor) -> None:
        self.cache.keep(rows)
        self.memory = [(k[rows], v[rows]) for k, v in self.memory or ()]


class _TheirPair(_Step):
    """A Hugging Face encoder-decoder with its own cache, the encoder run once."""

    def __init__(self, model: nn.Module, begins: int) -> None:
        self.model, self.begins = cast(Any, model), begins
        self.read: Any = None
        self.past: Any = None

    @torch.no_grad()
    def feed(self, ids: Tensor) -> Tensor:
        if self.read is None:
            with evaluating(self.model):
                self.read = self.model.get_encoder()(input_ids=ids[:, : self.begins])
            ids = ids[:, self.begins :]
        with evaluating(self.model):
            said = self.model(
                encoder_outputs=self.read,
                decoder_input_ids=ids,
                past_key_values=self.past,
                use_cache=True,
            )
        self.past = said.past_key_values
        return cast(Tensor, said.logits[:, -1].argmax(-1))

    def keep(self, rows: Tensor) -> None:
        self.past.batch_select_indices(rows)
        self.read.last_hidden_state = self.read.last_hidden_state[rows]


def _stepper(model: nn.Module, forward: Forward | None) -> Callable[[int], _Step]:
    """What decodes, told where an encoder-decoder's output begins."""
    plain = None if forward else stand_in(model)
    if isinstance(plain, EncoderDecoder):
        return lambda begins: _CachedPair(plain, begins)
    if plain is not None:
        return lambda begins: _Cached(plain)
    theirs = None if forward or _has_hooks(model) else model.__dict__.get("original")
    if theirs is not None:
        return lambda begins: _TheirPair(theirs, begins)
    own = forward or _own_forward(model)
    return lambda begins: _Full(own)


def _own_forward(model: nn.Module) -> Forward:
    def run(ids: Tensor) -> Tensor:
        with evaluating(model):
            return cast(Tensor, model(ids))

    return run


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, whatever it was before afterwards."""
    training = model.training
    if training:
        model.eval()
    try:
        yield
    finally:
        if training:
            model.train()


@dataclass(frozen=True)
class _StandIn:
    state: tuple[tuple[int, int], ...]
    plain: DecoderOnly | EncoderDecoder | None


def stand_in(model: nn.Module) -> DecoderOnly | EncoderDecoder | None:
    """Plain torch with the model's weights, or None where it gives other logits than the model."""
    if _has_hooks(model):
        return None
    state = tuple((p.data_ptr(), p._version) for p in model.parameters())
    held = model.__dict__.get("_recinterp_stand_in")
    if held is None or held.state != state:  # first use, or the weights have been edited since
        held = _StandIn(state, _built(model))
        model.__dict__["_recinterp_stand_in"] = held
    return held.plain


def _has_hooks(model: nn.Module) -> bool:
    points = getattr(model, "hook_dict", {})
    return any(getattr(point, "fwd_hooks", ()) for point in points.values())


def _built(model: nn.Module) -> DecoderOnly | EncoderDecoder | None:
    shape = native.shape_of(model)
    if shape is None:
        return None
    try:
        plain = native.plain_with(shape, native.weights_of(model, shape))
    except (AttributeError, KeyError, RuntimeError, TypeError, NotImplementedError):
        return None  # another layout: the model's own forward will do
    plain = plain.to(next(model.parameters()).device)
    training = model.training
    model.eval()
    try:
        return plain if native.agrees(model, plain) else None
    finally:
        model.train(training)
