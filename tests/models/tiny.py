"""A tiny recipe and random weights, for the tests of models and of what reads them."""

from __future__ import annotations

import torch

from recinterp.models.architectures.decoder_only import DecoderOnly
from recinterp.models.architectures.encoder_decoder import EncoderDecoder
from recinterp.models.architectures.shape import Shape

TINY = {"max_length": 5, "d_model": 16, "batch_size": 16, "warmup": 5, "save_every": 10}


def random_weights(shape: Shape, seed: int = 0) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pair = shape.kind == "encoder-decoder"
        weights = (EncoderDecoder(shape) if pair else DecoderOnly(shape)).export_weights()
        # Biases and gains start at constants: drawn, so that mixing two of them up is seen.
        return {
            name: tensor if name == "unembed.b_U" else tensor + 0.1 * torch.randn_like(tensor)
            for name, tensor in weights.items()
        }
