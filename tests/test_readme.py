"""The README does what it says: its Python runs, its commands exist, its report is a real one."""

from __future__ import annotations

import contextlib
import io
import linecache
import re
from pathlib import Path

import pytest

import recinterp as ri

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """The README's code blocks of a kind."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in fenced if name == kind]


def test_its_parts_stand_in_the_order_a_reader_needs() -> None:
    parts = [
        "shortcut that breaks", "report.png", "make explain", "import recinterp", "Fixpoint succ",
        "## The report", "## What it can take", "read on",
    ]  # fmt: skip
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
    first, own_task, own_model = blocks("python")
    (shown,) = blocks("text")
    printed = io.StringIO()
    scope: dict[str, object] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(printed):
        exec(compile(first, "README.md", "exec"), scope)
    *report, predicted = printed.getvalue().strip().splitlines()
    flat = " ".join(" ".join(report).split())
    assert " ".join(eval(predicted)) in flat
    for part in re.split(r"\n(?=[A-Z]{4,} )|\n\n", shown.strip()):
        assert " ".join(part.split()) in flat, part
    run_as_cell(own_task, scope)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(own_model, "README.md", "exec"), scope)


def run_as_cell(code: str, scope: dict[str, object]) -> None:
    """Run code as a notebook does: with its lines at hand for who reads a function's source."""
    linecache.cache["README cell"] = (len(code), None, code.splitlines(True), "README cell")
    exec(compile(code, "README cell", "exec"), scope)


def test_its_own_task_is_the_shipped_one() -> None:
    _, own_task, _ = blocks("python")
    scope: dict[str, object] = {"ri": ri, "__name__": "__main__"}
    run_as_cell(own_task, scope)
    made = scope["own_task"]
    assert isinstance(made, ri.Task)
    shipped = ri.task("binary-successor")
    inputs = list(shipped.inputs(8))
    assert made.apply_many(inputs) == shipped.apply_many(inputs)


def test_its_gallina_is_the_shipped_program() -> None:
    (program,) = blocks("coq")
    shipped = (ROOT / "recinterp/tasks/programs/binary_successor.v").read_text(encoding="utf-8")
    assert program.strip() in shipped


def test_its_pictures_are_small() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+\.png)\)", README)
    assert len(pictures) == 2
    assert all((ROOT / name).stat().st_size < 200_000 for name in pictures)
