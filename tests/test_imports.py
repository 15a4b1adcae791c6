"""Which room may import which: the arrows of the package run down, and none in a circle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.source_tree import ORDER, ROOT, Arrow, SourceTree, When, cycles, reach, room

# Files that may import a higher room, but never at load: `Task.machine` derives the machine of the
# task's program, an Explanation shows itself, and `Diff.headline` is a sentence of the report.
DOORS = {
    ("recinterp.tasks.task", "derivation"),
    ("recinterp.explanation", "view"),
    ("recinterp.divergence.results", "view"),
}

# Every module is parsed once, in one worker of a parallel run.
pytestmark = pytest.mark.xdist_group("source tree")


@pytest.fixture
def arrows(source_tree: SourceTree) -> list[Arrow]:
    """Every import of one module of the package by another."""
    return source_tree.arrows


def up(arrows: list[Arrow]) -> list[Arrow]:
    """The arrows that lead to a higher room."""
    return [a for a in arrows if ORDER.index(room(a.target)) > ORDER.index(room(a.source))]


def listed(arrows: list[Arrow]) -> str:
    return "".join(f"\n  {a}: `{room(a.source)}` stands below `{room(a.target)}`" for a in arrows)


def test_every_room_has_its_place_in_the_order(source_tree: SourceTree) -> None:
    rooms = {room(name) for name in source_tree.modules}
    assert rooms <= set(ORDER), f"no place in ORDER: {sorted(rooms - set(ORDER))}"


def test_no_import_at_load_leads_to_a_higher_room(arrows: list[Arrow]) -> None:
    new = [a for a in up(arrows) if a.when is When.LOAD]
    assert not new, f"new arrows that run up:{listed(new)}"


@pytest.mark.parametrize("when", [When.LATE, When.TYPING])
def test_other_imports_lead_up_only_at_the_documented_doors(
    arrows: list[Arrow], when: When
) -> None:
    new = [a for a in up(arrows) if a.when is when and (a.source, room(a.target)) not in DOORS]
    assert not new, f"new arrows that run up, and are none of DOORS:{listed(new)}"


def test_every_documented_door_is_used(arrows: list[Arrow]) -> None:
    assert {(a.source, room(a.target)) for a in up(arrows)} == DOORS


def test_machine_imports_errors_and_tokens_only(arrows: list[Arrow]) -> None:
    allowed = {"machine", "errors", "tokens"}
    new = [a for a in arrows if room(a.source) == "machine" and room(a.target) not in allowed]
    assert not new, f"machine/ has new imports:{''.join(f'{chr(10)}  {a}' for a in new)}"


def test_no_modules_import_each_other_at_load(arrows: list[Arrow]) -> None:
    circles = cycles([a for a in arrows if a.when is When.LOAD])
    assert not circles, f"modules that import each other at load: {circles}"


def test_synthesis_reaches_no_file_that_imports_torch_at_load(
    source_tree: SourceTree, arrows: list[Arrow]
) -> None:
    """A machine is learned from outputs, so the search works where torch is missing."""
    at_load = [a for a in arrows if a.when is When.LOAD]
    own = {name for name in source_tree.modules if room(name) == "synthesis"}
    reached = own.union(*(reach(name, at_load) for name in own))
    with_torch = sorted(m for m in reached if "torch" in source_tree.loaded_third_parties(m))
    assert not with_torch, f"synthesis/ reaches {with_torch}, which import torch"


def test_synthesis_is_imported_where_torch_is_missing(source_tree: SourceTree) -> None:
    names = [name for name in source_tree.modules if room(name) == "synthesis"]
    lines = ["import sys", "sys.modules['torch'] = None", *(f"import {name}" for name in names)]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_new_arrow_and_a_new_circle_are_named(tmp_path: Path) -> None:
    package = tmp_path / "recinterp"
    (package / "judge").mkdir(parents=True)
    (package / "causal").mkdir()
    (package / "judge" / "__init__.py").write_text("from recinterp.causal import sites\n")
    (package / "causal" / "__init__.py").write_text("")
    (package / "causal" / "sites.py").write_text("def f():\n    from recinterp import judge\n")
    arrows = SourceTree(tmp_path).arrows
    (arrow,) = up(arrows)
    assert str(arrow) == (
        "recinterp/judge/__init__.py:1: recinterp.judge imports recinterp.causal.sites at load"
    )
    assert listed([arrow]).endswith("`judge` stands below `causal`")
    assert cycles(arrows) == [["recinterp.causal.sites", "recinterp.judge"]]


def test_no_test_module_is_imported_as_a_library() -> None:
    """What several tests need stands in a conftest or in a module whose name says what it holds."""
    tests = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    users = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tests
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.lstrip().startswith(("from tests.", "import tests."))
        and any(part.startswith("test_") for part in line.split()[1].split("."))
    ]
    assert not users, "test modules imported as libraries:\n  " + "\n  ".join(users)
