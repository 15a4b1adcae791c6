"""Finds words that readers have to decode, in identifiers and in text that users see.

    python scripts/lint_words.py                 the whole repository
    python scripts/lint_words.py recinterp/judge some files or folders
    python scripts/lint_words.py --count         how many there are, by folder

Checked are identifiers of recinterp/, scripts/ and benchmarks/, the names of tests, string literals
of recinterp/ that are no docstrings, its JavaScript, and the text of docs/, tutorials/, README.md
and CONTRIBUTING.md outside of block quotes. `make lint` runs it.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADVICE = {
    "told": "predicted exactly, told apart -> distinguished",
    "foretell": "predict",
    "foretells": "predicts",
    "foretold": "predicted",
    "kept": "exact precision (of claims), cached, retained, saved",
    "road": "backend (of an engine), search strategy (of a synthesis)",
    "behind": "after",
    "astray": "diverging",
    "alone": "without this rule, only, by itself, single",
    "said": "predicted (tokens), written, reported",
    "sure": "certain, reliable",
    "rival": "equivalent machine, alternative",
    "rivals": "equivalent machines, alternatives",
    "blame": "locate the fault, fault localization",
}
BOUNDS = {"most": "max_…", "few": "min_…", "fewest": "min_…"}
# Names of other libraries.
FOREIGN = {"most_common"}

# Strings that seed random generators: another word would draw other numbers, and change results.
# (file, text of the literal): why it stands.
EXEMPT: dict[tuple[str, str], str] = {}

SOURCES = ("recinterp", "scripts", "benchmarks", "tests")
PROSE = ("docs", "tutorials", "README.md", "CONTRIBUTING.md")
GENERATED = ("_build", ".ipynb_checkpoints")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A banned word at one place.

    Attributes:
        file: path relative to the repository.
        line: line of the word; in a notebook, the number of the cell.
        word: the banned word, lower case.
        where: the identifier, or the line of text, that it stands in.
    """

    file: str
    line: int
    word: str
    where: str

    def __str__(self) -> str:
        advice = (ADVICE | BOUNDS)[self.word]
        return f"{self.file}:{self.line}: {self.word} -> {advice}   [{self.where}]"


def identifier_words(name: str) -> list[str]:
    """The words that an identifier consists of: `maxSteps_of` of max, Steps, of."""
    return re.findall(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+", name)


def check_python(text: str, file: str) -> Iterator[Finding]:
    """The banned words of one Python file, by the rules for its folder."""
    folder = file.split("/")[0]
    in_tests = folder == "tests"
    banned = ADVICE if in_tests else ADVICE | BOUNDS
    for line, name in _test_names(text) if in_tests else _names(text):
        for word in identifier_words(name) if name not in FOREIGN else ():
            if word.lower() in banned:
                yield Finding(file=file, line=line, word=word.lower(), where=name)
    if folder == "recinterp":
        for line, literal in _literals(text):
            if (file, literal) not in EXEMPT:
                yield from check_prose(literal, file, line)


def check_prose(text: str, file: str, first: int = 1) -> Iterator[Finding]:
    """The banned words of a text, but not those in Markdown's block quotes."""
    pattern = re.compile(rf"(?<![\w-])({'|'.join(ADVICE)})(?![\w-])", re.IGNORECASE)
    for number, line in enumerate(text.splitlines()):
        if not line.lstrip().startswith(">"):
            for found in pattern.finditer(line):
                where = line.strip()[:80]
                yield Finding(file=file, line=first + number, word=found[1].lower(), where=where)


def check_notebook(text: str, file: str) -> Iterator[Finding]:
    """The banned words in the sources of a notebook's cells, not in stored outputs."""
    for number, cell in enumerate(json.loads(text)["cells"], 1):
        for found in check_prose("".join(cell["source"]), file):
            yield Finding(file=file, line=number, word=found.word, where=found.where)


def check_file(path: Path, root: Path = ROOT) -> Iterator[Finding]:
    """The banned words of one file of the repository."""
    file, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from check_python(text, file)
    elif path.suffix == ".ipynb":
        yield from check_notebook(text, file)
    else:
        yield from check_prose(text, file)


def files(paths: list[Path], root: Path = ROOT) -> Iterator[Path]:
    """Every file that is checked, at or below the given paths."""
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            parts = file.relative_to(root).parts
            source = file.suffix == ".py" and parts[0] in (*SOURCES, "docs")
            script = file.suffix == ".js" and parts[0] == "recinterp"
            prose = file.suffix in (".md", ".ipynb") and parts[0] in PROSE
            if (source or script or prose) and not set(parts) & set(GENERATED):
                yield file


def _names(text: str) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = {(t.start[0], t.string) for t in tokens if t.type == tokenize.NAME}
    # The tokenizer of Python 3.11 reads an f-string as one token.
    formatted = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.JoinedStr)]
    for node in (inner for string in formatted for inner in ast.walk(string)):
        if isinstance(node, ast.Name):
            found.add((node.lineno, node.id))
        elif isinstance(node, ast.Attribute):
            found.add((node.lineno, node.attr))
    return sorted(found)


def _test_names(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.name


def _literals(text: str) -> Iterator[tuple[int, str]]:
    tree = ast.parse(text)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        text_constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if text_constant and id(node) not in docstrings:
            yield node.lineno, node.value


def _room(file: str) -> str:
    parts = file.split("/")
    return "/".join(parts[:2]) if parts[0] in SOURCES and len(parts) > 2 else file


def main() -> int:
    """Print the findings; 1 where there are any."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--count", action="store_true", help="only numbers, by folder")
    given = parser.parse_args()
    paths = [p.resolve() for p in given.paths] or [ROOT / p for p in (*SOURCES, *PROSE)]
    findings = [f for path in files(paths) for f in check_file(path)]
    if given.count:
        rooms = Counter(_room(f.file) for f in findings)
        print("\n".join(f"{n:5} {room}" for room, n in sorted(rooms.items())))
    else:
        print("\n".join(map(str, findings)), end="\n" if findings else "")
    print(f"{len(findings)} banned words", file=sys.stderr)
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
