"""What a public function is given, checked: a model where a task belongs, a string of tokens.

Each check raises an error that shows what came, and says what would do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from recinterp.errors import (
    DomainError,
    IncompatibleModelError,
    RecinterpError,
    TaskError,
)
from recinterp.tasks.domain import Domain
from recinterp.tasks.kinds_of_values import (
    check_kind,
    check_seed,
    check_token_lists,
    describe,
)
from recinterp.tasks.task import Task
from recinterp.tokens import Tokens

__all__ = [
    "check_domain_argument",
    "check_kind",
    "check_model",
    "check_seed",
    "check_task",
    "check_token_lists",
    "describe",
    "query_function",
]


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


def check_domain_argument(domain: object, operation: str) -> None:
    """Raise DomainError where something else than a domain, or None, is given."""
    if domain is not None and not isinstance(domain, Domain):
        length = domain if isinstance(domain, int) and not isinstance(domain, bool) else "…"
        hint = f"pass domain=ri.Domain(max_length={length})"
        raise DomainError(operation, f"the domain is {describe(domain)}", hint)


def query_function(
    function: Callable[[list[Tokens]], Any],
    inputs: Sequence[Sequence[str]],
) -> list[Tokens]:
    """Query a user's function for the outputs of some inputs.

    Args:
        function: A function from a list of inputs to the list of their outputs, in tokens.
        inputs: The inputs.

    Returns:
        The outputs.

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
    return [_list_tokens(row, i) for i, row in enumerate(rows)]


OUTPUTS_HINT = 'return one list of tokens for each input, in their order: [["X0", "01"], …]'


SPLIT_HINT = "return lists of tokens: [y.split() for y in outputs], if blanks separate them"


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


def _list_tokens(row: object, i: int) -> Tokens:
    if isinstance(row, list | tuple) and all(isinstance(token, str) for token in row):
        return list(row)
    hint = OUTPUTS_HINT
    if isinstance(row, str):
        raise _refuse_outputs(f"output {i} is the string {describe(row)}", SPLIT_HINT)
    items = row if isinstance(row, list | tuple) else [row]
    if hasattr(row, "dtype") or any(isinstance(x, int) or hasattr(x, "dtype") for x in items):
        hint = "decode the ids: names = {i: t for t, i in task.ids.items()}; stop before EOS"
    raise _refuse_outputs(f"output {i} is {describe(row)}", hint)
