"""Edits as hooks: (hook name, function of an activation), which every hooked model can run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from jaxtyping import Float
from torch import Tensor

from recinterp.perturb.lowering.edits import Edit, PatternEdit, PatternFreeze, Write

Hook: TypeAlias = tuple[str, Callable[..., Any]]


def compile_hook(edit: Edit) -> Hook:
    """An edit as a hook: the name of its hook point, and the function of the activation."""
    match edit:
        case Write():
            return edit.hook, _write_hook(edit)
        case PatternEdit():
            return edit.hook, _pattern_hook(edit)
        case PatternFreeze(_, pattern):
            return edit.hook, replace_activation(pattern)


def _write_hook(edit: Write) -> Callable[..., Tensor]:
    def run(value: Tensor, hook: object = None) -> Tensor:
        out = value.clone()
        site = (edit.row.to(value.device), edit.pos.to(value.device))
        at = site if edit.head is None else (*site, edit.head)
        out[at] = edit.apply(value[at])
        return out

    return run


def _pattern_hook(edit: PatternEdit) -> Callable[..., Tensor]:
    def run(value: Tensor, hook: object = None) -> Tensor:
        out, new = value.clone(), edit.pattern.to(value)
        row, query = edit.row.to(value.device), edit.pos.to(value.device)
        if edit.head is None:
            out[row, :, query] = new.expand(-1, value.shape[1], -1)
        else:
            out[row, edit.head, query] = new[:, 0]
        return out

    return run


def replace_activation(value: Float[Tensor, "row pos ..."]) -> Callable[..., Tensor]:
    """A hook function that returns a given value instead of the activation."""
    return lambda old, hook=None: value.to(old)
