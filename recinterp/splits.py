"""Which inputs are kept for the judge: a public hash of the input, so that nobody can tune it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

ONE_IN = 5


def held_out(tokens: Sequence[str]) -> bool:
    """Whether an input is held out of every fit: 1 in 5, by the blake2b hash of its tokens."""
    digest = blake2b("\x1f".join(tokens).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % ONE_IN == 0
