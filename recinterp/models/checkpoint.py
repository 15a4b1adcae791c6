"""A checkpoint: NAME.safetensors with the weights, NAME.json with all that is known about them.

    model = load("binary-successor-natural-depthcap3")     # shipped, or a path
    model.checkpoint.domain                                # what it was trained on
    save(model, "elsewhere/mine")

Weights are stored under TransformerLens's classic names, so either backend reads what the other
wrote. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from recinterp.errors import CheckpointError, RecinterpError, UnknownNameError
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends import hugging_face, native
from recinterp.models.training.config import ARCHITECTURES
from recinterp.models.training.resume import write_atomically
from recinterp.tasks import Domain, Task

FORMAT = "recinterp-checkpoint/1"
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")


@dataclass(frozen=True)
class Checkpoint:
    """What a model's JSON says: how it is built, for which task, on what it was trained."""

    name: str
    shape: Shape
    task: Task
    domain: Domain
    recipe: Mapping[str, object]
    history: Mapping[str, float]  # steps, and the last row's loss and share of exact examples
    versions: Mapping[str, str]
    known: Mapping[str, object] = field(
        default_factory=dict
    )  # what enumeration found, if it was run

    def to_json(self) -> dict[str, object]:
        """Plain values; `from_json` is the inverse."""
        return {
            "format": FORMAT,
            "name": self.name,
            "architecture": self.shape.to_json(),
            "task": self.task.to_json(),
            "domain": self.domain.to_json(),
            "recipe": dict(self.recipe),
            "history": dict(self.history),
            "versions": dict(self.versions),
            "known": dict(self.known),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, object]) -> Checkpoint:
        """Raises KeyError, TypeError or ValueError where it is not a checkpoint's JSON."""
        if said["format"] != FORMAT:
            raise ValueError(f"its format is {said['format']!r}")
        shape = dict(_require_object(said["architecture"]))
        if shape["kind"] not in ARCHITECTURES:
            raise ValueError(f"its architecture is {shape['kind']!r}")
        task = Task.from_json(_require_object(said["task"]))
        return cls(
            str(said["name"]),
            Shape(**shape),  # type: ignore[arg-type]
            task,
            Domain.from_json(_require_object(said["domain"]), task),
            _require_object(said["recipe"]),
            cast(dict[str, float], _require_object(said["history"])),
            cast(dict[str, str], _require_object(said["versions"])),
            _require_object(said.get("known", {})),
        )


def _require_object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    return value


def make_checkpoint(
    name: str,
    shape: Shape,
    task: Task,
    domain: Domain,
    recipe: Mapping[str, object],
    history: Mapping[str, float],
) -> Checkpoint:
    """A checkpoint's description, with the versions that are installed here."""
    return Checkpoint(name, shape, task, domain, recipe, history, _list_versions())


