"""What a builder may ask: a function from inputs to outputs, with the held-out inputs locked away.

Anything that maps sequences to sequences can stand behind an Oracle: a transformer, an LSTM, a
machine. Answers are remembered, so that asking again costs nothing, and so that a table of all
that was asked can be kept beside the explanation as a baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from recinterp.errors import HeldOut
from recinterp.splits import held_out

Tokens: TypeAlias = "list[str]"
Predict: TypeAlias = Callable[[list[Tokens]], list[Tokens]]


class Oracle:
    """`oracle(inputs)` -> outputs. Errors: HeldOut if an input is kept for the judge."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self.answers: dict[tuple[str, ...], Tokens] = {}

    def __call__(self, inputs: Sequence[Sequence[str]]) -> list[Tokens]:
        """The outputs, in the order asked."""
        asked = [tuple(x) for x in inputs]
        locked = next((x for x in asked if held_out(x)), None)
        if locked is not None:
            raise HeldOut(
                "oracle",
                f"the input {' '.join(locked)} is held out",
                "filter with `held_out` first",
            )
        new = list(dict.fromkeys(x for x in asked if x not in self.answers))
        if new:
            found = self._predict([list(x) for x in new])
            self.answers |= dict(zip(new, found, strict=True))
        return [self.answers[x] for x in asked]
