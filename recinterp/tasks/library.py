"""The shipped tasks, each a .v file that coqc accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from recinterp.errors import UnknownName
from recinterp.tasks.task import Task


@dataclass(frozen=True)
class Shipped:
    """A shipped task: its .v file, the function in it, and the tokens shown for constructors."""

    file: str
    function: str
    tokens: Mapping[str, str] = field(default_factory=dict)


SHIPPED: Mapping[str, Shipped] = {
    "binary-successor": Shipped("binary_successor.v", "succ", {"One": "01"}),
}


def tasks() -> tuple[str, ...]:
    """The names of the shipped tasks."""
    return tuple(sorted(SHIPPED))


@cache
def task(name: str, order: str = "natural") -> Task:
    """A shipped task by name; UnknownName lists the nearest where there is none."""
    if name not in SHIPPED:
        raise UnknownName("task", name, SHIPPED)
    shipped = SHIPPED[name]
    source = files("recinterp.tasks").joinpath("programs", shipped.file).read_text(encoding="utf-8")
    return Task.from_gallina(source, shipped.function, order, shipped.tokens, name=name)
