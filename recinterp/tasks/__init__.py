"""Tasks: a program, how its terms are written, which inputs there are, and how to draw them."""

from __future__ import annotations

from recinterp.splits import held_out
from recinterp.tasks.domain import Domain, FullDepth, InputList, Listed, Matching
from recinterp.tasks.library import task, tasks
from recinterp.tasks.task import Task

__all__ = [
    "Domain",
    "FullDepth",
    "InputList",
    "Listed",
    "Matching",
    "Task",
    "held_out",
    "task",
    "tasks",
]
