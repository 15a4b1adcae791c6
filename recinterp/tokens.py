"""Special tokens, the aliases for sequences of tokens, and where two sequences differ.

| name | token | where it stands |
| --- | --- | --- |
| `EOS` | `EOS` | ends an output; a model writes it, a decoded output does not contain it |
| `TRUNCATED` | `…` | closes an output that was cut because it did not end |
| `END_OF_INPUT` | `$` | what a machine reads outside the input, or before the output |
| `ARG_SEP` | `,` | between the arguments of an input |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

EOS = "EOS"
TRUNCATED = "…"
END_OF_INPUT = "$"
ARG_SEP = ","

Tokens: TypeAlias = list[str]
TokenTuple: TypeAlias = tuple[str, ...]


def first_difference(a: Sequence[str], b: Sequence[str]) -> int | None:
    """The first index at which two sequences of tokens differ; None where they are equal.

    >>> first_difference(["X0", "01"], ["X0"])
    1
    """
    shared = min(len(a), len(b))
    index = next((i for i in range(shared) if a[i] != b[i]), shared)
    return None if index == len(a) == len(b) else index
