"""The state of an unfinished training run, in one file that is replaced in one step.

A kill at any moment leaves either the previous state or the new one, never a part. The file is
safetensors: weights, AdamW's moments, and a JSON text (step, history, recipe) in its header.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recinterp.errors import CheckpointError, RunInProgressError, UnwritableFileError

STATE_FILE = "unfinished.safetensors"
LOCK_FILE = "lock"


@dataclass(frozen=True, kw_only=True)
class UnfinishedRun:
    """All that the next step of a training run depends on.

    Attributes:
        step: Steps done so far.
        history: The rows of the history so far: step, loss, share of exact examples.
        window: Summed loss, exact examples and examples since the last row.
        tensors: Parameters of the model, and AdamW's moments.
    """

    step: int
    history: tuple[tuple[float, ...], ...]
    window: tuple[float, float, int]
    tensors: Mapping[str, Float[Tensor, "..."]]


def save_unfinished(work: Path, state: UnfinishedRun, recipe: Mapping[str, object]) -> None:
    """Replace the state in `work`, atomically and through to the disk. UnwritableFileError."""
    from safetensors.torch import save as to_bytes

    fields = {"step": state.step, "history": state.history, "window": state.window}
    fields |= {"recipe": recipe}
    data = to_bytes(dict(state.tensors), metadata={"recinterp": json.dumps(fields)})
    work.mkdir(parents=True, exist_ok=True)
    write_atomically(work / STATE_FILE, data)


def load_unfinished(work: Path, recipe: Mapping[str, object]) -> UnfinishedRun | None:
    """Read the state in `work`; None if there is none.

    Args:
        work: Folder of the run.
        recipe: The recipe that the run has to have.

    Raises:
        CheckpointError: The file is damaged, or holds a run of another recipe.
    """
    from safetensors import SafetensorError, safe_open

    path, operation = work / STATE_FILE, f"resume a training run from {work}"
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            fields = json.loads(file.metadata()["recinterp"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        problem = f"{STATE_FILE} cannot be read ({error})"
        raise CheckpointError(operation, problem, "use an empty folder") from error
    if fields["recipe"] != json.loads(json.dumps(recipe)):
        problem = "it holds an unfinished run of another recipe"
        raise CheckpointError(operation, problem, "use another folder, or remove this one")
    loss, exact, n = fields["window"]
    return UnfinishedRun(
        step=fields["step"],
        history=tuple(tuple(row) for row in fields["history"]),
        window=(loss, exact, n),
        tensors=tensors,
    )


def delete_unfinished(work: Path) -> None:
    """Delete the state in `work`, if there is one."""
    (work / STATE_FILE).unlink(missing_ok=True)


def collect_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Copy every tensor that the next step depends on."""
    out = {f"model.{name}": p.detach().clone() for name, p in model.named_parameters()}
    for name, p in model.named_parameters():
        for key, value in optimizer.state.get(p, {}).items():
            out[f"optimizer.{key}.{name}"] = value.detach().clone()
    return out


@torch.no_grad()
def restore_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Put the tensors of `collect_tensors` back, bit for bit."""
    named = dict(model.named_parameters())
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "model":
            named[rest].copy_(tensor)
        else:
            key, _, parameter = rest.partition(".")
            optimizer.state[named[parameter]][key] = tensor.clone()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under another name, then rename it: a reader never meets half a file.

    Raises:
        UnwritableFileError: If it cannot be written; what was there before is unchanged.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        hint = "free some space, or pass another path; what was saved before is unchanged"
        raise UnwritableFileError(f"write {path}", reason, hint) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def lock_run(work: Path) -> Iterator[None]:
    """Hold the folder of a run; a lock ends with its process, however that ends.

    Raises:
        RunInProgressError: If another run holds the folder.
        UnwritableFileError: If the lock cannot be written.
    """
    work.mkdir(parents=True, exist_ok=True)
    path = work / LOCK_FILE
    file = _open_locked(path, work)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)  # before the lock is released: nobody else's is removed
        file.close()


def _open_locked(path: Path, work: Path) -> IO[str]:
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            _lock(file)
        except OSError:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            problem = f"process {holder or 'unknown'} is training there"
            hint = "wait until it has ended, or use another folder"
            raise RunInProgressError(f"train in {work}", problem, hint) from None
        same = path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
        if same:  # else a run that ended in between has removed it: the next one makes another
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file
        file.close()


def _lock(file: IO[str]) -> None:
    """Lock an open file, or raise OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
