"""Files that are written whole or not at all; frozen dataclasses to plain JSON values and back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from recinterp.errors import UnreadableFileError, UnwritableFileError


def to_plain(value: object) -> Any:
    """Dataclasses become objects, tuples lists, enums their values; what can be parsed its text."""
    if _has_text_form(type(value)):
        return str(value)
    if isinstance(value, Enum):
        return value.value
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
    if _has_text_form(hint):
        return hint.parse(value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
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
        return {from_plain(args[0], k): from_plain(args[1], v) for k, v in value.items()}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if hint is int and isinstance(value, str):  # a mapping's key
        return int(value)
    return float("nan") if hint is float and value is None else value


def _has_text_form(kind: Any) -> bool:
    """Whether values of a class are written by `str` and read by its `parse`, as machines are."""
    return isinstance(kind, type) and hasattr(kind, "parse")


def write_text(path: str | Path, text: str) -> Path:
    """Write text under another name, then rename: a reader never meets half a file."""
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as e:
        raise UnwritableFileError(
            f"write {target}", _reason(e), "an existing, writable folder"
        ) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except OSError as e:
        Path(name).unlink(missing_ok=True)
        raise UnwritableFileError(f"write {target}", _reason(e), "a path to a file") from None
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


def check_writable(path: Path | None) -> None:
    """Raise UnwritableFileError now rather than after a minute's work. None is always fine."""
    if path is None:
        return
    asked = f"write {path}"
    if path.is_dir():
        raise UnwritableFileError(asked, "it is a folder", "a path to a file")
    if not path.parent.is_dir():
        raise UnwritableFileError(asked, f"there is no folder {path.parent}", "make it first")
    if not os.access(path.parent, os.W_OK):
        raise UnwritableFileError(asked, f"the folder {path.parent} is read-only", "another folder")


def read_text(path: Path) -> str:
    """A text file's content. Raises UnreadableFileError where it is missing or no text."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as e:
        raise UnreadableFileError(f"read {path}", _reason(e), "a text file") from None
    except UnicodeDecodeError:
        raise UnreadableFileError(f"read {path}", "it is not UTF-8 text", "a text file") from None


def _reason(e: OSError) -> str:
    return (e.strerror or str(e)).lower()
