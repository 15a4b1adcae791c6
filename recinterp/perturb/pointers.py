"""The input position that a machine reads, as a class of positions for interventions."""

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
    """The input positions that a register holds when a machine writes the next token of each row.

    Args:
        machine: The machine.
        register: Name of one of its registers.
        inputs: Token tuples, one per row.
        prefixes: Output tokens already written, one tuple per row; only their number counts.

    Returns:
        A class of positions. A row has none if the register points outside the input, or if the
        machine halts earlier.

    Raises:
        UnknownNameError: If the machine has no such register.
    """
    known = [name for name, _ in machine.registers]
    if register not in known:
        raise UnknownNameError("follow a register of the machine", register, known)
    places = [_place(machine, register, x, len(y)) for x, y in zip(inputs, prefixes, strict=True)]
    return At("input", tuple(places))


def _place(machine: Machine, register: str, tokens: Tokens, written: int) -> int | None:
    for state, run in machine_states(machine, tokens):
        if len(state.out) >= written:
            at = run.registers[register]
            return at if 0 <= at < len(tokens) else None
    return None
