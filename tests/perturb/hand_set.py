"""Transformers with weights set by hand, whose algorithm is therefore known, and a task for them.

Inputs are words of LENGTH letters. At output t the query stands at position LENGTH + t, and head
L0H0 looks at the input position it is told to (t, or LENGTH-1-t); head L0H1 writes nothing.

    copy      output t is input t
    reverse   output t is input LENGTH-1-t
    parity    output t is b if input t and output t-1 differ, else a: the state is in the output
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from recinterp.errors import InvalidInputError
from recinterp.machine import Machine
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends.native import build_hooked

LENGTH, SHARP = 5, 40.0
N_CTX = 2 * LENGTH + 2


@dataclass(frozen=True)
class Words:
    """Words of LENGTH letters, in a task's clothes; `kind` as above."""

    kind: str = "copy"
    constructors: tuple[str, ...] = ("a", "b")
    ids: dict[str, int] = field(hash=False, default_factory=dict)
    name: str = "words"
    template: str = "{input}{sep}{output}{eos}"

    def __post_init__(self) -> None:
        names = (*self.constructors, "PAD", "BOS", "SEP", "EOS")
        self.ids.update({token: i for i, token in enumerate(names)})

    pad = property(lambda self: self.ids["PAD"])
    sep = property(lambda self: self.ids["SEP"])
    eos = property(lambda self: self.ids["EOS"])

    def prompt(self, tokens: Sequence[str]) -> list[int]:
        return [*(self.ids[x] for x in tokens), self.sep]

    def count_output_tokens(self, inputs: Sequence[Sequence[str]]) -> None:
        """Outputs end with EOS."""

    def apply(self, tokens: Sequence[str]) -> list[str]:
        if self.kind != "parity":
            return list(tokens if self.kind == "copy" else reversed(tokens))
        odd = itertools.accumulate((x == "b" for x in tokens), lambda a, b: a != b)
        return ["b" if x else "a" for x in odd]

    def well_formed(self, tokens: Sequence[str]) -> None:
        if len(tokens) != LENGTH or not set(tokens) <= set(self.constructors):
            raise InvalidInputError("a word", "it is none")

    def inputs(self, max_length: int) -> Iterator[list[str]]:
        yield from map(list, itertools.product(self.constructors, repeat=LENGTH))

    def sample(self, n: int, seed: int = 0, max_length: int = LENGTH) -> list[list[str]]:
        rng = random.Random(seed)
        return [[rng.choice(self.constructors) for _ in range(LENGTH)] for _ in range(n)]


def planted(task: Words, n_layers: int = 1) -> nn.Module:
    """The hooked model, of whichever backend is installed; layers after the first do nothing."""
    v = len(task.ids)
    token, place, read, out = (slice(*ends) for ends in _blocks(v))
    width = 2 * ((3 * v + N_CTX + 1) // 2)
    shape = Shape(n_layers, 2, width, width // 2, 16, N_CTX, v, norm="none")
    weights = _zeros(shape)
    weights["embed.W_E"][:, token] = torch.eye(v)
    weights["pos_embed.W_pos"][:, place] = torch.eye(N_CTX)
    for t in range(LENGTH + 1):
        target = LENGTH if t == LENGTH else LENGTH - 1 - t if task.kind == "reverse" else t
        weights["blocks.0.attn.W_Q"][0, place.start + LENGTH + t, target] = SHARP
    for p in range(N_CTX):
        weights["blocks.0.attn.W_K"][0, place.start + p, p] = SHARP
    weights["blocks.0.attn.W_V"][0, token, :v] = torch.eye(v)
    weights["blocks.0.attn.W_O"][0, :v, read] = torch.eye(v)
    weights["unembed.W_U"][out] = SHARP * torch.eye(v)
    _decide(task, weights, token.start, read.start, out.start)
    return build_hooked(shape, weights)


def _blocks(v: int) -> list[tuple[int, int]]:
    ends = [0, v, v + N_CTX, 2 * v + N_CTX, 3 * v + N_CTX]
    return list(itertools.pairwise(ends))


def _decide(task: Words, weights: dict[str, torch.Tensor], token: int, read: int, out: int) -> None:
    """The MLP: one hidden unit for each (token read, token before) that decides the output."""
    ids, into, onto = task.ids, weights["blocks.0.mlp.W_in"], weights["blocks.0.mlp.W_out"]
    rules = [((ids["SEP"],), "EOS")]
    if task.kind == "parity":
        for one, before in itertools.product("ab", ("a", "b", "SEP")):
            odd = (one == "b") != (before == "b")
            rules.append(((ids[one], ids[before]), "b" if odd else "a"))
    else:
        rules += [((ids[x],), x) for x in task.constructors]
    for unit, (reads, says) in enumerate(rules):
        into[read + reads[0], unit] = 1.0
        if len(reads) > 1:
            into[token + reads[1], unit] = 1.0
            weights["blocks.0.mlp.b_in"][unit] = -1.0
        onto[unit, out + ids[says]] = 1.0


def _zeros(shape: Shape) -> dict[str, torch.Tensor]:
    from recinterp.models.architectures.decoder_only import DecoderOnly

    return {name: torch.zeros_like(w) for name, w in DecoderOnly(shape).export_weights().items()}


COPY = """vocab a/0 b/0
start run
registers p := 0
mode run
  same: in(p) in {a, b} -> emit in(p), p := p + 1, goto run
  end: in(p) = $ -> halt
"""
PARITY = """vocab a/0 b/0
start even
registers p := 0
mode even
  ea: in(p) = a -> emit a, p := p + 1, goto even
  eb: in(p) = b -> emit b, p := p + 1, goto odd
  ee: in(p) = $ -> halt
mode odd
  oa: in(p) = a -> emit b, p := p + 1, goto odd
  ob: in(p) = b -> emit a, p := p + 1, goto even
  oe: in(p) = $ -> halt
"""


def machine(task: Words) -> Machine:
    """The machine the model was built from."""
    return Machine.parse(PARITY if task.kind == "parity" else COPY)
