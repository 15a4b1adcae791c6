"""A machine's outputs, cut where the model's were: an output without an end has no other form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recinterp.tokens import TRUNCATED, Tokens

if TYPE_CHECKING:
    from recinterp.machine import Machine


def predict_outputs(
    machine: Machine, inputs: Sequence[Tokens], outputs: Sequence[Tokens]
) -> list[list[str] | None]:
    """A machine's outputs, cut where those of the model were cut.

    Args:
        machine: The machine.
        inputs: Tokens of N inputs.
        outputs: The model's outputs; those that end in "…" were cut.
    """
    predicted = machine.run_many(inputs)
    for i, (x, y) in enumerate(zip(inputs, outputs, strict=True)):
        if list(y[-1:]) == [TRUNCATED]:
            length = len(y) - 1
            written = machine.known_prefix(x)
            goes_on = len(written) > length
            predicted[i] = [*written[:length], TRUNCATED] if goes_on else predicted[i]
    return predicted
