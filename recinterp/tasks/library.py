"""The shipped tasks, each a function of a .v file that coqc accepts, with a worked example.

Examples are in natural order, `input -> output`; in reverse order each argument and the output are
read backwards: binary successor, `01 X1 X1 -> 01 X0 X0 X0`. The tests hold every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from recinterp.errors import TaskError, UnknownNameError
from recinterp.tasks.kinds_of_values import check_kind
from recinterp.tasks.task import Task

TREE = "Node a Node b Leaf Leaf Node c Leaf Leaf"


@dataclass(frozen=True)
class ShippedTask:
    """A shipped task.

    Attributes:
        file: Name of its .v file in `programs/`.
        function: Name of the function in it.
        tokens: Constructor -> the token shown in its place.
        example: A worked example, `input -> output`, in natural order.
    """

    file: str
    function: str
    tokens: Mapping[str, str]
    example: str


BITS = {"One": "01"}
SHIPPED_TASKS: Mapping[str, ShippedTask] = {
    "binary-successor": ShippedTask("binary_successor.v", "succ", BITS, "X1 X1 01 -> X0 X0 X0 01"),
    "binary-predecessor": ShippedTask("binary_predecessor.v", "pred", BITS, "X0 X0 01 -> X1 01"),
    "binary-addition": ShippedTask(
        "binary_addition.v", "add", BITS, "X1 01 , X0 X1 01 -> X1 X0 X0 01"
    ),
    "peano-addition": ShippedTask("peano.v", "add", {}, "S S O , S O -> S S S O"),
    "peano-doubling": ShippedTask("peano.v", "double", {}, "S S O -> S S S S O"),
    "list-append": ShippedTask("lists.v", "append", {}, "a b , c -> a b c"),
    "list-reverse": ShippedTask("lists.v", "reverse", {}, "a b c -> c b a"),
    "list-map": ShippedTask("lists.v", "map_next", {}, "a b d -> b c a"),
    "tree-preorder": ShippedTask("trees.v", "preorder", {}, f"{TREE} -> a b c"),
    "tree-inorder": ShippedTask("trees.v", "inorder", {}, f"{TREE} -> b a c"),
    "tree-postorder": ShippedTask("trees.v", "postorder", {}, f"{TREE} -> b c a"),
    "tree-mirror": ShippedTask(
        "trees.v", "mirror", {}, f"{TREE} -> Node a Node c Leaf Leaf Node b Leaf Leaf"
    ),
    "ring-arithmetic": ShippedTask(
        "ring.v", "eval", {}, "Plus Num Two Times Num Two Num Two -> Zero"
    ),
    "listops": ShippedTask(
        "listops.v", "eval", {}, "Max Arg Digit D1 Arg Min Last Digit D2 Last Digit D0 -> D2"
    ),
}


def tasks() -> tuple[str, ...]:
    """The names of the shipped tasks, in alphabetical order."""
    return tuple(sorted(SHIPPED_TASKS))


def task(name: str, order: str = "natural") -> Task:
    """Load a shipped task.

    Args:
        name: One of `recinterp.tasks()`.
        order: Order of tokens: "natural" (outermost constructor first) or "reverse".

    Returns:
        The task; the same object for the same arguments.

    Raises:
        UnknownNameError: There is no such task or order; the nearest names are listed.
    """
    hint = 'pass its name: "binary-successor"'
    check_kind(name, str, "load a task", "the name", hint, TaskError)
    check_kind(order, str, "load a task", "the order", 'pass "natural" or "reverse"', TaskError)
    return _load_task(name, order)


@cache
def _load_task(name: str, order: str) -> Task:
    if name not in SHIPPED_TASKS:
        raise UnknownNameError("load a task", name, SHIPPED_TASKS)
    shipped = SHIPPED_TASKS[name]
    source = files("recinterp.tasks").joinpath("programs", shipped.file).read_text(encoding="utf-8")
    return Task.from_gallina(source, shipped.function, order, shipped.tokens, name=name)
