"""Token ids, specials and template in a JSON file: written to be filled in, guessed, and read.

    {"ids": {"X0": 4, "X1": 5, "01": 3},
     "specials": {"pad": 0, "sep": 1, "eos": 2, "bos": null},
     "template": "{input}{sep}{output}{eos}"}

An id that is still to be filled in is "?"; `null` is a special that the model does not have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from recinterp.errors import TaskError, UnreadableFileError
from recinterp.io import read_text
from recinterp.tasks.task import Task
from recinterp.tasks.template import SPECIALS, TEMPLATE

VocabFile: TypeAlias = dict[str, Any]
UNKNOWN = "?"
NAMES = ("pad", "sep", "eos", "bos")
MARKS = ("", "Ġ", "▁", "##")  # how tokenizers write a token that begins or continues a word
SEPARATORS = ("[SEP]", "</s>", "<sep>", "<|sep|>", "=", "→", "->", ":", ">", "|")


def describe_vocab(task: Task) -> VocabFile:
    """The file for a task, with every id to be filled in."""
    words = [token for token in task.vocab if token not in SPECIALS]
    return {
        "ids": dict.fromkeys(words, UNKNOWN),
        "specials": {"pad": UNKNOWN, "sep": UNKNOWN, "eos": UNKNOWN, "bos": None},
        "template": TEMPLATE,
    }


def guess_vocab(task: Task, folder: Path) -> VocabFile:
    """The file for a task and a tokenizer folder, with the ids that the tokenizer has.

    Args:
        task: The task.
        folder: A folder with tokenizer.json, vocab.json or vocab.txt, as Hugging Face writes them.

    Raises:
        UnreadableFileError: The folder holds no such file, or one that cannot be read.
    """
    known, found = _read_tokenizer(folder), describe_vocab(task)
    for token in found["ids"]:
        found["ids"][token] = _find_id(known, token)
    settings = _read_settings(folder)
    named = {name: settings.get(f"{name}_token") for name in NAMES}
    specials = {name: known.get(text, UNKNOWN) for name, text in named.items() if text is not None}
    if "sep" not in specials:
        free = [known[x] for x in SEPARATORS if x in known and x not in found["ids"]]
        specials["sep"] = free[0] if free else UNKNOWN
    specials.setdefault("pad", specials.get("eos", UNKNOWN))
    has_bos = settings.get("add_bos_token") and specials.get("bos", UNKNOWN) != UNKNOWN
    found["specials"] |= specials | {"bos": specials.get("bos") if has_bos else None}
    found["template"] = ("{bos}" if has_bos else "") + TEMPLATE
    return found


def _find_id(known: Mapping[str, int], token: str) -> int | str:
    ways = (mark + text for text in (token, token.lower(), token.upper()) for mark in MARKS)
    return next((known[way] for way in ways if way in known), UNKNOWN)


def _read_tokenizer(folder: Path) -> dict[str, int]:
    """Token -> id, from any of the files that a tokenizer is saved in."""
    operation, hint = f"read the tokenizer in {folder}", "pass a folder with tokenizer.json"
    try:
        if (folder / "tokenizer.json").is_file():
            data = _read_json(folder / "tokenizer.json")
            vocab = data["model"]["vocab"]
            if isinstance(vocab, list):  # of a unigram model: pairs of a token and its score
                vocab = {token: i for i, (token, _) in enumerate(vocab)}
            return {**vocab, **{x["content"]: x["id"] for x in data.get("added_tokens", ())}}
        if (folder / "vocab.json").is_file():
            added = folder / "added_tokens.json"
            return _read_json(folder / "vocab.json") | (
                _read_json(added) if added.is_file() else {}
            )
        if (folder / "vocab.txt").is_file():
            lines = read_text(folder / "vocab.txt").splitlines()
            return {token: i for i, token in enumerate(lines)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFileError(operation, f"it is none ({error!r})", hint) from None
    raise UnreadableFileError(operation, "it has no tokenizer.json, vocab.json or vocab.txt", hint)


def _read_settings(folder: Path) -> dict[str, Any]:
    """What the tokenizer says of its special tokens."""
    settings: dict[str, Any] = {}
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = folder / name
        if path.is_file():
            try:
                settings |= dict(_read_json(path))
            except (ValueError, TypeError):
                continue
    return {
        k: v["content"] if isinstance(v, dict) and "content" in v else v
        for k, v in settings.items()
    }


def _read_json(path: Path) -> Any:
    return json.loads(read_text(path))


def list_unknown(found: VocabFile) -> list[str]:
    """The names in a file whose ids are still to be filled in."""
    return [
        name
        for part in ("ids", "specials")
        for name, value in found[part].items()
        if value == UNKNOWN
    ]


def read_vocab(task: Task, path: Path) -> Task:
    """The task with the ids, the specials and the template of a file.

    Args:
        task: The task.
        path: A file as `describe_vocab` gives it.

    Raises:
        TaskError: The file does not fit the task: an id is missing, is none, or is shared.
        UnreadableFileError: The file is missing, or no JSON.
    """
    try:
        data = _read_json(path)
    except ValueError as error:
        hint = f"write {json.dumps(describe_vocab(task), ensure_ascii=False)}"
        raise UnreadableFileError(f"read {path}", f"it is no JSON ({error})", hint) from None
    for problem in _find_problems(task, data):
        hint = f"write {json.dumps(describe_vocab(task), ensure_ascii=False)}"
        raise TaskError(f"read token ids from {path}", problem, hint)
    specials = {"bos": None} | data["specials"]
    return task.with_vocab(
        data["ids"],
        **specials,
        template=data.get("template", TEMPLATE),
        output_length=data.get("output_length"),
    )


def _find_problems(task: Task, data: Any) -> Iterator[str]:
    """What is wrong with a file, as clauses."""
    if not isinstance(data, dict):
        yield "it is no object"
        return
    for part in ("ids", "specials"):
        if not isinstance(data.get(part), dict):
            yield f"it has no {part}"
            return
    yield from _find_unknown_names(task, data)
    yield from _find_missing_ids(task, data)
    yield from _find_wrong_ids(data)


def _find_unknown_names(task: Task, data: VocabFile) -> Iterator[str]:
    """Parts of a file that it should not have, and names of which the task knows nothing."""
    known = {"ids", "specials", "template", "output_length"}
    for name in data.keys() - known:
        yield f"it has an unknown part {name!r}"
    if not isinstance(data.get("template", TEMPLATE), str):
        yield "its template is no text"
    expected = describe_vocab(task)
    for part in ("ids", "specials"):
        for name in data[part].keys() - expected[part].keys():
            yield f"{name!r} is no {'token' if part == 'ids' else 'special'} of {task.name}"


def _find_missing_ids(task: Task, data: VocabFile) -> Iterator[str]:
    expected = describe_vocab(task)
    optional = ("bos",)
    for part in ("ids", "specials"):
        for name in expected[part]:
            if name not in data[part] and name not in optional:
                yield f"the id of {name} is missing"


def _find_wrong_ids(data: VocabFile) -> Iterator[str]:
    """Ids that are still to be filled in, and those that are no numbers."""
    for part in ("ids", "specials"):
        for name, value in data[part].items():
            if value == UNKNOWN:
                yield f"the id of {name} is still to be filled in"
            elif value is None and name in ("eos", "bos"):
                continue
            elif type(value) is not int:
                yield f"the id of {name} is {value!r}, and no whole number"


def describe_prompt(task: Task) -> str:
    """A worked example: an input and its output, as tokens and as the ids of one row."""
    lengths = (n for n in range(3, 12) if task.count(n))
    length = next(lengths, None)
    (x,) = task.sample(1, length=length) if length else task.sample(1)
    y = task.apply(x)
    return (
        f"{' '.join(x)} -> {' '.join(y)} is the row {task.prompt(x)} + {task.target(y)} "
        f"(template {task.template})"
    )
