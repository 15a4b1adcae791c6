"""Code in README and docs runs, commands exist, tutorials run and show what is stored in them."""

from __future__ import annotations

import linecache
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))
READERS = [ROOT / "README.md", *PAGES]


def blocks(page: Path, *kinds: str) -> list[str]:
    """The code blocks of a page, of some kinds."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [code for kind, code in found if kind in kinds]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
@pytest.mark.slow
def test_the_code_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    for i, code in enumerate(blocks(page, "python")):
        name = f"{page.name}[{i}]"  # with its lines at hand, as of a notebook's cell
        monkeypatch.setitem(linecache.cache, name, (len(code), None, code.splitlines(True), name))
        exec(compile(code, name, "exec"), vars(module))


@pytest.mark.parametrize("page", READERS, ids=lambda p: p.stem)
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    kinds = re.findall(r"^```([^\n]+)\n", text, re.MULTILINE)
    assert set(kinds) <= {"coq", "python", "sh", "text", "{toctree}", "{eval-rst}"}


@pytest.mark.parametrize("page", READERS, ids=lambda p: p.stem)
def test_every_command_and_option_on_a_page_exists(page: Path) -> None:
    from typer.main import get_command

    from recinterp.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    lines = "\n".join(blocks(page, "sh", ""))
    for line in re.findall(r"^recinterp (.+?)(?:  +#.*)?$", lines, re.MULTILINE):
        name, *rest = line.split()
        options = {opt for p in commands[name].params for opt in p.opts}
        assert {word for word in rest if word.startswith("--")} <= options, line


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_file_a_page_points_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        place = ROOT if target.startswith("tutorials/") else page.parent
        assert (place / target).exists(), target


def test_every_anchor_of_the_glossary_is_its_own() -> None:
    anchors = glossary_anchors()
    assert len(anchors) == len(set(anchors)) > 50


def test_the_glossary_has_an_entry_for_every_term_that_is_linked() -> None:
    sources = [p for p in (ROOT / "recinterp").rglob("*") if p.suffix in (".py", ".js")]
    text = "".join(p.read_text(encoding="utf-8") for p in [*READERS, *sources])
    assert set(re.findall(r"#(term-[a-z0-9-]+)", text)) <= set(glossary_anchors())


def test_the_glossary_names_every_kind() -> None:
    page = (ROOT / "docs" / "kinds.md").read_text(encoding="utf-8")
    kinds = re.findall(r"^\| ([a-z][a-z-]*)(?: \*k\*)? \|", page, re.MULTILINE)
    names = {f"term-{kind}" for kind in kinds if kind != "kind"}
    assert len(names) > 8
    assert names <= set(glossary_anchors())


def glossary_anchors() -> list[str]:
    """The anchors of the glossary's entries, in their order."""
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    return re.findall(r"\{#(term-[a-z0-9-]+)\}", page)


def test_the_documentation_builds_without_a_warning_and_asks_nobody(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="sphinx is not installed")
    pytest.importorskip("myst_nb", reason="myst-nb is not installed")
    pytest.importorskip("furo", reason="furo is not installed")
    pytest.importorskip("sphinx_design", reason="sphinx-design is not installed")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(ROOT / "docs"), str(tmp_path / "html")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "html").rglob("*.html"):
        loads = re.findall(
            r"""<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)""", page.read_text()
        )
        assert loads == [], page.name


@pytest.mark.parametrize("book", BOOKS, ids=lambda p: p.stem)
def test_a_tutorial_is_stored_with_outputs_and_names_no_place(book: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    found = nbformat.read(book, as_version=4)
    nbformat.validate(found)
    code = [c for c in found.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    assert sum(bool(c.outputs) for c in code) >= len(code) - 2
    assert not any(o.output_type == "error" for c in code for o in c.outputs)
    text = book.read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert not re.search(r"/(home|root|tmp|work)/", text)
    assert "\\u001b[" not in text
    assert book.stat().st_size < 2_000_000


@pytest.mark.slow
@pytest.mark.parametrize("book", BOOKS, ids=lambda p: p.stem)
def test_a_tutorial_runs_and_shows_what_is_stored(book: Path) -> None:
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    import nbformat

    from scripts.tutorials import executed

    stored, fresh = nbformat.read(book, as_version=4), executed(book)
    assert [shown(c) for c in fresh.cells] == [shown(c) for c in stored.cells]


def shown(cell: Any) -> list[tuple[str, ...]]:
    """The kinds of a cell's outputs: numbers may move with the machine they are run on."""
    return [(o.output_type, *sorted(o.get("data", ()))) for o in cell.get("outputs", [])]
