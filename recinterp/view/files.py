"""Files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from recinterp.errors import RecinterpError


class UnwritableFile(RecinterpError):
    """A result cannot be written where it was asked for."""


class UnreadableFile(RecinterpError):
    """A file that was named cannot be read."""


def write_text(path: str | Path, text: str) -> Path:
    """Write text under another name, then rename: a reader never meets half a file."""
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as e:
        raise UnwritableFile(
            f"write {target}", _reason(e), "an existing, writable folder"
        ) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except OSError as e:
        Path(name).unlink(missing_ok=True)
        raise UnwritableFile(f"write {target}", _reason(e), "a path to a file") from None
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


def check_writable(path: Path | None) -> None:
    """Raise UnwritableFile now rather than after a minute's work. None is always fine."""
    if path is None:
        return
    asked = f"write {path}"
    if path.is_dir():
        raise UnwritableFile(asked, "it is a folder", "a path to a file")
    if not path.parent.is_dir():
        raise UnwritableFile(asked, f"there is no folder {path.parent}", "make it first")
    if not os.access(path.parent, os.W_OK):
        raise UnwritableFile(asked, f"the folder {path.parent} is read-only", "another folder")


def read_text(path: Path) -> str:
    """A text file's content. Raises UnreadableFile where it is missing or no text."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as e:
        raise UnreadableFile(f"read {path}", _reason(e), "a text file") from None
    except UnicodeDecodeError:
        raise UnreadableFile(f"read {path}", "it is not UTF-8 text", "a text file") from None


def _reason(e: OSError) -> str:
    return (e.strerror or str(e)).lower()
