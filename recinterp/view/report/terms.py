"""The terms of the report, each with the one line that its glossary entry begins with.

`terms.txt` holds `slug | term | meaning`; the kinds of shortcut are added from their wordings. The
slugs are anchors of `docs/glossary.md` (`term-<slug>`) and of the page, which needs no network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from recinterp.view.report.sentences.kinds import kind_wordings


@dataclass(frozen=True, kw_only=True)
class GlossaryTerm:
    """One term of the glossary.

    Attributes:
        slug: Its anchor, without `term-`.
        name: How it is written.
        meaning: The first line of its definition.
    """

    slug: str
    name: str
    meaning: str


@cache
def glossary_terms() -> dict[str, GlossaryTerm]:
    """Every term that a report can use, by its slug."""
    text = Path(__file__).with_name("terms.txt").read_text(encoding="utf-8")
    rows = [tuple(part.strip() for part in line.split("|", 2)) for line in text.splitlines()]
    rows += [
        (kind.value, kind.value, f"A kind of shortcut; the inputs it describes: {w.describes}.")
        for kind, w in kind_wordings().items()
    ]
    return {
        slug: GlossaryTerm(slug=slug, name=name, meaning=meaning.replace("*", ""))
        for slug, name, meaning in rows
    }


def term_link(slug: str, text: str = "") -> str:
    """HTML: a term as a link to its line at the end of the page, with its meaning as a tooltip."""
    term = glossary_terms().get(slug)
    shown = escape(text or (term.name if term else slug))
    if term is None:
        return shown
    meaning = escape(term.meaning, quote=True)
    return f'<a class="term" href="#term-{slug}" title="{meaning}">{shown}</a>'


def link_terms(text: str) -> str:
    """HTML: plain text with the first mention of each term as a link.

    Words that sentences also use in their everyday sense are linked in tables only.
    """
    everyday = {
        "query",
        "bounded",
        "carried",
        "neither",
        "other",
        "exact",
        "guard",
        "bound",
        "reader",
    }
    names = {
        t.name.lower(): t.slug
        for t in glossary_terms().values()
        if len(t.name) > 4 and t.name not in everyday
    }
    linked: set[str] = set()

    def link(match: re.Match[str]) -> str:
        slug = names[match[1].lower()]
        if slug in linked:
            return match[0]
        linked.add(slug)
        return term_link(slug, match[0])

    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    pattern = rf"(?<![\w-])({'|'.join(longest_first)})s?(?![\w-])"
    return re.sub(pattern, link, escape(text, quote=False), flags=re.IGNORECASE)


def terms_list(body: str) -> str:
    """HTML: the terms that a body links to, each with its meaning, as anchors."""
    used = [t for t in glossary_terms().values() if f'href="#term-{t.slug}"' in body]
    rows = "".join(
        f'<dt id="term-{t.slug}">{escape(t.name)}</dt><dd>{escape(t.meaning)}</dd>'
        for t in sorted(used, key=lambda t: t.name.lower())
    )
    return f"<dl>{rows}</dl>" if rows else ""
