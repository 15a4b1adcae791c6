"""The state of an unfinished training run, in one file that is replaced in one step.

A kill at any moment leaves either the previous state or the new one, never a part. The file is
safetensors: weights, AdamW's moments, and a JSON text (step, history, recipe) in its header.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from recinterp.errors import CheckpointError

FILE = "unfinished.safetensors"


@dataclass(frozen=True)
class UnfinishedRun:
    """Steps done so far, history and its open window, the tensors of model and optimizer."""

    step: int
    history: tuple[tuple[float, ...], ...]
    window: tuple[float, float, int]
    tensors: Mapping[str, Tensor]


def save_unfinished(work: Path, state: UnfinishedRun, recipe: Mapping[str, object]) -> None:
    """Replace the state in `work`, atomically and through to the disk."""
    from safetensors.torch import save as to_bytes

    said = {"step": state.step, "history": state.history, "window": state.window}
    said |= {"recipe": recipe}
    data = to_bytes(dict(state.tensors), metadata={"recinterp": json.dumps(said)})
    work.mkdir(parents=True, exist_ok=True)
    write_atomically(work / FILE, data)


def load_unfinished(work: Path, recipe: Mapping[str, object]) -> UnfinishedRun | None:
    """The state in `work`, None if there is none. Raises CheckpointError if it is another run's."""
    from safetensors import SafetensorError, safe_open

    path, asked = work / FILE, f"resume from {work}"
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads(file.metadata()["recinterp"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            asked, f"{FILE} cannot be read ({error})", "an empty folder"
        ) from error
    if said["recipe"] != json.loads(json.dumps(recipe)):
        wrong = "it holds an unfinished run of another recipe"
        raise CheckpointError(asked, wrong, "another folder, or remove this one")
    rows, (loss, exact, n) = said["history"], said["window"]
    return UnfinishedRun(said["step"], tuple(tuple(row) for row in rows), (loss, exact, n), tensors)


def delete_unfinished(work: Path) -> None:
    """Forget the unfinished run, once it is finished."""
    (work / FILE).unlink(missing_ok=True)


def collect_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Every tensor that the next step depends on, copied."""
    out = {f"model.{name}": p.detach().clone() for name, p in model.named_parameters()}
    for name, p in model.named_parameters():
        for key, value in optimizer.state.get(p, {}).items():
            out[f"optimizer.{key}.{name}"] = value.detach().clone()
    return out


@torch.no_grad()
def restore_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """The inverse of `collect_tensors`, bit for bit."""
    named = dict(model.named_parameters())
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "model":
            named[rest].copy_(tensor)
        else:
            key, _, parameter = rest.partition(".")
            optimizer.state[named[parameter]][key] = tensor.clone()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that its name always shows a complete one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
