"""An encoder-decoder as one stack of blocks, so that code for numbered blocks works on it.

Encoder layers come first. A decoder layer is two blocks: self-attention, then cross-attention. With
two layers each, as (block, name, place of the layer):

    0  E0  encoder.0    2  D0  decoder.0.attn         4  D1  decoder.1.attn
    1  E1  encoder.1    3  X0  decoder.0.cross_attn   5  X1  decoder.1.cross_attn

    resolve_hook("blocks.3.attn.hook_z", (2, 2))  # "decoder.0.cross_attn.hook_z"
    list_block_names((2, 2))                         # ("E0", "E1", "D0", "X0", "D1", "X1")

The MLP of a decoder layer belongs to its second block. Heads are named E0H1, D1H0, X1H0.
"""

from __future__ import annotations

from collections.abc import Collection

LayerCounts = tuple[int, int]  # of the encoder and of the decoder


def list_block_names(layers: LayerCounts) -> tuple[str, ...]:
    """Name the blocks of an encoder-decoder."""
    encoder = (f"E{layer}" for layer in range(layers[0]))
    return (*encoder, *(f"{kind}{layer}" for layer in range(layers[1]) for kind in "DX"))


def resolve_hook(name: str, layers: LayerCounts) -> str:
    """The model's own name of the hook point `blocks.i.…`; other names are returned as they are."""
    start, _, rest = name.partition(".")
    number, _, end = rest.partition(".")
    blocks = list_block_names(layers)
    if start != "blocks" or not number.isdigit() or int(number) >= len(blocks):
        return name
    which = blocks[int(number)]
    place = f"{'encoder' if which[0] == 'E' else 'decoder'}.{which[1:]}"
    if which[0] == "D":
        end = "hook_resid_mid" if end == "hook_resid_post" else end
        return name if end.startswith(("mlp", "hook_mlp")) else f"{place}.{end}"
    if which[0] == "X":
        crossed = {
            "hook_resid_pre": "hook_resid_mid",
            "hook_attn_out": "hook_cross_attn_out",
            "hook_resid_mid": "hook_resid_mid_cross",
        }
        end = f"cross_{end}" if end.startswith("attn.") else crossed.get(end, end)
    return f"{place}.{end}"


def list_hooks(layers: LayerCounts, known: Collection[str]) -> tuple[str, ...]:
    """List the hook points by block, as `blocks.i.…`, that the model has.

    Args:
        layers: Layers of the encoder and of the decoder.
        known: The model's own names of its hook points.
    """
    kinds = [f"attn.hook_{part}" for part in ("q", "k", "v", "attn_scores", "pattern", "z")]
    kinds += ["hook_resid_pre", "hook_attn_out", "hook_resid_mid", "hook_mlp_out"]
    kinds += ["hook_resid_post", "mlp.hook_pre", "mlp.hook_post"]
    names = [
        f"blocks.{block}.{kind}"
        for block, name in enumerate(list_block_names(layers))
        for kind in kinds
        if name[0] != "D" or kind != "hook_resid_mid"
    ]
    return tuple(name for name in names if resolve_hook(name, layers) in known)
