"""Token ids and the template that joins input and output into one sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set

from recinterp.errors import TaskError

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


def render_ids(
    names: Sequence[str], tokens: Sequence[str], id_of: Callable[[str], int], bos: int | None
) -> list[int]:
    """Ids of the names of half a template, an input's tokens in their place."""
    ids: list[int] = []
    for name in names:
        if name == "input":
            ids += map(id_of, tokens)
        elif name != "bos" or bos is not None:
            ids.append(id_of(name.upper()))
    return ids


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
    words = {token: int(ids[token]) for token in needed}
    # Specials may share an id among themselves (PAD and EOS often do), never with a word.
    if len(set(words.values())) < len(words) or set(words.values()) & set(specials.values()):
        raise TaskError(
            "give a task a vocabulary", "two tokens share an id", "give each token its own"
        )
    return tuple(sorted((words | dict(specials)).items()))