def _list_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("recinterp", "torch", "transformer-lens", "safetensors"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree that was never installed
            found[package] = "not installed"
    return found


def attach_checkpoint(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Let the model say where it comes from, as `model.checkpoint`."""
    model.__dict__["checkpoint"] = checkpoint


def save(model: nn.Module, path: str | Path, checkpoint: Checkpoint | None = None) -> Path:
    """Write PATH.safetensors and PATH.json, each whole or not at all; returns the JSON's path.

    Raises CheckpointError for a model without a description, NonFiniteWeightsError on NaN.
    """
    from safetensors.torch import save as to_bytes

    stem = _strip_suffix(Path(path))
    checkpoint = checkpoint or getattr(model, "checkpoint", None)
    if checkpoint is None:
        accepted = "a model from train() or load(), or save(model, path, checkpoint)"
        raise CheckpointError(f"save {stem}", "the model has no checkpoint description", accepted)
    weights = native.read_weights(model, checkpoint.shape)
    native.check_finite(weights, asked=f"save {stem}")
    data = to_bytes(
        {k: v.cpu().contiguous() for k, v in weights.items()}, metadata={"format": "pt"}
    )
    said = replace(checkpoint, name=stem.name).to_json()
    said["weights"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(_add_suffix(stem, ".safetensors"), data)
    write_atomically(_add_suffix(stem, ".json"), (json.dumps(said, indent=1) + "\n").encode())
    return _add_suffix(stem, ".json")


def load(name_or_path: str | Path) -> nn.Module:
    """A shipped checkpoint by name, or one at a path: a hooked model with `.checkpoint`.

    Of a folder that Hugging Face's `save_pretrained` has written: their model, without one.

    Raises UnknownNameError with the nearest names, CheckpointError for what is truncated, foreign,
    pickled or missing, NonFiniteWeightsError on NaN.
    """
    folder = Path(name_or_path)
    if folder.is_dir() and (folder / "config.json").exists():
        return hugging_face.load_folder(folder)
    stem = find_checkpoint(name_or_path)
    asked = f"load {name_or_path}"
    checkpoint, sums = _read_json(_add_suffix(stem, ".json"), asked)
    weights = _read_weights(_add_suffix(stem, ".safetensors"), sums, asked)
    native.check_finite(weights, asked=asked)
    try:
        model = native.build_hooked(checkpoint.shape, weights)
    except (KeyError, RuntimeError) as error:
        wrong = f"its weights do not fit its architecture ({_shorten(error)})"
        raise CheckpointError(asked, wrong, "the two files of one checkpoint") from error
    attach_checkpoint(model, checkpoint)
    return model


def list_shipped() -> dict[str, Path]:
    """The shipped checkpoints: name -> path without suffix."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "checkpoints", package.parent / "checkpoints"):  # wheel, source tree
        if folder.is_dir():
            return {
                path.stem: path.with_suffix("") for path in sorted(folder.glob("*.safetensors"))
            }
    return {}


def find_checkpoint(name_or_path: str | Path) -> Path:
    """Path without suffix of a checkpoint. Raises UnknownNameError or CheckpointError."""
    text, path, names = str(name_or_path), Path(name_or_path), list_shipped()
    asked = f"load {text}"
    if path.suffix.lower() in PICKLES:
        accepted = "a .safetensors file with its .json, as recinterp saves them"
        raise CheckpointError(
            asked, f"{path.suffix} files are pickles, never opened here", accepted
        )
    stem = _strip_suffix(path)
    if any(_add_suffix(stem, suffix).exists() for suffix in (".safetensors", ".json")):
        return stem
    if text in names:
        return names[text]
    if path.parent == Path() and path.suffix not in (".safetensors", ".json"):
        raise UnknownNameError(asked, text, names)
    raise CheckpointError(asked, "there is no such file", "a shipped name: " + ", ".join(names))


def _strip_suffix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in (".safetensors", ".json") else path


def _add_suffix(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def _read_json(path: Path, asked: str) -> tuple[Checkpoint, Mapping[str, object]]:
    accepted = "a JSON that recinterp has saved"
    try:
        said = _require_object(json.loads(path.read_text(encoding="utf-8")))
        return Checkpoint.from_json(said), _require_object(said["weights"])
    except FileNotFoundError as error:
        raise CheckpointError(asked, f"{path.name} is missing", accepted) from error
    except KeyError as error:
        raise CheckpointError(asked, f"{path.name} has no {error}", accepted) from error
    except (TypeError, ValueError, OSError, RecinterpError) as error:
        wrong = f"{path.name} is no checkpoint's description ({_shorten(error)})"
        raise CheckpointError(asked, wrong, accepted) from error


def _read_weights(path: Path, sums: Mapping[str, object], asked: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            asked, f"{path.name} is missing", "both files side by side"
        ) from error
    if len(data) != sums.get("bytes"):
        wrong = f"{path.name} has {len(data)} bytes and its JSON says {sums.get('bytes')}"
        raise CheckpointError(asked, f"{wrong}: truncated, or another file", "a complete copy")
    if hashlib.sha256(data).hexdigest() != sums.get("sha256"):
        wrong = f"{path.name} is not the file its JSON was written for"
        raise CheckpointError(asked, wrong, "the two files of one checkpoint")
    try:
        return from_bytes(data)
    except (SafetensorError, ValueError, KeyError) as error:
        wrong = f"{path.name} is no safetensors file ({_shorten(error)})"
        raise CheckpointError(asked, wrong, "a file that recinterp has saved") from error


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
