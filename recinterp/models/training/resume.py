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
from jaxtyping import Float
from torch import Tensor, nn

from recinterp.errors import CheckpointError

STATE_FILE = "unfinished.safetensors"


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
    """Replace the state in `work`, atomically and through to the disk."""
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
    """Write a file under another name, then rename it: a reader never meets half a file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
