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

from recinterp.errors import (
    CheckpointError,
    IncompatibleModelError,
    RecinterpError,
    UnknownNameError,
)
from recinterp.io import check_folder
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends import hugging_face, native
from recinterp.models.training.config import CHOICES
from recinterp.models.training.resume import write_atomically
from recinterp.tasks import Domain, Task
from recinterp.tasks.arguments import check_kind, describe

FORMAT = "recinterp-checkpoint/1"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a model's JSON records: how it is built, for which task, on what it was trained.

    Attributes:
        name: Name of the checkpoint.
        shape: Sizes and architecture.
        task: The task, with its encoding.
        domain: The inputs that the model was trained on.
        recipe: The fields of its TrainConfig, as plain values.
        history: `steps`, and of the last row of the history `loss` (nats per token) and `exact`
            (share of exact examples).
        versions: Versions of Python and of the libraries that trained it, by name.
        known: Results of running every input up to a length (ExhaustiveAccuracy.to_json); empty
            if that was not done.
    """

    name: str
    shape: Shape
    task: Task
    domain: Domain
    recipe: Mapping[str, object]
    history: Mapping[str, float]
    versions: Mapping[str, str]
    known: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Plain values, which `from_json` reads."""
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
    def from_json(cls, data: Mapping[str, object]) -> Checkpoint:
        """Read what `to_json` made.

        Args:
            data: Plain values.

        Raises:
            KeyError: A part is missing.
            TypeError: A part has another type.
            ValueError: The format or the architecture is unknown.
        """
        if data["format"] != FORMAT:
            raise ValueError(f"its format is {data['format']!r}")
        shape = dict(_require_object(data["architecture"]))
        if shape["kind"] not in CHOICES["architecture"]:
            raise ValueError(f"its architecture is {shape['kind']!r}")
        task = Task.from_json(_require_object(data["task"]))
        return cls(
            name=str(data["name"]),
            shape=Shape(**shape),  # type: ignore[arg-type]
            task=task,
            domain=Domain.from_json(_require_object(data["domain"]), task),
            recipe=_require_object(data["recipe"]),
            history=cast(dict[str, float], _require_object(data["history"])),
            versions=cast(dict[str, str], _require_object(data["versions"])),
            known=_require_object(data.get("known", {})),
        )

    def __repr__(self) -> str:
        """One line on each thing a reader needs: task, model, domain, training, accuracy."""
        domain = {k: v for k, v in self.domain.to_json().items() if v is not None}
        history = ", ".join(f"{k} {v:g}" for k, v in self.history.items())
        lines = [
            f"Checkpoint {self.name!r}",
            f"  task      {self.task.name}, {self.task.order} order",
            f"  model     {self.shape.describe()}",
            f"  trained   {history}",
            f"  domain    {', '.join(f'{k} {_shorten(v, 40)}' for k, v in domain.items())}",
        ]
        if "right" in self.known:
            counts = f"{self.known['right']} of {self.known['inputs']} inputs"
            lines.append(f"  accuracy  {counts} up to {self.known['max_length']} tokens")
        return "\n".join(lines)


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
    """Describe a model, with the versions that are installed here."""
    return Checkpoint(
        name=name,
        shape=shape,
        task=task,
        domain=domain,
        recipe=recipe,
        history=history,
        versions=_list_versions(),
    )


