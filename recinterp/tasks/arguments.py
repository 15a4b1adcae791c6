"""What a public function is given, checked: a model where a task belongs, a string of tokens.

Each check raises an error that shows what came, and says what would do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from recinterp.errors import (
    DomainError,
    IncompatibleModelError,
    MalformedArgumentError,
    RecinterpError,
    TaskError,
    UnknownNameError,
)
from recinterp.tasks.domain import Domain
from recinterp.tasks.task import Task
from recinterp.tokens import TRUNCATED, Tokens

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


def check_task(task: object, operation: str) -> None:
    """Raise TaskError where something else than a task is given."""
    if isinstance(task, Task) or all(hasattr(task, name) for name in ("prompt", "apply", "ids")):
        return
    hint = 'pass ri.task("binary-successor"), or ri.Task.from_gallina(…)'
    if isinstance(task, str):
        hint = f"pass ri.task({task!r})"
    raise TaskError(operation, f"the task is {describe(task)}", hint)


def check_model(model: object, operation: str) -> None:
    """Raise IncompatibleModelError where something else than a model or a function is given."""
    hint = "pass a hooked model, a Hugging Face model, or a function from inputs to outputs"
    if isinstance(model, Task):
        hint = "pass the model first, then the task"
    elif isinstance(model, str):
        hint = f"pass ri.load({model!r})"
    elif isinstance(model, type):
        hint = "pass a model, not its class"
    elif callable(model):
        return
    raise IncompatibleModelError(operation, f"the model is {describe(model)}", hint)


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
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or seed.__index__() < 0:
        problem = f"the seed is {describe(seed)}"
        raise MalformedArgumentError(operation, problem, "pass a whole number from 0 on")


def check_domain_argument(domain: object, operation: str) -> None:
    """Raise DomainError where something else than a domain, or None, is given."""
    if domain is not None and not isinstance(domain, Domain):
        length = domain if isinstance(domain, int) and not isinstance(domain, bool) else "…"
        hint = f"pass domain=ri.Domain(max_length={length})"
        raise DomainError(operation, f"the domain is {describe(domain)}", hint)


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


def query_function(
    function: Callable[[list[Tokens]], Any],
    inputs: Sequence[Sequence[str]],
    known: Mapping[str, int] | None = None,
) -> tuple[list[Tokens], bool]:
    """Query a user's function for the outputs of some inputs.

    Args:
        function: A function from a list of inputs to the list of their outputs, in tokens.
        inputs: The inputs.
        known: The task's tokens, by which strings such as "X0 X1 01" are split; None to split none.

    Returns:
        The outputs, and whether they came as strings, one for each input, and were split.

    Raises:
        IncompatibleModelError: The function raises an error, takes one input at a time, or returns
            something else than one list of tokens for each input.
    """
    given = [list(x) for x in inputs]
    try:
        returned = function([list(x) for x in given])
        rows = _list_outputs(returned, len(given))
    except RecinterpError:
        _refuse_single(function, given, None)
        raise
    except Exception as error:
        _refuse_single(function, given, error)
        raise _refuse_outputs(f"it raised {type(error).__name__}: {error}") from error
    as_lists = [list(row) for row in rows if isinstance(row, list | tuple)]
    if len(as_lists) == len(rows) > 1 and all(_is_among(row, given) for row in as_lists):
        _refuse_rearranged(function, given, rows)
    as_strings = bool(rows) and all(isinstance(row, str) for row in rows)
    if as_strings:
        rows = _split_strings(rows, known)
    return [_list_tokens(row, i) for i, row in enumerate(rows)], as_strings


OUTPUTS_HINT = 'return one list of tokens for each input, in their order: [["X0", "01"], …]'


def _refuse_outputs(problem: str, hint: str = OUTPUTS_HINT) -> IncompatibleModelError:
    return IncompatibleModelError("query the function given as a model", problem, hint)


def _list_outputs(returned: object, count: int) -> list[object]:
    unusable = isinstance(returned, str | bytes | Mapping) or not isinstance(returned, Iterable)
    if unusable or hasattr(returned, "dtype"):
        raise _refuse_outputs(f"for {count} inputs it returned {describe(returned)}")
    rows = list(returned)  # type: ignore[call-overload]
    if len(rows) != count:
        raise _refuse_outputs(
            f"it was given {count} inputs and returned {len(rows)} outputs",
            "return one output for each input, in their order",
        )
    return rows


def _refuse_single(
    function: Callable[..., Any], given: Sequence[Tokens], error: Exception | None
) -> None:
    """Raise where a function that fails on a list of inputs takes one input."""
    if not given:
        return
    try:
        single = function(list(given[0]))
    except Exception:
        return
    if isinstance(single, list | tuple) and single and all(isinstance(t, str) for t in single):
        raise _refuse_single_error(given[0], single) from error


def _refuse_single_error(tokens: Tokens, single: object) -> IncompatibleModelError:
    problem = f"it takes one input: given {tokens!r} it returned {describe(single)}"
    return _refuse_outputs(problem, "pass lambda inputs: [f(x) for x in inputs]")


def _refuse_rearranged(
    function: Callable[..., Any], given: Sequence[Tokens], rows: Sequence[Any]
) -> None:
    """Raise where the outputs are the inputs rearranged, and one input by itself gives another."""
    for tokens, row in ((given[0], rows[0]), (given[-1], rows[-1])):
        try:
            by_itself = list(function([list(tokens)]))
            single = function(list(tokens))
        except Exception:
            return
        if by_itself != [row] and isinstance(single, list | tuple):
            raise _refuse_single_error(tokens, single)


def _is_among(row: Sequence[object], inputs: Sequence[Tokens]) -> bool:
    return all(isinstance(token, str) for token in row) and row in inputs


def _split_strings(rows: Sequence[Any], known: Mapping[str, int] | None) -> list[object]:
    for i, row in enumerate(rows):
        unknown = next(
            (t for t in row.split() if known is not None and not _is_output_token(t, known)), None
        )
        if known is None or unknown is not None:
            why = f", in which {unknown!r} is no token" if unknown else ""
            raise _refuse_outputs(f"output {i} is the string {describe(row)}{why}")
    return [row.split() for row in rows]


def _is_output_token(token: str, known: Mapping[str, int]) -> bool:
    return token in known or token == TRUNCATED or re.fullmatch(r"<\d+>", token) is not None


def _list_tokens(row: object, i: int) -> Tokens:
    if isinstance(row, list | tuple) and all(isinstance(token, str) for token in row):
        return list(row)
    hint = OUTPUTS_HINT
    items = row if isinstance(row, list | tuple) else [row]
    if hasattr(row, "dtype") or any(isinstance(x, int) or hasattr(x, "dtype") for x in items):
        hint = "decode the ids: names = {i: t for t, i in task.ids.items()}; stop before EOS"
    raise _refuse_outputs(f"output {i} is {describe(row)}", hint)
