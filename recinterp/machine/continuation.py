"""How a machine finds the step at which it continues, if not by its own position.

A machine without a `continue` line carries its position: output token t is written by step t. With
the line it looks the position up before each token. It runs its rules from the start without
writing; that is its *own run*, whose steps are numbered by the tokens they would write, with the
end as the last step. Of these steps it keeps those that the first preference names, of those the
ones that the second names, and so on; a preference that names none of those left is passed over.
The first step left is the one that writes next.

    continue after-last            the steps after one that wrote the last output token (induction)
    continue unwritten             the steps whose token is not in the output yet, and the end
    continue after-last position   among several places of the last output token, that of step t

As long as no token is written twice, all of these write the machine's own output. They part where
another output is forced on the model, and on inputs whose output repeats a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeAlias

from recinterp.errors import MachineError


class Preference(StrEnum):
    """What names the step at which a machine continues.

    POSITION: step t, when t tokens are written. AFTER_LAST: the step after one that wrote the last
    output token; the first step at the start. UNWRITTEN: a step whose token is not in the output.
    """

    POSITION = "position"
    AFTER_LAST = "after-last"
    UNWRITTEN = "unwritten"


Continuation: TypeAlias = tuple[Preference, ...]


def check_continuation(names: Sequence[str]) -> Continuation:
    """Preferences from their names. Errors: MachineError for an unknown or a repeated one."""
    operation, known = "build a machine", ", ".join(Preference)
    for name in names:
        if name not in list(Preference):
            raise MachineError(operation, f"it continues by {name!r}", f"use {known}")
    if len(set(names)) < len(names):
        raise MachineError(operation, "it continues twice by the same", f"use each of {known} once")
    return tuple(map(Preference, names))


def next_step(own: Sequence[str], written: Sequence[str], continuation: Continuation) -> int:
    """The step of a machine's own run at which it continues.

    Args:
        own: The tokens of the own run.
        written: The output so far.
        continuation: The preferences, the first first; none: the position.

    Returns:
        The index of the step; `len(own)` is the end.
    """
    left = list(range(len(own) + 1))
    for preference in continuation or (Preference.POSITION,):
        named = _named_steps(preference, own, written)
        left = [step for step in left if step in named] or left
    return left[0]


def _named_steps(
    preference: Preference, own: Sequence[str], written: Sequence[str]
) -> frozenset[int]:
    match preference:
        case Preference.POSITION:
            return frozenset({min(len(written), len(own))})
        case Preference.AFTER_LAST:
            if not written:
                return frozenset({0})
            return frozenset(i + 1 for i, token in enumerate(own) if token == written[-1])
        case Preference.UNWRITTEN:
            known = set(written)
            return frozenset({i for i, x in enumerate(own) if x not in known} | {len(own)})


def continue_output(
    own: Sequence[str], continuation: Continuation, max_tokens: int
) -> tuple[list[str], bool]:
    """What a machine writes that looks its position up before each token.

    Args:
        own: The tokens of its own run.
        continuation: The preferences.
        max_tokens: Tokens after which an output without an end is cut.

    Returns:
        The tokens, and whether the end was reached.
    """
    written: list[str] = []
    seen: dict[tuple[str, int, int], int] = {}
    while len(written) < max_tokens:
        step = next_step(own, written, continuation)
        if step == len(own):
            return written, True
        written.append(own[step])
        counts = not continuation or Preference.POSITION in continuation
        t = min(len(written), len(own)) if counts else 0
        state = (own[step], len(set(written)), t)
        if state in seen:  # what decides the next token has come back: so do the tokens since then
            cycle = written[seen[state] :]
            copies = (max_tokens - len(written)) // len(cycle) + 1
            return [*written, *(cycle * copies)][:max_tokens], False
        seen[state] = len(written)
    return written, False
