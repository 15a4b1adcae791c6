"""The README does what it says: its Python runs, its commands exist, its report is a real one."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODEL = "binary-successor-natural-depthcap3"


def blocks(kind: str) -> list[str]:
    """The README's code blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_its_parts_stand_in_the_order_a_reader_needs() -> None:
    parts = ["shortcut that breaks", "make explain", "## The report", "import recinterp", "read on"]
    places = [README.index(part) for part in parts]
    assert places == sorted(places)


def test_every_make_target_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"^make ([\w-]+)", "\n".join(blocks("")), re.MULTILINE))
    assert named == {"explain", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def test_every_command_and_option_it_names_exists() -> None:
    from typer.main import get_command

    from recinterp.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in re.findall(r"^recinterp (.+?)(?:  +#.*)?$", "\n".join(blocks("")), re.MULTILINE):
        name, *rest = line.split()
        options = {opt for p in commands[name].params for opt in p.opts}
        assert {word for word in rest if word.startswith("--")} <= options, line


def test_every_file_it_points_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
def test_its_python_runs_and_its_report_is_what_is_printed() -> None:
    (code,) = blocks("python")
    (shown,) = blocks("text")
    said = io.StringIO()
    scope: dict[str, object] = {}
    with contextlib.redirect_stdout(said):
        exec(compile(code, "README.md", "exec"), scope)
    _, predicted = said.getvalue().strip().splitlines()
    flat = " ".join(shown.split())
    assert " ".join(eval(predicted)) in flat

    from recinterp.view import explanation_json, explanation_text

    headline = explanation_json(scope["ex"])["headline"]  # type: ignore[arg-type]
    assert str(headline) in flat
    printed = explanation_text(scope["ex"], 110)  # type: ignore[arg-type]
    learned = [line for line in printed.splitlines() if "/" in line and "guard" not in line]
    rules = [line for line in shown.splitlines() if "/" in line and "guard" not in line]
    assert len(set(rules) & set(learned)) >= 0.8 * len(rules)
