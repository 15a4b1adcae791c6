"""The lint of words finds them where a reader meets them, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.lint_words import check_file, check_python, files, identifier_words


def found(text: str, file: str = "recinterp/judge/rates.py") -> list[tuple[int, str]]:
    return [(f.line, f.word) for f in check_python(text, file)]


def test_an_identifier_is_split_at_underscores_and_capitals() -> None:
    assert identifier_words("_mostSeen_rows") == ["most", "Seen", "rows"]
    assert identifier_words("HTMLPage") == ["HTML", "Page"]


@pytest.mark.parametrize(
    "line",
    ["kept = 1", "f(kept=1)", "x.all_kept", "def f(kept): ...", "class Kept: ...", "f'{x.kept}'"],
)
def test_identifiers_are_checked(line: str) -> None:
    assert found(line) == [(1, "kept")]


def test_a_bound_is_named_by_min_or_max() -> None:
    assert sorted(found("most_states = FEW = 1")) == [(1, "few"), (1, "most")]
    assert found("mostly = fewer = 'at most a few'") == []


@pytest.mark.parametrize("literal", ["'It Said so.'", "f'{x} behind {y}'", "'sure'"])
def test_texts_are_checked(literal: str) -> None:
    assert len(found(f"x = {literal}")) == 1


def test_docstrings_comments_and_parts_of_words_are_not_checked() -> None:
    function = 'def f():\n    """Kept."""  # told\n    return "stand-alone, assured"'
    assert found(f'"""Sure."""\n{function}') == []


def test_in_tests_only_their_names_are_checked() -> None:
    text = "def test_it_is_kept(): assert told == 'said'\ndef kept(): ..."
    assert found(text, "tests/test_x.py") == [(1, "kept")]


def test_files_are_chosen_by_folder_and_findings_name_their_line(tmp_path: Path) -> None:
    for name in ("docs", "docs/_build", "recinterp", "tests"):
        (tmp_path / name).mkdir()
        text = "# Title\n\nIt alone.\n> quoted, sure\n"
        (tmp_path / name / "page.md").write_text(text)
    (tmp_path / "recinterp" / "view.js").write_text('say("behind")')
    chosen = list(files([tmp_path / "docs", tmp_path / "recinterp"], tmp_path))
    assert [p.name for p in chosen] == ["page.md", "view.js"]
    assert [str(f) for p in chosen for f in check_file(p, tmp_path)] == [
        "docs/page.md:3: alone -> without this rule, only, by itself, single   [It alone.]",
        'recinterp/view.js:1: behind -> after   [say("behind")]',
    ]
