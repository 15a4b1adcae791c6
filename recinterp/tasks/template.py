"""Token ids and the template that joins input and output into one sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set

from recinterp.errors import TaskError
from recinterp.tasks.kinds_of_values import check_whole

SPECIALS = ("PAD", "BOS", "SEP", "EOS")
TEMPLATE = "{input}{sep}{output}{eos}"


def check_template(template: str) -> None:
    """TaskError where a template is not {bos}{input}{sep}{output}{eos} in a usable order.

    An {eos} may end the input too, as T5 and BART are trained: {input}{eos}{sep}{output}{eos}.
    """
    names = ("{input}", "{sep}", "{output}", "{eos}")
    if any(template.count(name) != 1 for name in names[:3]) or template.count("{eos}") not in (
        1,
        2,
    ):
        problem = f"the template {template!r} does not have each of {', '.join(names)} once"
        raise TaskError("give a task a template", problem, f"the default is {TEMPLATE}")
    left = template
    for name in ("{bos}", *names):
        left = left.replace(name, "")
    places = [template.index(name) for name in names[:3]] + [template.rindex("{eos}")]
    if left or places != sorted(places):
        problem = f"{template!r} is no template: text or an order that no model is trained on"
        raise TaskError("give a task a template", problem, f"the default is {TEMPLATE}")


def split_template(template: str) -> tuple[list[str], list[str]]:
    """Names in a template before {output}, and after it."""
    names = [part for part in template.replace("}", "{").split("{") if part]
    at = names.index("output")
    return names[:at], names[at + 1 :]


def add_default_end(template: str) -> str:
    """A template of a model without EOS, with the {eos} that it may leave out."""
    return template if "{eos}" in template else template + "{eos}"


def render_ids(
    names: Sequence[str], tokens: Sequence[str], id_of: Callable[[str], int]
) -> list[int]:
    """Ids of the names of half a template, an input's tokens in their place."""
    ids: list[int] = []
    for name in names:
        ids += map(id_of, tokens) if name == "input" else [id_of(name.upper())]
    return ids


def check_output_length(output_length: object, eos: int | None) -> None:
    """TaskError where an output length is given with an EOS, or is no length."""
    if output_length is None:
        return
    if eos is not None:
        raise TaskError(
            "give a task a vocabulary",
            "it has both an EOS and an output_length",
            "pass eos=None, or leave output_length out",
        )
    if not callable(output_length):
        check_length(output_length)


def check_length(length: object, of: str = "") -> int:
    """The length, if it is a number of tokens. Raises TaskError."""
    if isinstance(length, bool) or not hasattr(length, "__index__"):
        problem = f"the output length {of} is {length!r}"
    elif (number := length.__index__()) >= 0:
        return int(number)
    else:
        problem = f"the output length {of} is {number}"
    hint = "give a whole number from 0 on, or a function from an input's tokens to one"
    raise TaskError("give a task a vocabulary", " ".join(problem.split()), hint)


def check_bos(bos: int | None, template: str) -> None:
    """TaskError where there is an id of BOS and no place for it, or a place and no id."""
    if bos is None and "{bos}" in template:
        hint = "pass bos=…, or a template without {bos}"
        raise TaskError("give a task a vocabulary", f"{template!r} has no id for {{bos}}", hint)
    if bos is not None and "{bos}" not in template:
        problem = f"bos={bos!r} is given, and the template {template!r} has no {{bos}}"
        hint = "put {bos} into the template, or leave bos out"
        raise TaskError("give a task a vocabulary", problem, hint)


def _check_id(token: str, i: object) -> int:
    return check_whole(i, "give a task a vocabulary", f"the id of {token}", 0, TaskError)


def check_ids(
    ids: Mapping[str, int], needed: Set[str], specials: Mapping[str, int]
) -> tuple[tuple[str, int], ...]:
    """Token, id pairs of a model trained elsewhere. TaskError where one is missing or shared."""
    if missing := sorted(needed - set(ids)):
        raise TaskError(
            "give a task a vocabulary",
            f"there is no id for {', '.join(missing)}",
            "give every token one",
        )
    words = {token: _check_id(token, ids[token]) for token in needed}
    specials = {token: _check_id(token, i) for token, i in specials.items()}
    # Specials may share an id among themselves (PAD and EOS often do), never with a word.
    if len(set(words.values())) < len(words) or set(words.values()) & set(specials.values()):
        raise TaskError(
            "give a task a vocabulary", "two tokens share an id", "give each token its own"
        )
    return tuple(sorted((words | dict(specials)).items()))
