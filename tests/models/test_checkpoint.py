"""Checkpoints: what is saved comes back, what is broken is refused with one clear error."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch

import recinterp as ri
from recinterp.errors import CheckpointError, NonFiniteWeightsError, UnknownNameError
from recinterp.models import TrainingRun, list_shipped, save
from recinterp.models.backends import native
from recinterp.models.backends import transformer_lens as backend

pytestmark = pytest.mark.backend


@pytest.fixture
def saved(run: TrainingRun, tmp_path: Path) -> Path:
    """A fresh checkpoint's path, without suffix."""
    run.save(tmp_path / "mine")
    return tmp_path / "mine"


def test_save_and_load_round_trip(run: TrainingRun, task: ri.Task, saved: Path) -> None:
    for path in (saved, saved.with_suffix(".json"), str(saved) + ".safetensors"):
        model = ri.load(path)
        inputs = list(task.inputs(5))
        assert ri.predict(model, task, inputs) == ri.predict(run.model, task, inputs)
        assert model.checkpoint.name == "mine"
        assert model.checkpoint.task == task
        assert model.checkpoint.domain == ri.Domain(max_length=5)
        assert model.checkpoint.recipe["steps"] == 150
        assert (
            model.checkpoint.versions["torch"] == torch.__version__.split("+")[0]
            or "+" in torch.__version__
        )


def test_a_loaded_model_is_saved_again_byte_for_byte(saved: Path) -> None:
    again = saved.parent / "again"
    save(ri.load(saved), again)
    assert (
        again.with_suffix(".safetensors").read_bytes()
        == saved.with_suffix(".safetensors").read_bytes()
    )


def test_a_name_may_contain_dots(run: TrainingRun, tmp_path: Path) -> None:
    run.save(tmp_path / "lr0.002")
    assert {p.name for p in tmp_path.iterdir()} == {"lr0.002.json", "lr0.002.safetensors"}
    assert ri.load(tmp_path / "lr0.002").checkpoint.name == "lr0.002"


def test_a_truncated_file_raises(saved: Path) -> None:
    whole = saved.with_suffix(".safetensors")
    whole.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="truncated"):
        ri.load(saved)


def test_weights_of_another_checkpoint_raise(saved: Path) -> None:
    whole = saved.with_suffix(".safetensors")
    data = bytearray(whole.read_bytes())
    data[-1] ^= 1
    whole.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="not the file its JSON was written for"):
        ri.load(saved)


def test_a_missing_safetensors_file_raises(saved: Path) -> None:
    saved.with_suffix(".safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"mine\.safetensors is missing"):
        ri.load(saved)


def test_a_missing_json_raises(saved: Path) -> None:
    saved.with_suffix(".json").unlink()
    with pytest.raises(CheckpointError, match=r"mine\.json is missing"):
        ri.load(saved)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "gpt2"}', "\x00\x01", '{"format": '])
def test_a_json_of_another_format_raises(saved: Path, text: str) -> None:
    saved.with_suffix(".json").write_text(text)
    with pytest.raises(CheckpointError, match=r"mine\.json"):
        ri.load(saved)


def test_sizes_that_do_not_fit_the_weights_raise(saved: Path) -> None:
    path = saved.with_suffix(".json")
    data = json.loads(path.read_text())
    data["architecture"]["d_model"] = 32
    path.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match="do not fit its architecture"):
        ri.load(saved)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".bin"])
def test_a_pickle_is_never_opened(tmp_path: Path, suffix: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "opened"),))

    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="pickle"):
        ri.load(path)
    assert not (tmp_path / "opened").exists()


def test_a_pickle_under_the_right_name_is_never_opened(saved: Path) -> None:
    saved.with_suffix(".safetensors").write_bytes(pickle.dumps({"embed.W_E": [0.0]}))
    with pytest.raises(CheckpointError):
        ri.load(saved)


def test_nan_weights_are_neither_saved_nor_loaded(run: TrainingRun, saved: Path) -> None:
    model = ri.load(saved)
    with torch.no_grad():
        next(model.parameters())[0, 0] = torch.nan
    before = saved.with_suffix(".json").read_bytes()
    with pytest.raises(NonFiniteWeightsError, match="NaN"):
        save(model, saved)
    assert saved.with_suffix(".json").read_bytes() == before
    rewrite(saved, "embed.W_E", torch.inf)
    with pytest.raises(NonFiniteWeightsError, match=r"embed\.W_E"):
        ri.load(saved)


def rewrite(stem: Path, name: str, value: float) -> None:
    """Spoil one number, and make the JSON agree: the file is intact, its weights are not."""
    import hashlib

    from safetensors.torch import load, save

    path, described = stem.with_suffix(".safetensors"), stem.with_suffix(".json")
    weights = load(path.read_bytes())
    weights[name][0, 0] = value
    data = save(weights, metadata={"format": "pt"})
    path.write_bytes(data)
    fields = json.loads(described.read_text())
    fields["weights"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    described.write_text(json.dumps(fields))


def test_an_unknown_name_raises_and_lists_the_nearest() -> None:
    assert "binary-successor-natural" in list_shipped()
    with pytest.raises(UnknownNameError, match=r"did you mean .*binary-successor-natural"):
        ri.load("binary-sucessor-natural")


def test_a_missing_path_raises(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        ri.load(tmp_path / "nothing.safetensors")


def test_saving_a_model_without_a_description_raises(
    model: torch.nn.Module, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint description"):
        save(model, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_an_unembedding_bias_is_loaded_or_raises(run: TrainingRun, saved: Path) -> None:
    # A HookedTransformer has one and a native bridge has not: never dropped in silence.
    shape = run.checkpoint.shape
    weights = native.read_weights(run.model, shape)
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    weights["unembed.b_U"][2] = 1.0
    if backend.has_bridge():
        with pytest.raises(CheckpointError, match="unembedding bias"):
            native.build_hooked(shape, weights)
    else:
        model = native.build_hooked(shape, weights)
        assert torch.equal(native.read_weights(model, shape)["unembed.b_U"], weights["unembed.b_U"])


@pytest.mark.parametrize("name", [".", ".."])
def test_a_folder_is_no_checkpoint(name: str) -> None:
    with pytest.raises(CheckpointError, match="is a folder"):
        ri.load(name)
