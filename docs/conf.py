"""Sphinx: pages in Markdown, tutorials as stored, the API from docstrings. Nothing is fetched."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from sphinx.domains.python import PyObject  # noqa: E402

import recinterp  # noqa: E402

project, author, version = "recinterp", "the recinterp authors", recinterp.__version__
project_copyright = author
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"recinterp {version}"
html_static_path = ["_static"]
html_css_files = ["recinterp.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#9a3412", "color-brand-content": "#1d4ed8"},
    "dark_css_variables": {"color-brand-primary": "#fdba74", "color-brand-content": "#93c5fd"},
}

# Tutorials are shown as they are stored; a test runs them.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, Any] = {}
# A figure has a table beside it, which the pages show.
suppress_warnings = ["mystnb.unknown_mime_type"]
# attrs_inline: an entry of the glossary has an anchor of its own, [term]{#term-slug}.
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 110
default_role = "code"  # `x` in a docstring is code
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # Attributes become one list of fields, not an entry each
napoleon_use_rtype = False
napoleon_custom_sections = ["Reference"]
for field in PyObject.doc_field_types:
    if field.name == "variable":
        field.label = "Attributes"  # as in the docstrings; Sphinx would write "Variables"

TUTORIALS = HERE / "tutorials"
shutil.rmtree(TUTORIALS, ignore_errors=True)
shutil.copytree(HERE.parent / "tutorials", TUTORIALS, ignore=shutil.ignore_patterns("*.json", ".*"))

ONE_LINE_SECTION = re.compile(r"(Returns|Raises|Yields|Reference|Note): +(\S.*)")
SECTION = re.compile(r"([A-Z]\w+):")
RAISED = re.compile(r"(\s+)([A-Z]\w*Error),? (?=[a-z])")  # "DomainError if", in a Raises block
COLON = "\ue000"  # stands for a colon that is one of prose, until napoleon is done


def prepare_docstring(
    app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Prepare a plain-text docstring for napoleon, in place.

    Outside backticks, the characters `*`, `|` and `_` stand for themselves. A section that is
    written on one line, "Returns: the output.", is put on two, as napoleon reads it, and an error
    without a colon, "Raises: DomainError if there is no domain.", gets one. In a property's
    docstring and in a Returns block, what precedes a colon is no type.
    """
    prepared: list[str] = []
    section = "Returns" if what == "property" else ""
    for line in lines:
        parts = re.split(r"(`+[^`]+`+)", line)
        parts[::2] = [re.sub(r"([*|]|_(?!\w))", r"\\\1", part) for part in parts[::2]]
        text = "".join(parts)
        if found := ONE_LINE_SECTION.fullmatch(text):
            prepared.append(f"{found[1]}:")
            section, text = found[1], f"    {found[2]}"
        elif found := SECTION.fullmatch(text):
            section = found[1]
            prepared.append(text)
            continue
        if section == "Raises":
            text = RAISED.sub(r"\1\2: ", text, count=1)
        elif section == "Returns":
            text = text.replace(":", COLON)
        prepared.append(text)
    lines[:] = prepared


def restore_colons(
    app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Put the colons of prose back, in place."""
    lines[:] = [line.replace(COLON, ":") for line in lines]


def setup(app: Any) -> None:
    """Connect the hooks, one before and one after napoleon's own (priority 500)."""
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)
    app.connect("autodoc-process-docstring", restore_colons, priority=600)
