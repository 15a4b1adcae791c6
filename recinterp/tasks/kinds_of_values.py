"""Values of another kind than a function takes, refused with what came and what would do.

These checks know no task; those that do are in `arguments.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from recinterp.errors import MalformedArgumentError, RecinterpError, UnknownNameError
from recinterp.tokens import Tokens

TOKEN_LISTS = 'write [["X1", "01"], …]: a list of inputs, each a list of tokens'


def describe(value: object, max_characters: int = 60) -> str:
    """A value as a few words: its type, and its text or shape."""
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if shape is not None and not callable(shape) and hasattr(value, "dtype"):
        return f"a {kind} of shape {tuple(shape)}"
    if value is None or isinstance(value, str | bytes | bool | int | float | list | tuple | dict):
        try:
            text = repr(value)
        except Exception:  # a user's own object in a list need not have a text
            return f"a {kind}"
        return text if len(text) <= max_characters else f"{text[:max_characters]}… (a {kind})"
    name = getattr(value, "__qualname__", "") if callable(value) else ""
    return f"the function {name}" if name else f"a {kind}"


def check_kind(
    value: object,
    kind: type | tuple[type, ...],
    operation: str,
    what: str,
    hint: str,
    error: type[RecinterpError] = MalformedArgumentError,
) -> None:
    """Raise an error where an argument is not of a class.

    Args:
        value: The argument.
        kind: The class, or several.
        operation: What the caller does, for the error.
        what: What the argument is: "the machine".
        hint: What would do.
        error: The class of the error.
    """
    if not isinstance(value, kind):
        raise error(operation, f"{what} is {describe(value)}", hint)


def check_seed(seed: object, operation: str) -> None:
    """Raise MalformedArgumentError where a seed is no whole number from 0 on."""
    check_whole(seed, operation, "the seed")


def check_whole(
    value: object,
    operation: str,
    what: str,
    least: int = 0,
    error: type[RecinterpError] = MalformedArgumentError,
) -> int:
    """The whole number.

    Args:
        value: The argument.
        operation: What the caller does, for the error.
        what: What the argument is: "the length".
        least: The smallest number allowed.
        error: The class of the error.

    Raises:
        MalformedArgumentError: It is none, or below `least`; or the class given as `error`.
    """
    try:
        number = None if isinstance(value, bool) else value.__index__()  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        number = None
    if number is None or number < least:
        problem = f"{what} is {describe(value)}"
        raise error(operation, problem, f"pass a whole number from {least} on")
    return int(number)


def check_token_lists(
    lists: object, operation: str, known: Mapping[str, int] | None, what: str = "input"
) -> list[Tokens]:
    """The lists of tokens, as lists.

    Args:
        lists: What was given.
        operation: What the caller does, for the error.
        known: The tokens that may occur; None for any.
        what: What each list is, for the error.

    Raises:
        MalformedArgumentError: It is no collection of lists of tokens.
        UnknownNameError: A token is unknown.
    """
    all_of = f"the {what}es" if what.endswith("x") else f"the {what}s"
    if isinstance(lists, str | bytes | Mapping) or not isinstance(lists, Iterable):
        problem = f"{all_of} are {describe(lists)}"
        raise MalformedArgumentError(operation, problem, _hint_for(lists, known))
    if getattr(lists, "dtype", None) is not None:
        raise MalformedArgumentError(
            operation, f"{all_of} are {describe(lists)}", "give tokens, not ids"
        )
    rows = list(lists)
    if rows and known and all(isinstance(row, str) and row in known for row in rows):
        problem = f"{all_of} are {describe(rows)}, which is one {what}"
        raise MalformedArgumentError(operation, problem, "put it into a list of its own")
    return [check_tokens(row, operation, known, f"{what} {i}") for i, row in enumerate(rows)]


def check_tokens(
    tokens: object, operation: str, known: Mapping[str, int] | None, what: str
) -> Tokens:
    """One list of tokens; arguments and errors as of `check_token_lists`."""
    listed = list(tokens) if isinstance(tokens, list | tuple) else None
    if listed is None and isinstance(tokens, Sequence) and not isinstance(tokens, str | bytes):
        listed = list(tokens)
    if listed is None:
        raise MalformedArgumentError(
            operation, f"{what} is {describe(tokens)}", _hint_for(tokens, known)
        )
    for token in listed:
        if not isinstance(token, str):
            problem = f"{what} is {describe(tokens)}, and {describe(token)} is no token"
            raise MalformedArgumentError(operation, problem, _hint_for(token, known))
        if known is not None and token not in known:
            raise UnknownNameError(f"{operation}: {what}", token, known)
    return listed


def _hint_for(value: object, known: Mapping[str, int] | None) -> str:
    words = value.split() if isinstance(value, str) else []
    if words and (known is None or all(word in known for word in words)):
        return f"split it: {words!r}"
    if isinstance(value, int) or hasattr(value, "dtype"):
        return "give tokens, not ids"
    return TOKEN_LISTS
