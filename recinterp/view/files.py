"""Files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from recinterp.errors import RecinterpError


class UnwritableFile(RecinterpError):
    """A result cannot be written where it was asked for."""


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


def _reason(e: OSError) -> str:
    return (e.strerror or str(e)).lower()
