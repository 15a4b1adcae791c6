"""An encoder-decoder in plain torch: for training, and for decoding with the encoder run once.

    pair = EncoderDecoder(Shape(2, 2, 64, 32, 256, n_ctx=40, d_vocab=7, start=4))
    pair(ids)                        # (batch, pos, vocab): rows of input, start, output
    pair.export_weights()            # under the names of `hooked_encoder_decoder.py`

Rows come as the hooked model takes them; here the two halves are run apart, without the padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recinterp.models.architectures.decoder_only import KeyValueCache, PackedRows, build_norm
from recinterp.models.architectures.shape import ACTIVATIONS, Shape
from recinterp.models.architectures.weight_names import (
    export_attention,
    export_mlp,
    import_attention,
    import_mlp,
    strip_prefix,
)

KeysAndValues = tuple[
    Float[Tensor, "batch head pos d_head"], Float[Tensor, "batch head pos d_head"]
]
Memory = Sequence[KeysAndValues]  # of the encoder's output, for each layer of the decoder


class _Attention(nn.Module):
    """Queries, keys and values in one matrix, and the way out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.d_head = shape.n_heads, shape.d_head
        self.width = shape.n_heads * shape.d_head
        self.qkv = nn.Linear(shape.d_model, 3 * self.width)
        self.out = nn.Linear(self.width, shape.d_model)

    def project(
        self, x: Float[Tensor, "batch pos d_model"], start: int, stop: int
    ) -> Float[Tensor, "batch pos width"]:
        """Compute queries (0, 1), keys and values (1, 3), or all three (0, 3)."""
        rows = slice(start * self.width, stop * self.width)
        return F.linear(x, self.qkv.weight[rows], self.qkv.bias[rows])

    def split_heads(
        self, x: Float[Tensor, "batch pos width"], parts: int
    ) -> tuple[Float[Tensor, "batch head pos d_head"], ...]:
        """Split what `project` computed into its parts, and each by head."""
        batch, pos, _ = x.shape
        return x.view(batch, pos, parts, self.heads, self.d_head).permute(2, 0, 3, 1, 4).unbind(0)

    def merge_heads(
        self, z: Float[Tensor, "batch head pos d_head"]
    ) -> Float[Tensor, "batch pos width"]:
        """Put the outputs of the heads side by side."""
        return z.transpose(1, 2).flatten(2)


