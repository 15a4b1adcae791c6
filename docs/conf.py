"""Sphinx: pages in Markdown, tutorials as stored, the API from docstrings. Nothing is fetched."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import recinterp  # noqa: E402

project, author, version = "recinterp", "the recinterp authors", recinterp.__version__
project_copyright = author
extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Which algorithm did a small transformer learn?",
    "page_width": "1080px",
    "show_powered_by": False,
}
html_show_sourcelink = False
html_show_copyright = False

# Tutorials are shown as they are stored; a test runs them.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, Any] = {}
# A figure has a table beside it, which the pages show.
suppress_warnings = ["mystnb.unknown_mime_type"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"

TUTORIALS = HERE / "tutorials"
shutil.rmtree(TUTORIALS, ignore_errors=True)
shutil.copytree(HERE.parent / "tutorials", TUTORIALS, ignore=shutil.ignore_patterns("*.json", ".*"))


def plain(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: signs that are markup in reStructuredText stand for themselves."""
    for i, line in enumerate(lines):
        said = re.sub(r"([\\*|_])", r"\\\1", re.sub(r"`([^`]+)`", r"``\1``", line))
        lines[i] = re.sub(r"``([^`]+)``", lambda m: m[0].replace("\\", ""), said)


def setup(app: Any) -> None:
    """Hooks."""
    app.connect("autodoc-process-docstring", plain)
