"""Where a machine reads, as a class of positions that a head can be redirected to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recinterp.errors import UnknownNameError
from recinterp.machine.execution.interpreter import machine_states
from recinterp.perturb.positions import At, Tokens

if TYPE_CHECKING:
    from recinterp.machine import Machine


def pointer(
    machine: Machine, register: str, inputs: Sequence[Tokens], prefixes: Sequence[Tokens]
) -> At:
    """Input positions a register holds as the machine comes to write each row's next token.

    Where it holds none of the input, or the machine never comes so far, a row has no position.
    Errors: UnknownNameError.
    """
    known = [name for name, _ in machine.registers]
    if register not in known:
        raise UnknownNameError("a machine's pointer", register, known)
    places = [_place(machine, register, x, len(y)) for x, y in zip(inputs, prefixes, strict=True)]
    return At("input", tuple(places))


def _place(machine: Machine, register: str, tokens: Tokens, written: int) -> int | None:
    for state, run in machine_states(machine, tokens):
        if len(state.out) >= written:
            at = run.registers[register]
            return at if 0 <= at < len(tokens) else None
    return None
