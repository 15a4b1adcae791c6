"""Models trained elsewhere on the command line: token ids, specials and template from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import recinterp as ri
from recinterp.errors import TaskError, UnreadableFileError
from recinterp.tasks.vocab_file import describe_prompt, describe_vocab, guess_vocab, read_vocab
from tests.cli.outcome import Run, refused

TASK = ri.task("binary-successor")
FILLED: dict[str, Any] = {
    "ids": {"X0": 4, "X1": 5, "01": 3},
    "specials": {"pad": 0, "sep": 1, "eos": 2, "bos": None},
    "template": "{input}{sep}{output}{eos}",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ids.json"
    path.write_text(json.dumps(FILLED))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 that was trained elsewhere, with a tokenizer."""
    from transformers import GPT2Config, GPT2LMHeadModel

    path = tmp_path_factory.mktemp("gpt2")
    sizes = {"n_embd": 16, "n_head": 2, "n_layer": 1, "n_positions": 24, "vocab_size": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(path)
    words = {"<pad>": 0, "=": 1, "</e>": 2, "01": 3, "ĠX0": 4, "x1": 5, "<s>": 6}
    (path / "tokenizer.json").write_text(
        json.dumps({"model": {"type": "BPE", "vocab": words}, "added_tokens": []})
    )
    (path / "tokenizer_config.json").write_text(
        json.dumps({"pad_token": "<pad>", "eos_token": {"content": "</e>"}, "bos_token": "<s>"})
    )
    return path


def test_a_file_gives_a_task_its_ids(file: Path) -> None:
    expected = TASK.with_vocab(FILLED["ids"], pad=0, sep=1, eos=2)
    assert read_vocab(TASK, file) == expected
    assert read_vocab(TASK, file).prompt(["X1", "01"]) == [5, 3, 1]
    assert "row [4" in describe_prompt(expected) or "row [5" in describe_prompt(expected)


def test_models_without_an_end_and_with_a_beginning(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    specials = {"pad": 0, "sep": 1, "eos": None, "bos": 6}
    template = "{bos}{input}{sep}{output}"
    path.write_text(json.dumps(FILLED | {"specials": specials, "template": template}))
    task = read_vocab(TASK, path)
    assert (task.eos, task.prompt(["01"]), task.target(["01"])) == (None, [6, 3, 1], [3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": {"X0": 4, "X1": 5}}, "the id of 01 is missing"),
        ({"ids": FILLED["ids"] | {"X0": "?"}}, "X0 is still to be filled in"),
        ({"ids": FILLED["ids"] | {"X0": None}}, "the id of X0 is None"),
        ({"ids": FILLED["ids"] | {"X0": 4.0}}, "the id of X0 is 4.0"),
        ({"ids": FILLED["ids"] | {"X2": 7}}, "'X2' is no token"),
        ({"ids": FILLED["ids"] | {"X0": 5}}, "share"),
        ({"specials": {"pad": 0, "sep": 1}}, "the id of eos is missing"),
        ({"specials": None}, "it has no specials"),
        ({"templates": ""}, "an unknown part 'templates'"),
        ({"template": "{input}{output}"}, "template"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "ids.json"
    path.write_text(json.dumps(FILLED | change))
    with pytest.raises(TaskError, match=message):
        read_vocab(TASK, path)


def test_the_file_to_fill_in_is_printed(run: Run, tmp_path: Path) -> None:
    code, out, err = run("vocab", "--task", "list-append")
    assert code == 0
    assert json.loads(out) == describe_vocab(ri.task("list-append"))
    assert json.loads(out)["ids"].keys() == {"a", "b", "c", "d", ","}
    assert "to be filled in: a, b, c, d, ,, pad, sep, eos" in err
    refused(run("vocab"), "--task")
    refused(run("vocab", tmp_path, "--task", "list-append"), "tokenizer.json")


def test_ids_are_guessed_from_a_tokenizer(run: Run, folder: Path) -> None:
    code, out, err = run("vocab", folder, "--task", "binary-successor")
    assert code == 0
    assert json.loads(out) == FILLED
    task = TASK.with_vocab(FILLED["ids"], pad=0, sep=1, eos=2)
    assert err.strip() == describe_prompt(task)


def test_other_tokenizer_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[SEP]\n01\nX0\n##X1\n")
    found = guess_vocab(TASK, tmp_path)
    assert found["ids"] == {"01": 2, "X0": 3, "X1": 4}
    assert found["specials"]["sep"] == 1
    (tmp_path / "vocab.json").write_text("{}")
    assert guess_vocab(TASK, tmp_path)["ids"]["X0"] == "?"
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(UnreadableFileError, match="tokenizer"):
        guess_vocab(TASK, tmp_path)


@pytest.mark.slow
def test_a_folder_is_explained_with_its_ids_only(
    run: Run,
    folder: Path,
    file: Path,
    tmp_path: Path,
) -> None:
    given = ("explain", folder, "--task", "binary-successor", "--max-length", 4)
    refused(run(*given), "does not record its token ids", '"ids": {"01": "?"', "recinterp vocab")
    saved = tmp_path / "gpt2.ex"
    code, _, err = run(*given, "--vocab", file, "--save", saved)
    assert code == 0, err
    assert "is the row [" in err
    ex = ri.Explanation.load(saved)
    assert ex.task.prompt(["X1", "01"]) == [5, 3, 1]
    missing = tmp_path / "none.json"
    refused(run(*given, "--vocab", missing), "none.json")
    missing.write_text("{")
    refused(run(*given, "--vocab", missing), "no JSON")
