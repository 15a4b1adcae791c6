"""The report as one HTML file: no script, no network, light and dark by the reader's setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from recinterp.view.diagram import svg
from recinterp.view.diagram.graph import MachineGraph
from recinterp.view.diagram.layout import place_graph
from recinterp.view.report import heatmap as heat
from recinterp.view.report.data import (
    Case,
    FidelityRow,
    Report,
    Share,
    ShortcutView,
    kind_text,
    shortest_apart,
)
from recinterp.view.report.sentences.summary import FORCED, SUBSPACES, VERDICTS, departure
from recinterp.view.report.style import PAGE, REPORT

Cell = str  # HTML, already escaped
SHOWN = 8  # untold inputs in sight; the rest unfolds


def to_html(found: Report) -> str:
    """The whole page."""
    title = escape(f"{found.model} on {found.task}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<style>{PAGE}</style></head><body><main class="ri-report">{_body(found)}</main>'
        "</body></html>\n"
    )


def to_cell(found: Report) -> str:
    """The same for a notebook's cell: follows the notebook's theme, touches nothing beside it."""
    return f'<div class="ri-report"><style>{REPORT}</style>{_body(found)}</div>'


def _body(found: Report) -> str:
    first = "A departure" if shortest_apart(found) else "Shortest counterexample"
    return "".join(
        [
            _head(found),
            _shortest(found),
            *(_shortcut(s, first) for s in found.shortcuts[:1]),
            _machines(found),
            _others(found.shortcuts[1:]),
            _where(found),
            _unexplained(found),
            _fidelity(found.fidelity),
            _heads(found),
            _sites(found),
            _overrides(found),
            _list("Machines that nothing here tells from this one", found.equivalent_machines),
            _list("Other machines that were considered", found.rejected_hypotheses),
            _list("How far to trust this", found.trust),
            _texts(found),
        ]
    )


def _section(title: str, body: str, note: str = "") -> str:
    if not body:
        return ""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{said}{body}</section>"


def _head(found: Report) -> str:
    scope = "every input of the domain" if found.exhaustive else "a sample of the domain"
    region = f"<p><b>What does hold:</b> {escape(found.region)}</p>" if found.region else ""
    return (
        f'<header><p class="note">{escape(found.model)} on {escape(found.task)} '
        f"({escape(found.order)} order), {escape(found.domain)}</p>"
        f'<h1><span class="verdict v-{escape(found.verdict, quote=True)}">'
        f"{escape(found.verdict)}</span> {escape(found.sentence)}</h1>"
        f"<p>{escape(found.headline)}</p>"
        f'<p class="note">{escape(VERDICTS.get(found.verdict, ""))}; {found.divergent:,} of '
        f"{found.inputs:,} inputs differ from the truth ({scope}).</p>"
        f"<p><b>How it computes:</b> {escape(found.how)}</p>{region}</header>"
    )


def _shortest(found: Report) -> str:
    case = found.counterexample
    if case is None or not shortest_apart(found):
        return ""
    said = f'<p class="note">{escape(departure(case))}</p>'
    return _section("Shortest counterexample", _case(case) + said)


def _shortcut(s: ShortcutView, title: str) -> str:
    kinds = ", ".join(
        f"<b>{escape(kind)}</b>" + (f" ({escape(meaning)})" if meaning else "")
        for kind, meaning in zip(s.kinds, s.meanings, strict=True)
    )
    facts = (
        f"<dl><dt>kind</dt><dd>{kinds}</dd><dt>rule</dt><dd><code>{escape(s.rule)}</code>, "
        f"where the truth does <code>{escape(s.step)}</code></dd>"
        f"<dt>departs</dt><dd>{escape(departure(s.case))}</dd>"
        f"<dt>hits</dt><dd>{s.hits:,} of {s.total:,} inputs</dd></dl>"
    )
    return _section(title, _case(s.case) + facts)


def _others(found: Sequence[ShortcutView]) -> str:
    rows = [
        [
            f"<b>{escape(kind_text(s))}</b>",
            f"{s.hits:,}",
            f"<code>{escape(s.rule)}</code>",
            f"<code>{escape(s.step)}</code>",
            _code(s.case.input),
            _code(s.case.output),
            _code(s.case.expected),
        ]
        for s in found
    ]
    names = ["kind", "hits", "rule", "true step", "shortest input", "model", "truth"]
    return _section("Other departures", _table(names, rows))


def _case(case: Case) -> str:
    rows = (("input", case.input, ""), ("expected", case.expected, "good"))
    body = "".join(_tokens(name, t, case.first, mark) for name, t, mark in rows)
    body += _tokens("model", case.output, case.first, "bad")
    return f'<div class="scroll"><table class="case">{body}</table></div>'


def _tokens(name: str, tokens: Sequence[str], first: int, mark: str) -> str:
    cells = "".join(
        f'<td class="{mark}"><b>{escape(t)}</b></td>'
        if i == first and mark
        else f"<td>{escape(t)}</td>"
        for i, t in enumerate(tokens)
    )
    return f"<tr><th>{name}</th>{cells}</tr>"


def _unexplained(found: Report) -> str:
    rows = [
        [
            _code(case.input),
            _code(case.output),
            _code(case.expected),
            "no claim" if case.claimed is None else _code(case.claimed),
        ]
        for case in found.unexplained
    ]
    left = found.unexplained_total - len(rows)
    note = f"{left:,} more are not shown." if left else ""
    names = ["input", "model", "truth", "machine"]
    rest = _table(names, rows[SHOWN:])
    more = f"<details><summary>{len(rows) - SHOWN} more</summary>{rest}</details>" if rest else ""
    return _section("What the machine does not tell", _table(names, rows[:SHOWN]) + more, note)


def _code(tokens: Iterable[str]) -> Cell:
    return f"<code>{escape(' '.join(tokens))}</code>"


def _machines(found: Report) -> str:
    learned, truth = found.drawn
    modes = f"{found.learned_modes} mode{'s' * (found.learned_modes != 1)}"
    size = f"{modes}, size {found.learned_size}"
    body = _figure(learned, f"learned machine ({size})") + _figure(truth, "true machine")
    legend = (
        '<p class="legend"><span class="k-added">▲ only in the learned machine</span> '
        '<span class="k-changed">▲ changed</span> '
        '<span class="k-missing">▲ missing in the learned machine</span></p>'
    )
    tree = _folded("when each rule of the learned machine fires, as a tree", found.outline)
    return _section("The two machines", f'<div class="pair">{body}</div>{legend}{tree}')


def _folded(name: str, text: str) -> str:
    return f"<details><summary>{name}</summary><pre>{escape(text)}</pre></details>" if text else ""


def _figure(graph: MachineGraph, caption: str) -> str:
    notes = " ".join(graph.notes)
    placed = place_graph(graph)
    return (
        f'<figure style="flex:1 1 {min(placed.width, 560):.0f}px">'
        f'<div class="scroll">{svg.render_placed(placed, style=False)}</div>'
        f"<figcaption><b>{escape(caption)}.</b> {escape(notes)}</figcaption></figure>"
    )


def _where(found: Report) -> str:
    grid = heat.heat_svg(found.errors if found.divergent else (), style=False)
    note = "Of the inputs of each length and recursion depth: the share, in %, that departs."
    return _section("Where it departs", f'<div class="scroll">{grid}</div>' if grid else "", note)


def _fidelity(rows: Sequence[FidelityRow]) -> str:
    if not rows:
        return ""
    names = ["held-out inputs", *rows[0].columns, *(f"“{b}”" for b in rows[0].baselines)]
    body = [
        [f"{escape(r.stratum)} <small>({r.n:,})</small>"]
        + [_share(c) for c in (*r.columns.values(), *r.baselines.values())]
        for r in rows
    ]
    note = (
        "Inputs the machine's builder never saw. "
        "Match: the machine's output is exactly the model's. "
        "Quoted columns: the match of a baseline that says only that. Brackets: 95 % intervals."
    )
    return _section("Fidelity", _table(names, body), note)


def _share(share: Share) -> Cell:
    if share.value is None:
        return "<span class=note>–</span>"
    interval = f"[{100 * share.low:.0f}–{100 * share.high:.0f}]"
    counts = f"{share.hits:,}/{share.total:,}"
    return f"{100 * share.value:.1f} %<br><small>{interval} {counts}</small>"


def _heads(found: Report) -> str:
    rows = [
        [
            "●" if h.recursion else "",
            f"<code>{escape(h.name)}</code>",
            escape(h.role),
            f"{h.score:.2f}",
            f"{h.effect:.2f}",
            escape(", ".join(f"{k} {v:.2f}" for k, v in h.controls.items())),
            escape(h.note),
        ]
        for h in found.heads
    ]
    names = ["", "head", "role", "follows", "effect", "controls", "note"]
    layers = "".join(f"<p>{escape(text)}</p>" for text in found.layers)
    note = (
        "● carries the recursion: its attention follows a landmark of the data, and giving it the "
        "row of another step moves the output to that step's token."
    )
    return _section("Heads", _table(names, rows) + layers, note)


def _sites(found: Report) -> str:
    rows = [
        [
            f"<b>{escape(s.variable)}</b>",
            "<br>".join(f"<code>{escape(w)}</code>" for w in (s.directions, *s.where) if w),
            f"{s.accuracy:.2f} <small>[{s.interval[0]:.2f}–{s.interval[1]:.2f}]</small>",
            f"{s.control:.2f}",
            str(s.pairs),
            "accepted" if s.accepted else "rejected",
            escape(s.note),
        ]
        for s in found.sites
    ]
    names = ["variable", "held at", "interchange accuracy", "control", "pairs", "", "note"]
    note = SUBSPACES if any(s.dims for s in found.sites) else ""
    return _section("Where the machine's variables live", _table(names, rows), note)


def _overrides(found: Report) -> str:
    rows = [
        [escape(o.condition), f"<b>{escape(o.effect)}</b>", _share(o.held), _share(o.alone)]
        for o in found.forced_prefix_rules
    ]
    names = ["behind a forced output", "the model", "on other inputs", "machine alone"]
    return _section("Behind outputs it would not write", _table(names, rows), FORCED)


def _table(names: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _list(title: str, items: Sequence[str]) -> str:
    return _section(
        title, f"<ul>{''.join(f'<li>{escape(x)}</li>' for x in items)}</ul>" if items else ""
    )


def _texts(found: Report) -> str:
    texts = {"learned machine": found.learned, "true machine": found.truth}
    body = "".join(_folded(name, text) for name, text in texts.items())
    note = "recinterp reads these back: Machine.parse(text)."
    return _section("Both machines as text", body, note)
