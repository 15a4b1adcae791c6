"""What a builder may query: a model whose held-out inputs are locked away.

Outputs are cached, so that a repeated query costs nothing, and so that a table of all queries can
be kept beside the explanation as a baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

from recinterp.errors import HeldOutInputError
from recinterp.judge.cached_model import CachedModel
from recinterp.splits import held_out
from recinterp.tokens import Tokens


class Oracle(CachedModel):
    """`oracle(inputs)` -> outputs.

    Errors: HeldOutInputError if an input is held out for the judge.
    """

    def __call__(self, inputs: Sequence[Sequence[str]]) -> list[Tokens]:
        """The outputs, in the order of the inputs."""
        locked = next((x for x in inputs if held_out(x)), None)
        if locked is not None:
            raise HeldOutInputError(
                "oracle",
                f"the input {' '.join(locked)} is held out",
                "filter with `held_out` first",
            )
        return super().__call__(inputs)
