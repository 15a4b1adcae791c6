"""Results to plain JSON values and back, by the type hints of frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from recinterp.machine import Machine


def to_plain(value: object) -> Any:
    """Dataclasses become objects, tuples become lists, machines their text."""
    if isinstance(value, Machine):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(x) for x in value]
    return value


def from_plain(hint: Any, value: Any) -> Any:
    """The inverse of `to_plain`. Errors: KeyError, TypeError, ValueError for another type."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Machine:
        return Machine.parse(value)
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{f.name: from_plain(hints[f.name], value[f.name]) for f in fields(hint)})  # type: ignore[operator]
    if origin in (Union, UnionType):
        some = [a for a in args if a is not NoneType]
        return None if value is None else from_plain(some[0], value)
    if origin is tuple:
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(from_plain(k, v) for k, v in zip(kinds, value, strict=True))
    if origin is list:
        return [from_plain(args[0], v) for v in value]
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        return {k: from_plain(args[1], v) for k, v in value.items()}
    return float("nan") if hint is float and value is None else value
