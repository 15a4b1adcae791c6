"""Special tokens, and the aliases for sequences of tokens.

| name | token | where it stands |
| --- | --- | --- |
| `EOS` | `EOS` | ends an output; a model writes it, a decoded output does not contain it |
| `TRUNCATED` | `…` | closes an output that was cut because it did not end |
| `END_OF_INPUT` | `$` | what a machine reads outside the input, or before the output |
| `ARG_SEP` | `,` | between the arguments of an input |
"""

from __future__ import annotations

from typing import TypeAlias

EOS = "EOS"
TRUNCATED = "…"
END_OF_INPUT = "$"
ARG_SEP = ","

Tokens: TypeAlias = list[str]
TokenTuple: TypeAlias = tuple[str, ...]
