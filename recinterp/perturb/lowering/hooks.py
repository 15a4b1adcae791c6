"""Edits as hooks: (hook name, function of an activation), which every hooked model can run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor

from recinterp.perturb.lowering.edits import Edit, Frozen, Look, Write

Hook: TypeAlias = tuple[str, Callable[..., Any]]


def hook_of(edit: Edit) -> Hook:
    """One edit as a hook."""
    match edit:
        case Write():
            return edit.hook, _writer(edit)
        case Look():
            return edit.hook, _looker(edit)
        case Frozen(_, pattern):
            return edit.hook, constant(pattern)


def _writer(edit: Write) -> Callable[..., Tensor]:
    def run(value: Tensor, hook: object = None) -> Tensor:
        out = value.clone()
        site = (edit.row.to(value.device), edit.pos.to(value.device))
        at = site if edit.head is None else (*site, edit.head)
        out[at] = edit.apply(value[at])
        return out

    return run


def _looker(edit: Look) -> Callable[..., Tensor]:
    def run(value: Tensor, hook: object = None) -> Tensor:
        out, new = value.clone(), edit.pattern.to(value)
        row, query = edit.row.to(value.device), edit.pos.to(value.device)
        if edit.head is None:
            out[row, :, query] = new.expand(-1, value.shape[1], -1)
        else:
            out[row, edit.head, query] = new[:, 0]
        return out

    return run


def constant(value: Tensor) -> Callable[..., Tensor]:
    """A hook function that puts a value in place of an activation."""
    return lambda old, hook=None: value.to(old)
