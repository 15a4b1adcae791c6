"""Greedy decoding with cached keys and values, checked against the model's own forward.

TransformerLens's own generation gives wrong tokens with its cache (3.9) or has none (4.x). Where
plain torch cannot stand in for a model, or hooks are attached, every step is a full forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recinterp.models import backend
from recinterp.models.plain import KeyValues, Plain
from recinterp.models.plain_pair import Memory, PlainPair

Forward = Callable[[Tensor], Tensor]  # ids (batch, pos) -> logits (batch, pos, vocab)


def decode(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    eos: int,
    n_ctx: int,
    forward: Forward | None = None,
    batch_size: int = 2048,
) -> list[list[int]]:
    """What follows each prompt, up to EOS (included) or to the end of the context."""
    step, mark = _stepper(model, forward)
    out: list[list[int]] = [[] for _ in prompts]
    for rows, ids in _batches(model, prompts, batch_size, mark):
        for row, tail in zip(rows, _decode_batch(step(), ids, eos, n_ctx), strict=True):
            out[row] = tail
    return out


def next_ids(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    forward: Forward | None = None,
    batch_size: int = 2048,
) -> list[int]:
    """The most likely next id after each prompt."""
    step, mark = _stepper(model, forward)
    out = [0] * len(prompts)
    for rows, ids in _batches(model, prompts, batch_size, mark):
        for row, token in zip(rows, step().feed(ids).tolist(), strict=True):
            out[row] = token
    return out


def _batches(
    model: nn.Module, prompts: Sequence[Sequence[int]], size: int, mark: int | None
) -> Iterator[tuple[list[int], Tensor]]:
    # Prompts of one length share a batch: no padding, so nothing to mask. Of an encoder-decoder,
    # the decoder's part, which begins at `mark`, has one length too.
    device = next(model.parameters()).device
    groups: dict[tuple[int, int], list[int]] = {}
    for row, prompt in enumerate(prompts):
        begins = 0 if mark is None else list(prompt).index(mark)
        groups.setdefault((len(prompt), begins), []).append(row)
    for group in groups.values():
        for start in range(0, len(group), size):
            rows = group[start : start + size]
            yield rows, torch.tensor([prompts[row] for row in rows], device=device)


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
    def __init__(self, plain: Plain) -> None:
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

    def __init__(self, pair: PlainPair) -> None:
        self.pair, self.cache = pair, KeyValues(pair.shape.n_layers)
        self.memory: Memory | None = None

    @torch.no_grad()
    def feed(self, ids: Tensor) -> Tensor:
        if self.memory is None:
            begins = ids[0].tolist().index(self.pair.start)
            self.memory, ids = self.pair.read(ids[:, :begins]), ids[:, begins:]
        stream = self.pair.write(ids, self.memory, cache=self.cache)[0]
        return self.pair.logits_at(stream.view(*ids.shape, -1)[:, -1]).argmax(-1)

    def keep(self, rows: Tensor) -> None:
        self.cache.keep(rows)
        self.memory = [(k[rows], v[rows]) for k, v in self.memory or ()]


def _stepper(model: nn.Module, forward: Forward | None) -> tuple[Callable[[], _Step], int | None]:
    """What decodes, and the id at which an encoder-decoder's rows divide."""
    plain = None if forward else stand_in(model)
    if isinstance(plain, PlainPair):
        return lambda: _CachedPair(plain), plain.start
    if plain is not None:
        return lambda: _Cached(plain), None
    own = forward or _own_forward(model)
    return lambda: _Full(own), None


def _own_forward(model: nn.Module) -> Forward:
    def run(ids: Tensor) -> Tensor:
        training = model.training
        model.eval()
        try:
            return model(ids)
        finally:
            model.train(training)

    return run


@dataclass(frozen=True)
class _StandIn:
    state: tuple[tuple[int, int], ...]
    plain: Plain | PlainPair | None


def stand_in(model: nn.Module) -> Plain | PlainPair | None:
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


def _built(model: nn.Module) -> Plain | PlainPair | None:
    shape = backend.shape_of(model)
    if shape is None:
        return None
    try:
        plain = backend.plain_with(shape, backend.weights_of(model, shape))
    except (AttributeError, KeyError, RuntimeError, TypeError, NotImplementedError):
        return None  # another layout: the model's own forward will do
    plain = plain.to(next(model.parameters()).device)
    training = model.training
    model.eval()
    try:
        return plain if backend.agrees(model, plain) else None
    finally:
        model.train(training)
