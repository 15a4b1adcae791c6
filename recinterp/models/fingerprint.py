"""A fingerprint of a model's weights, by which a saved explanation recognises its model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recinterp.models.backends import native


def fingerprint_weights(model: object) -> str:
    """A hash of a model's weights: equal for copies, different after any change.

    Args:
        model: A model, or a function from inputs to outputs.

    Returns:
        The SHA-256 of names, shapes and values, in hexadecimal. TransformerLens's two kinds of
        models have the same one where their weights are equal. Empty for a function, which has
        no weights.
    """
    if not isinstance(model, nn.Module):
        return ""
    digest = hashlib.sha256()
    for name, tensor in sorted(_read_tensors(model).items()):
        values = tensor.detach().cpu().contiguous().flatten()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(values.view(torch.uint8).numpy().tobytes() if len(values) else b"")
    return digest.hexdigest()


def _read_tensors(model: nn.Module) -> Mapping[str, Tensor]:
    """The weights under the classic names; under the model's own where it has no such names."""
    shape = native.read_shape(model)
    if shape is not None:
        try:
            return native.read_weights(model, shape)
        except (AttributeError, KeyError, RuntimeError, TypeError, NotImplementedError):
            pass  # a model of other parts
    return {k: v for k, v in model.state_dict().items() if isinstance(v, Tensor)}
