"""Every split of inputs into parts, each a public function of the input itself or of a seed.

| function | parts | for |
| --- | --- | --- |
| `held_out` | 1 in 5 held out | no machine is built from these; fidelity is measured on them |
| `in_fit_split` | 2 in 3 fitted on | subspaces and forced-prefix rules; evaluated on the others |
| `in_selection_split` | 2 in 5 selected by | a variable's site, reported on the others |
| `validation_folds` | folds of equal size | how many leaves a guard tree may have |
| `validation_indices` | 1 in 4 | whether a machine merged from logs holds |
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from jaxtyping import Int

FIT_PARTS, FIT_OF = 2, 3  # of three inputs, two are fitted on


def held_out(tokens: Sequence[str]) -> bool:
    """Whether an input is held out of every fit: 1 in 5, by the blake2b hash of its tokens."""
    digest = blake2b("\x1f".join(tokens).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 5 == 0


def in_fit_split(tokens: Sequence[str]) -> bool:
    """Whether what is fitted to a model's activations may use an input; the others evaluate it."""
    return _crc32_checksum(tokens) % FIT_OF < FIT_PARTS


def in_selection_split(tokens: Sequence[str]) -> bool:
    """Whether an input may choose among sites; on the others the chosen site is reported."""
    return _crc32_checksum(tokens) % 5 < 2


def validation_folds(count: int, folds: int, seed: int) -> Int[np.ndarray, "count"]:
    """The fold, 0 to folds - 1, of each of `count` items, shuffled by the seed."""
    return np.random.default_rng(seed).permutation(count) % folds


def validation_indices(count: int, seed: int) -> frozenset[int]:
    """The indices, 1 in 4 of `count`, on which a machine merged from the others is validated."""
    return frozenset(random.Random(seed).sample(range(count), count // 4))


def _crc32_checksum(tokens: Sequence[str]) -> int:
    return zlib.crc32(" ".join(tokens).encode())
