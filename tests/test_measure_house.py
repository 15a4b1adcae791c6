"""The measurements of scripts/measure_house.py, on a package small enough to count by hand."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scripts import measure_house as house
from scripts.source_tree import SourceTree

ONE = '''"""One."""
from recinterp.view import two
LOW, HIGH = 1, 2
limit, LIMIT = 3, 4


class Rate:
    """A rate."""

    def __init__(self, hits: int) -> None:
        self.hits = hits

    def as_text(self) -> str:
        """The same as text."""
        return "" if self.hits and two else "kept"
'''
TWO = """
TOTAL: int = 5
LOW = 6

class Rate: ...

def two(): return Rate
"""


@pytest.fixture
def tree(tmp_path: Path) -> SourceTree:
    for name, text in [("judge/__init__", ONE), ("view/__init__", TWO), ("synthesis", "")]:
        path = tmp_path / "recinterp" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "api.md").write_text("autoclass:: recinterp.judge.Rate")
    return SourceTree(tmp_path)


def test_names_are_counted(tree: SourceTree) -> None:
    assert house.count_shared_class_names(tree) == "1 of 1"
    assert house.measure_one_word_functions(tree) == "50.0% of 2"
    assert house.count_constants(tree).startswith("5 = ")
    assert house.count_banned_words(tree) == "1, 1 with docs and tests"
    assert house.dead_code(tree) == ["HIGH", "LIMIT", "TOTAL", "as_text"]


def test_documentation_and_arrows_are_counted(tree: SourceTree) -> None:
    assert house.count_undocumented(tree) == "1 in 1 of 1 names"
    assert house.count_relative_docstrings(tree) == "1"
    assert house.count_upward_arrows(tree) == "1 load, 0 late, 0 typing"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return 1", 1),
        ("return 1 if x and y or z else [a for a in x if a]", 6),
        ("for a in x:\n  if a: pass\n  elif a: pass\n  else: pass", 4),
        ("match x:\n  case 1: pass\n  case _: pass", 2),
        ("try: pass\nexcept KeyError: pass\nwhile x: pass", 3),
    ],
)
def test_complexity_is_counted(body: str, expected: int) -> None:
    lines = "\n".join(f"  {line}" for line in body.split("\n"))
    (function,) = ast.parse(f"def f(x):\n{lines}").body
    assert isinstance(function, ast.FunctionDef)
    assert house.complexity(function) == expected