def _list_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("recinterp", "torch", "transformer-lens", "safetensors"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree that was never installed
            found[package] = "not installed"
    return found


def attach_checkpoint(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Set `model.checkpoint`, which records where the model comes from."""
    model.__dict__["checkpoint"] = checkpoint


def save(model: nn.Module, path: str | Path, checkpoint: Checkpoint | None = None) -> Path:
    """Write PATH.safetensors and PATH.json, each whole or not at all.

    Args:
        model: A hooked model.
        path: Path of the checkpoint, with or without a suffix.
        checkpoint: The description to write; None: the model's own.

    Returns:
        Path of the JSON.

    Raises:
        CheckpointError: The model has no description.
        NonFiniteWeightsError: A weight is NaN or infinite.
        UnwritableFileError: The files cannot be written.
    """
    from safetensors.torch import save as to_bytes

    stem = _strip_suffix(Path(path))
    checkpoint = checkpoint or getattr(model, "checkpoint", None)
    if checkpoint is None:
        hint = "save a model from train() or load(), or call save(model, path, checkpoint)"
        raise CheckpointError(f"save {stem}", "the model has no checkpoint description", hint)
    weights = native.read_weights(model, checkpoint.shape)
    native.check_finite(weights, operation=f"save {stem}")
    data = to_bytes(
        {k: v.cpu().contiguous() for k, v in weights.items()}, metadata={"format": "pt"}
    )
    described = replace(checkpoint, name=stem.name).to_json()
    described["weights"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    check_folder(stem.parent, len(data))
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(_add_suffix(stem, ".safetensors"), data)
    write_atomically(_add_suffix(stem, ".json"), (json.dumps(described, indent=1) + "\n").encode())
    return _add_suffix(stem, ".json")


def load(name_or_path: str | Path) -> nn.Module:
    """Load a model.

    Args:
        name_or_path: Name of a shipped checkpoint, path of a checkpoint with or without a suffix,
            or a folder that Hugging Face's `save_pretrained` wrote.

    Returns:
        A hooked model in evaluation mode, with its `.checkpoint`; of a Hugging Face folder the
        model itself, without one.

    Raises:
        UnknownNameError: No checkpoint has this name; the nearest names are listed.
        CheckpointError: The file is truncated, foreign, pickled or missing.
        NonFiniteWeightsError: A weight is NaN or infinite.
    """
    _check_name(name_or_path)
    folder = Path(name_or_path)
    if folder.is_dir() and (folder / "config.json").exists():
        return hugging_face.load_folder(folder)
    stem = find_checkpoint(name_or_path)
    operation = f"load {name_or_path}"
    checkpoint, sums = _read_json(_add_suffix(stem, ".json"), operation)
    weights = _read_weights(_add_suffix(stem, ".safetensors"), sums, operation)
    native.check_finite(weights, operation=operation)
    try:
        model = native.build_hooked(checkpoint.shape, weights)
    except (KeyError, RuntimeError) as error:
        problem = f"its weights do not fit its architecture ({_shorten(error)})"
        raise CheckpointError(operation, problem, "use both files of one checkpoint") from error
    attach_checkpoint(model, checkpoint)
    return model


def _check_name(name: object) -> None:
    """Raise CheckpointError where a name or path is of another kind, or can be no path."""
    hint = "use a path or a shipped name: " + ", ".join(list_shipped())
    check_kind(name, (str, Path), "load a model", "the name", hint, CheckpointError)
    text = str(name)
    if not text.strip() or "\0" in text or len(text) > 4000 or text == str(Path(text).anchor):
        raise CheckpointError("load a model", f"the name is {describe(text)}", hint)


def _is_saved_explanation(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"recinterp-explanation" in file.read(200)
    except OSError:
        return False


def find_contradiction(model: object, task: Task) -> str:
    """What a model's checkpoint records otherwise than the task says, as a clause, or nothing.

    Args:
        model: A model, with or without a checkpoint.
        task: The task that it is run or explained on.

    Returns:
        For instance "the checkpoint says reverse order and the task natural order"; empty where
        they agree, or there is no checkpoint.
    """
    checkpoint = getattr(model, "checkpoint", None)
    if not isinstance(checkpoint, Checkpoint):
        return ""
    trained = checkpoint.task
    pairs = [
        ("order", f"{trained.order} order", f"{task.order} order"),
        ("function", f"the function {trained.function}", task.function),
        ("template", f"the template {trained.template}", task.template),
        ("source", f"the program of {trained.name}", "another one"),
    ]
    for name, there, here in pairs:
        if getattr(trained, name) != getattr(task, name, None):
            return f"the checkpoint says {there} and the task {here}"
    return ""


def check_recorded_ids(model: object, task: Task, *, operation: str) -> None:
    """Raise IncompatibleModelError where a checkpoint records other token ids than the task has."""
    checkpoint = getattr(model, "checkpoint", None)
    if not isinstance(checkpoint, Checkpoint):
        return
    trained = checkpoint.task.ids
    for token, i in task.ids.items():
        if trained.get(token, i) != i:
            problem = f"the checkpoint was trained with id {trained[token]} for {token}"
            hint = "use model.checkpoint.task, or its ids in task.with_vocab(…)"
            raise IncompatibleModelError(operation, f"{problem}, and the task has {i}", hint)


def check_recorded_order(model: object, task: Task, *, operation: str) -> None:
    """Raise IncompatibleModelError where a checkpoint was trained on tokens in the other order."""
    checkpoint = getattr(model, "checkpoint", None)
    if isinstance(checkpoint, Checkpoint) and checkpoint.task.order != task.order:
        hint = "use model.checkpoint.task, or the task in that order"
        raise IncompatibleModelError(operation, find_contradiction(model, task), hint)


def list_shipped() -> dict[str, Path]:
    """List the shipped checkpoints: name -> path without suffix."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "checkpoints", package.parent / "checkpoints"):  # wheel, source tree
        if folder.is_dir():
            return {
                path.stem: path.with_suffix("") for path in sorted(folder.glob("*.safetensors"))
            }
    return {}


def find_checkpoint(name_or_path: str | Path) -> Path:
    """Find a checkpoint; the result is its path without suffix.

    Raises:
        UnknownNameError: No checkpoint has this name.
        CheckpointError: The path is a pickle's, or there is no such file.
    """
    text, path, names = str(name_or_path), Path(name_or_path), list_shipped()
    operation = f"load {text}"
    if path.suffix.lower() in (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt"):
        problem = f"{path.suffix} files are pickles, which are never opened here"
        hint = "use a .safetensors file with its .json, as recinterp saves them"
        raise CheckpointError(operation, problem, hint)
    stem = _strip_suffix(path)
    if path.is_file() and _is_saved_explanation(path):
        hint = f"load it with ri.Explanation.load({text!r})"
        raise CheckpointError(operation, "it is a saved explanation, and not a model", hint)
    if stem.name in ("", ".."):
        hint = "name one of the files in it"
        raise CheckpointError(operation, f"{text!r} is a folder", hint)
    if any(_add_suffix(stem, suffix).exists() for suffix in (".safetensors", ".json")):
        return stem
    if text in names:
        return names[text]
    if path.parent == Path() and path.suffix not in (".safetensors", ".json"):
        raise UnknownNameError(operation, text, names)
    hint = "use a path or a shipped name: " + ", ".join(names)
    raise CheckpointError(operation, "there is no such file", hint)


def _strip_suffix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in (".safetensors", ".json") else path


def _add_suffix(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def _read_json(path: Path, operation: str) -> tuple[Checkpoint, Mapping[str, object]]:
    hint = "use a JSON that recinterp saved"
    try:
        described = _require_object(json.loads(path.read_text(encoding="utf-8")))
        return Checkpoint.from_json(described), _require_object(described["weights"])
    except FileNotFoundError as error:
        raise CheckpointError(operation, f"{path.name} is missing", hint) from error
    except KeyError as error:
        raise CheckpointError(operation, f"{path.name} has no {error}", hint) from error
    except (TypeError, ValueError, OSError, RecinterpError) as error:
        problem = f"{path.name} describes no checkpoint ({_shorten(error)})"
        raise CheckpointError(operation, problem, hint) from error


def _read_weights(path: Path, sums: Mapping[str, object], operation: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    try:
        data = path.read_bytes()
    except OSError as error:
        hint = "put both files into one folder"
        raise CheckpointError(operation, f"{path.name} is missing", hint) from error
    if len(data) != sums.get("bytes"):
        counts = f"{path.name} has {len(data)} bytes and its JSON records {sums.get('bytes')}"
        problem = f"{counts}, so it is truncated or another file"
        raise CheckpointError(operation, problem, "use a complete copy")
    if hashlib.sha256(data).hexdigest() != sums.get("sha256"):
        problem = f"{path.name} is not the file its JSON was written for"
        raise CheckpointError(operation, problem, "use both files of one checkpoint")
    try:
        return from_bytes(data)
    except (SafetensorError, ValueError, KeyError) as error:
        problem = f"{path.name} is no safetensors file ({_shorten(error)})"
        raise CheckpointError(operation, problem, "use a file that recinterp saved") from error


def _shorten(value: object, length: int = 160) -> str:
    return " ".join(str(value).split())[:length]
