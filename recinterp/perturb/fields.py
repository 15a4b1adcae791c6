"""Fields of interventions, checked as they are made: positions, heads, sources, prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from recinterp.errors import InterventionError, UnknownHookError
from recinterp.perturb.positions import At
from recinterp.tasks.kinds_of_values import describe


def check_where(where: object) -> None:
    """Raise UnknownHookError where something else than classes of positions is given."""
    classes = where if isinstance(where, tuple) else (where,)
    for at in classes:
        if not isinstance(at, At):
            hint = 'use PREDICTION, INPUTS, At("input", 3), or a tuple of those'
            raise UnknownHookError("use positions", f"they are {describe(where)}", hint)


def is_index(value: object) -> bool:
    """Whether a value is a whole number, as layers and heads are."""
    try:
        value.__index__()  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        return False
    return not isinstance(value, bool)


def check_index(value: object, what: str) -> None:
    """Raise UnknownHookError where a layer or head is no whole number."""
    if not is_index(value):
        problem = f"{what} is {describe(value)}, which is no index of a layer or head"
        raise UnknownHookError("name a part of a model", problem, "use whole numbers from 0 on")


def check_pair(pair: object, what: str) -> None:
    """Raise UnknownHookError where something else than (layer, head) is given."""
    fits = isinstance(pair, tuple | list) and len(pair) == 2 and all(map(is_index, pair))
    if not fits:
        problem = f"{what} is {describe(pair)}"
        raise UnknownHookError("name a head", problem, "give (layer, head), such as (1, 0)")


def check_rows(rows: object, what: str) -> tuple[tuple[str, ...], ...]:
    """Token tuples, one per row. Raises InterventionError where something else is given."""
    fits = isinstance(rows, tuple | list) and all(
        isinstance(row, tuple | list) and all(isinstance(token, str) for token in row)
        for row in rows
    )
    if not fits:
        hint = 'give one tuple of tokens for each row: (("X1", "01"), ("01",))'
        raise InterventionError("make an intervention", f"the {what} are {describe(rows)}", hint)
    listed = cast("Sequence[Sequence[str]]", rows)
    if isinstance(listed, tuple) and all(isinstance(row, tuple) for row in listed):
        return cast("tuple[tuple[str, ...], ...]", listed)  # the same object: runs are cached by it
    return tuple(map(tuple, listed))


def check_sequence(values: object, what: str, hint: str) -> Sequence[object]:
    """The values. Raises InterventionError where they are no tuple or list."""
    if not isinstance(values, tuple | list):
        raise InterventionError("make an intervention", f"{what} are {describe(values)}", hint)
    return values
