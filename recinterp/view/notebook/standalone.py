"""One HTML page that needs nothing else, with or without a script of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from recinterp.io import write_text

SCRIPT_FILE = Path(__file__).with_name("notebook.js")
STYLE_FILE = Path(__file__).with_name("notebook.css")


class StandalonePage(str):
    """A whole HTML page as text; a notebook shows it in a frame of its own.

    The frame may run the page's own script and reach nothing else.

    Attributes:
        words: what stands for the page in a terminal.
        height: how high its frame is in a notebook, as a CSS length.
    """

    height = "70vh"
    words = "a page of recinterp; .save(path) writes it as a file"

    @classmethod
    def make(cls, page: str, words: str, height: str = "70vh") -> StandalonePage:
        """A page from its text, its words and its frame's height."""
        made = cls(page)
        made.words, made.height = words, height
        return made

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all.

        Args:
            path: the file to write.

        Returns:
            The path of the file.

        Raises:
            UnwritableFileError: where the file cannot be written.
        """
        return write_text(path, str(self))

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        frame = (
            f'<iframe srcdoc="{escape(str(self), quote=True)}" sandbox="allow-scripts" '
            f'title="{escape(self.words, quote=True)}" '
            f'style="width:100%;height:{self.height};border:0"></iframe>'
        )
        return {"text/plain": self.words, "text/html": frame}


def encode_for_script(value: object) -> str:
    """A value as JSON that may stand inside a script element, whatever its strings contain."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def build_document(title: str, body: str, style: str = "", script: str = "") -> str:
    """A page. The title is escaped here; body, style and script are taken as they are."""
    code = f'<script type="module">{script}</script>' if script else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # Nothing is fetched: the browser itself refuses any request.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; "
        'img-src data: blob:; font-src data:">'
        f"<style>{style}</style></head><body>{body}{code}</body></html>\n"
    )


def build_widget_page(
    view: str, data: Mapping[str, Any], title: str, height: str
) -> StandalonePage:
    """A page that runs the widgets' own script on data that is stored in it.

    Args:
        view: "ablate" or "step".
        data: the widget's `setup`, and of "ablate" the `stored` answers.
        title: the page's title, and its words in a terminal.
        height: how high its frame is in a notebook, as a CSS length.
    """
    module = SCRIPT_FILE.read_text(encoding="utf-8").replace("export default", "const recinterp =")
    given = encode_for_script({"view": view, **data})
    script = f"{module}\nrecinterp.renderStatic(document.getElementById('here'),{given});"
    style = STYLE_FILE.read_text(encoding="utf-8")
    page = build_document(title, "<div id=here></div>", style, script)
    return StandalonePage.make(page, title, height)