class _Layer(nn.Module):
    """A layer of either half: attention within the half, cross-attention if any, an MLP."""

    def __init__(self, shape: Shape, *, crosses: bool) -> None:
        super().__init__()
        self.shape = shape
        self.ln1, self.attn = build_norm(shape), _Attention(shape)
        if crosses:
            self.ln_cross, self.cross = build_norm(shape), _Attention(shape)
        if not shape.attn_only:
            self.ln2 = build_norm(shape)
            self.up = nn.Linear(shape.d_model, shape.d_mlp)
            self.down = nn.Linear(shape.d_mlp, shape.d_model)

    def apply_mlp(
        self, x: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after the MLP."""
        if self.shape.attn_only:
            return x
        return x + cast(Tensor, self.down(ACTIVATIONS[self.shape.act](self.up(self.ln2(x)))))

    def encode(
        self,
        x: Float[Tensor, "1 token d_model"],
        real: Bool[Tensor, "batch pos"] | None,
        packed: PackedRows,
    ) -> Float[Tensor, "1 token d_model"]:
        """Run a layer of the encoder; `real` marks what is not padding, None: nothing is."""
        q, k, v = self.attn.split_heads(packed.unpack(self.attn.project(self.ln1(x), 0, 3)), 3)
        seen = None if real is None else real[:, None, None]
        z = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.apply_mlp(x + self.attn.out(packed.pack(self.attn.merge_heads(z))))

    def decode(
        self,
        x: Float[Tensor, "1 token d_model"],
        memory: KeysAndValues,
        seen: Bool[Tensor, "batch 1 1 pos"] | None,
        packed: PackedRows,
        cached: tuple[KeyValueCache, int] | None,
    ) -> Float[Tensor, "1 token d_model"]:
        """Run a layer of the decoder.

        Args:
            x: The residual stream at the real positions.
            memory: Keys and values of the encoder's output.
            seen: The encoder's positions that are not padding; None: all.
            packed: Where the real positions are.
            cached: Keys and values of the output so far, and the index of this layer; or None.
        """
        q, k, v = self.attn.split_heads(packed.unpack(self.attn.project(self.ln1(x), 0, 3)), 3)
        if cached is not None:
            k, v = cached[0].extend(cached[1], k, v)
        z = F.scaled_dot_product_attention(q, k, v, is_causal=q.shape[2] > 1)
        x = x + self.attn.out(packed.pack(self.attn.merge_heads(z)))
        (q,) = self.cross.split_heads(packed.unpack(self.cross.project(self.ln_cross(x), 0, 1)), 1)
        z = F.scaled_dot_product_attention(q, *memory, attn_mask=seen)
        return self.apply_mlp(x + self.cross.out(packed.pack(self.cross.merge_heads(z))))


class EncoderDecoder(nn.Module):
    """Pre-norm encoder and decoder over one embedding; linear layers start as PyTorch does."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        assert shape.start is not None
        self.shape, self.start = shape, shape.start
        self.embed = nn.Embedding(shape.d_vocab, shape.d_model)
        if shape.positions == "learned":
            self.encoder_pos = nn.Embedding(shape.n_ctx, shape.d_model)
            self.pos = nn.Embedding(shape.n_ctx, shape.d_model)
        for table in self.list_embeddings():
            nn.init.normal_(table.weight, std=shape.d_model**-0.5)
        layers = range(shape.n_layers)
        self.encoder = nn.ModuleList(_Layer(shape, crosses=False) for _ in layers)
        self.ln_encoder = build_norm(shape)
        self.decoder = nn.ModuleList(_Layer(shape, crosses=True) for _ in layers)
        self.ln_final = build_norm(shape)
        self.unembed = nn.Linear(shape.d_model, shape.d_vocab, bias=False)

    def list_embeddings(self) -> list[nn.Embedding]:
        """The embeddings of tokens and of positions."""
        return [module for module in self.children() if isinstance(module, nn.Embedding)]

    def select_required(self, predicted: Bool[Tensor, "batch pos"]) -> Bool[Tensor, "batch pos"]:
        """The positions that must be run to predict at some: only those of a decoder."""
        return predicted

    def residual_at(
        self, ids: Int[Tensor, "batch pos"], real: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "token d_model"]:
        """The normed last stream at the real positions, which are the decoder's, row by row."""
        begins = (ids == self.start).long().argmax(1, keepdim=True)
        reads = torch.arange(int(begins.max()), device=ids.device) < begins
        memory = self.encode(ids[:, : reads.shape[1]], reads)
        place = begins + torch.arange(int((ids.shape[1] - begins).max()), device=ids.device)
        inside, place = place < ids.shape[1], place.clamp(max=ids.shape[1] - 1)
        writes = PackedRows(real.gather(1, place) & inside)
        return self.decode(ids.gather(1, place), memory, reads[:, None, None], writes)[0]

    def encode(
        self, ids: Int[Tensor, "batch pos"], real: Bool[Tensor, "batch pos"] | None = None
    ) -> Memory:
        """Run the encoder once; `real` marks what is not padding, None: nothing is."""
        every = torch.ones_like(ids, dtype=torch.bool) if real is None else real
        packed = PackedRows(every)
        x = self._embed("encoder_pos", ids, 0, packed)
        for layer in cast(Iterable[_Layer], self.encoder):
            x = layer.encode(x, real, packed)
        x = packed.unpack(self.ln_encoder(x))
        crosses = [layer.cross for layer in cast(Iterable[_Layer], self.decoder)]
        return [cast(KeysAndValues, c.split_heads(c.project(x, 1, 3), 2)) for c in crosses]

    def decode(
        self,
        ids: Int[Tensor, "batch pos"],
        memory: Memory,
        seen: Bool[Tensor, "batch 1 1 pos"] | None = None,
        packed: PackedRows | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "1 token d_model"]:
        """The decoder's normed last residual stream; with a cache, `ids` continue what it holds."""
        packed = packed or PackedRows(torch.ones_like(ids, dtype=torch.bool))
        x = self._embed("pos", ids, cache.length if cache else 0, packed)
        layers = cast(Iterable[_Layer], self.decoder)
        for number, (layer, held) in enumerate(zip(layers, memory, strict=True)):
            x = layer.decode(x, held, seen, packed, (cache, number) if cache else None)
        if cache is not None:
            cache.length += ids.shape[1]
        return cast(Tensor, self.ln_final(x))

    def _embed(
        self, table: str, ids: Int[Tensor, "batch pos"], start: int, packed: PackedRows
    ) -> Float[Tensor, "1 token d_model"]:
        x = self.embed(ids)
        if self.shape.positions == "learned":
            positions = cast(nn.Embedding, self.get_submodule(table)).weight
            x = x + positions[start : start + ids.shape[1]]
        return packed.pack(x)

    def compute_logits(self, residual: Float[Tensor, "... d_model"]) -> Float[Tensor, "... vocab"]:
        """Unembed a normed residual stream."""
        return cast(Tensor, self.unembed(residual))

    def forward(self, ids: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos vocab"]:
        """Logits of every position; zero at those of the input."""
        writes = (ids == self.start).cumsum(1) > 0
        return PackedRows(writes).unpack(self.compute_logits(self.residual_at(ids, writes))[None])

    def export_weights(self) -> dict[str, Tensor]:
        """Copies of all weights, with the hooked model's names and layouts."""
        out: dict[str, Tensor] = {}
        for ours, theirs, kind in _list_parts(self.shape):
            mine = dict(self.get_submodule(ours).named_parameters())
            part = CONVERTERS[kind][0](self.shape, mine)
            out |= {f"{theirs}.{name}": tensor for name, tensor in part.items()}
        return {name: tensor.detach().clone().contiguous() for name, tensor in out.items()}

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> EncoderDecoder:
        """Take over weights under the hooked model's names.

        Raises:
            KeyError: A weight is missing.
            RuntimeError: A weight has another size.
        """
        state: dict[str, Tensor] = {}
        for ours, theirs, kind in _list_parts(self.shape):
            part = CONVERTERS[kind][1](self.shape, strip_prefix(f"{theirs}.", weights))
            state |= {f"{ours}.{name}": tensor for name, tensor in part.items()}
        self.load_state_dict(state, strict=True)
        return self


Convert = Callable[[Shape, Mapping[str, Tensor]], dict[str, Tensor]]
# Kind of a part -> to the hooked model's names and layouts, and back.
CONVERTERS: dict[str, tuple[Convert, Convert]] = {
    "tokens": (lambda _, w: {"W_E": w["weight"]}, lambda _, w: {"weight": w["W_E"]}),
    "positions": (lambda _, w: {"W_pos": w["weight"]}, lambda _, w: {"weight": w["W_pos"]}),
    "norm": (
        lambda _, w: {"w": w["weight"], "b": w["bias"]},
        lambda _, w: {"weight": w["w"], "bias": w["b"]},
    ),
    "attention": (export_attention, import_attention),
    "mlp": (lambda _, w: export_mlp(w), lambda _, w: import_mlp(w)),
    "unembed": (lambda _, w: {"W_U": w["weight"].T}, lambda _, w: {"weight": w["W_U"].T}),
}


def _list_parts(shape: Shape) -> Iterator[tuple[str, str, str]]:
    """Name each part that has weights: here, in the hooked model, and its kind."""
    yield "embed", "embed", "tokens"
    yield "unembed", "unembed", "unembed"
    if shape.positions == "learned":
        yield "encoder_pos", "encoder_pos_embed", "positions"
        yield "pos", "decoder_pos_embed", "positions"
    norms = [("ln_encoder", "encoder_final_ln"), ("ln_final", "decoder_final_ln")]
    for number in range(shape.n_layers):
        for half, last in (("encoder", "ln2"), ("decoder", "ln3")):
            layer = f"{half}.{number}"
            yield f"{layer}.attn", f"{layer}.attn", "attention"
            norms.append((f"{layer}.ln1", f"{layer}.ln1"))
            if not shape.attn_only:
                yield layer, f"{layer}.mlp", "mlp"
                norms.append((f"{layer}.ln2", f"{layer}.{last}"))
        yield f"decoder.{number}.cross", f"decoder.{number}.cross_attn", "attention"
        norms.append((f"decoder.{number}.ln_cross", f"decoder.{number}.ln2"))
    if shape.norm == "LN":
        yield from ((ours, theirs, "norm") for ours, theirs in norms)


def encoder_decoder_with_weights(shape: Shape, weights: Mapping[str, Tensor]) -> EncoderDecoder:
    """Build a model with given weights; the caller's random generator stays untouched."""
    with torch.random.fork_rng(devices=[]):
        pair = EncoderDecoder(shape)
    return pair.load_weights(weights).eval()
