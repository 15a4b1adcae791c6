"""Files that are written whole or not at all; frozen dataclasses to plain JSON values and back."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from recinterp.errors import UnreadableFileError, UnwritableFileError


def to_plain(value: object) -> Any:
    """A value as plain data, for `json.dumps`.

    Dataclasses become objects, tuples lists, enums their values; what has a text form (see
    `from_plain`), such as a machine, becomes its text.
    """
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
    """A value of a type, from the plain data that `to_plain` made of it.

    Args:
        hint: The type.
        value: The plain data, as `json.loads` returns it.

    Raises:
        KeyError, TypeError, ValueError: If the data is not that of the type.
    """
    if get_origin(hint) is not None:
        return _from_plain_generic(hint, value)
    if _has_text_form(hint):
        return hint.parse(value)
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        parts = {f.name: from_plain(hints[f.name], value[f.name]) for f in fields(hint)}
        return hint(**parts)  # type: ignore[operator]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if hint is int and isinstance(value, str):  # a mapping's key
        return int(value)
    return float("nan") if hint is float and value is None else value


def _from_plain_generic(hint: Any, value: Any) -> Any:
    """`from_plain` for a type with parameters, such as `tuple[Rate, ...]`."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        chosen = next(arg for arg in args if arg is not NoneType)
        return None if value is None else from_plain(chosen, value)
    if origin is tuple:
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(from_plain(kind, x) for kind, x in zip(kinds, value, strict=True))
    if origin is list:
        return [from_plain(args[0], x) for x in value]
    if origin is not Literal and issubclass(origin, Mapping):
        return {from_plain(args[0], k): from_plain(args[1], x) for k, x in value.items()}
    return value


def _has_text_form(kind: Any) -> bool:
    """Whether values of a class are written by `str` and read by its `parse`, as machines are."""
    return isinstance(kind, type) and hasattr(kind, "parse")


def write_text(path: str | Path, text: str) -> Path:
    """Write text under another name, then rename, so that no reader meets half a file.

    Args:
        path: The file to write.
        text: Its content, written as UTF-8.

    Returns:
        The path of the file.

    Raises:
        UnwritableFileError: If the file cannot be written.
    """
    if not isinstance(path, str | os.PathLike) or "\0" in str(path) or not Path(path).name:
        hint = "pass a path to a file"
        raise UnwritableFileError("write a file", f"the path is {path!r}"[:200], hint)
    target, operation = Path(path), f"write {path}"
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as e:
        raise UnwritableFileError(
            operation, _reason(e), "pass a path in an existing, writable folder"
        ) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except OSError as e:
        Path(name).unlink(missing_ok=True)
        raise UnwritableFileError(operation, _reason(e), "pass a path to a file") from None
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


def check_writable(path: Path | None) -> None:
    """Find out now, rather than after a minute's work, whether a file can be written.

    Args:
        path: The file that is going to be written; None is always fine.

    Raises:
        UnwritableFileError: If it cannot be written.
    """
    if path is None:
        return
    operation = f"write {path}"
    if path.is_dir():
        raise UnwritableFileError(operation, "it is a folder", "pass a path to a file")
    if not path.parent.is_dir():
        raise UnwritableFileError(
            operation, f"there is no folder {path.parent}", "create the folder first"
        )
    if not os.access(path.parent, os.W_OK):
        raise UnwritableFileError(
            operation, f"the folder {path.parent} is read-only", "pass a path in another folder"
        )


def check_folder(folder: Path, size: int = 0) -> None:
    """Find out now whether files can be written to a folder, which need not exist yet.

    Args:
        folder: The folder.
        size: Bytes that are going to be written.

    Raises:
        UnwritableFileError: If nothing can be written there, or there is too little space.
    """
    operation = f"write to {folder}"
    found = next((p for p in (folder, *folder.absolute().parents) if p.exists()), Path())
    if not found.is_dir():
        raise UnwritableFileError(operation, f"{found} is a file", "pass another path")
    try:
        with tempfile.TemporaryFile(dir=found):
            free = shutil.disk_usage(found).free
    except OSError as e:
        problem = f"the folder {found} cannot be written to: {_reason(e)}"
        raise UnwritableFileError(operation, problem, "pass a path in another folder") from None
    if free < size:
        problem = f"{size / 2**20:.1f} MiB are needed and {free / 2**20:.1f} MiB are free"
        raise UnwritableFileError(operation, problem, "free some space, or pass another path")


def read_text(path: Path) -> str:
    """The content of a text file.

    Args:
        path: The file to read, in UTF-8.

    Raises:
        UnreadableFileError: If it is missing, or not UTF-8 text.
    """
    operation, hint = f"read {path}", "pass a path to a text file"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as e:
        raise UnreadableFileError(operation, _reason(e), hint) from None
    except UnicodeDecodeError:
        raise UnreadableFileError(operation, "it is not UTF-8 text", hint) from None


def _reason(e: OSError) -> str:
    return (e.strerror or str(e)).lower()
