"""One HTML page that needs nothing else, with or without a script of its own."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from recinterp.io import write_text


class StandAlone(str):
    """A whole HTML page as text; a notebook shows it in a frame of its own.

    The frame may run the page's own script and reach nothing else.
    """

    height = "70vh"
    words = "a page of recinterp; .save(path) writes it as a file"

    @classmethod
    def make(cls, page: str, words: str, height: str = "70vh") -> StandAlone:
        """A page, what stands for it in a terminal, and how high its frame is."""
        made = cls(page)
        made.words, made.height = words, height
        return made

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all. Errors: UnwritableFileError."""
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


def in_script(value: object) -> str:
    """A value as JSON that may stand inside a script element, whatever its strings say."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def document(title: str, body: str, style: str = "", script: str = "") -> str:
    """A page. title is escaped here; body, style and script are taken as they are."""
    code = f'<script type="module">{script}</script>' if script else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # Nothing is fetched: the browser itself is told to refuse.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; "
        'img-src data: blob:; font-src data:">'
        f"<style>{style}</style></head><body>{body}{code}</body></html>\n"
    )
