"""The report as one HTML file: no script, no network, light and dark by the reader's setting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape

from recinterp.view.diagram import svg
from recinterp.view.diagram.graph import MachineGraph
from recinterp.view.diagram.layout import place_graph
from recinterp.view.report import heatmap as heat
from recinterp.view.report.data import (
    CaseView,
    FidelityRow,
    HeadRow,
    RateView,
    Report,
    RuleRow,
    ShortcutView,
    SiteRow,
    shows_ways,
    split_case,
)
from recinterp.view.report.sentences.notes import Note, Title
from recinterp.view.report.sentences.numbers import counts_text, interval_text, percent_text
from recinterp.view.report.sentences.summary import (
    SummaryLine,
    claim_text,
    first_error_text,
    same_machine_text,
)
from recinterp.view.report.style import PAGE, REPORT
from recinterp.view.report.terms import link_terms, term_link, terms_list

Html = str  # already escaped


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
    """The report for a notebook's cell: follows its theme, changes nothing outside of it."""
    return f'<div class="ri-report"><style>{REPORT}</style>{_body(found)}</div>'


def _body(found: Report) -> Html:
    body = "".join(
        [
            _head(found),
            _counterexample(found),
            _machines(found),
            _ways(found),
            _where(found),
            _unexplained(found),
            _heads(found),
            _sites(found),
            _forced_prefixes(found),
            _fidelity(found.fidelity),
            _list(Title.EQUIVALENT, found.equivalent_machines),
            _list(Title.REJECTED, found.rejected_hypotheses),
            _texts(found),
        ]
    )
    return body + _section("Terms", terms_list(body))


def _section(title: str, body: Html, note: str = "") -> Html:
    if not body:
        return ""
    shown = f'<p class="note">{link_terms(note)}</p>' if note else ""
    return f"<section><h2>{link_terms(title)}</h2>{body}{shown}</section>"


def _head(found: Report) -> Html:
    name = f"{found.model} on {found.task} ({found.order} order), {found.domain}"
    rows = "".join(_summary_row(found, line) for line in found.summary)
    return (
        f'<header><p class="note">{escape(name)}</p>'
        f'<h1><span class="verdict v-{escape(found.verdict, quote=True)}">'
        f"{escape(found.verdict)}</span> {escape(found.model)}</h1>"
        f'<dl class="summary">{rows}</dl></header>'
    )


def _summary_row(found: Report, line: SummaryLine) -> Html:
    label = term_link(line.term, line.label) if line.term else escape(line.label)
    text = link_terms(line.text)
    if line.label == "Verdict":
        text = f"<b>{term_link(found.verdict.value)}: {text}</b>"
    return f"<dt>{label}</dt><dd>{text}</dd>"


def _counterexample(found: Report) -> Html:
    case = found.counterexample
    if case is None:
        return ""
    first = first_error_text(case)
    note = f"{first[:1].upper()}{first[1:]}. {claim_text(case)}"
    return _section(Title.COUNTEREXAMPLE, f"{_case(case)}<p>{escape(note)}</p>")


def _case(case: CaseView, width: int = 96) -> Html:
    """One table for each stretch of tokens that fits the page."""
    blocks = []
    for at, end in split_case(case, width):
        rows = "".join(
            _tokens(name, tokens[at:end], case.first - at, mark)
            for name, tokens, mark in (
                ("input", case.input, ""),
                ("expected", case.expected, "good"),
                ("model", case.output, "bad"),
            )
        )
        blocks.append(f'<div class="scroll"><table class="case">{rows}</table></div>')
    return "".join(blocks)


def _tokens(name: str, tokens: Sequence[str], first: int, mark: str) -> Html:
    cells = "".join(
        f'<td class="{mark}"><b>{escape(t)}</b></td>'
        if i == first and mark
        else f"<td>{escape(t)}</td>"
        for i, t in enumerate(tokens)
    )
    return f"<tr><th>{name}</th>{cells}</tr>"


def _machines(found: Report, max_width: int = 560) -> Html:
    learned, truth = found.drawn
    modes = f"{found.learned_modes} mode{'s' * (found.learned_modes != 1)}"
    notes = " ".join(dict.fromkeys((*learned.notes, *truth.notes)))
    caption = f"learned machine: {modes}, size {found.learned_size:,}"
    if found.same_machine:
        equal = f"<p>{escape(same_machine_text(found.continuation))}</p>"
        figures = _figure(learned, caption, max_width)
        return _section(Title.MACHINES, equal + figures + _rules(found), notes)
    if not found.rules:
        many = f"<p>The learned machine has too many rules for a picture ({escape(caption)}).</p>"
        return _section(Title.MACHINES, many + f"<pre>{escape(found.outline)}</pre>", notes)
    figures = _figure(learned, caption, max_width) + _figure(truth, "ground truth", max_width)
    legend = (
        '<p class="legend"><span class="k-added">▲ only in the learned machine</span> '
        '<span class="k-changed">▲ changed</span> '
        '<span class="k-missing">▲ missing in the learned machine</span></p>'
    )
    body = f'<div class="pair">{figures}</div>{legend}{_rules(found)}'
    return _section(Title.MACHINES, body, notes)


def _figure(graph: MachineGraph, caption: str, max_width: int) -> Html:
    placed = place_graph(graph)
    return (
        f'<figure style="flex:1 1 {min(placed.width, max_width):.0f}px">'
        f'<div class="scroll">{svg.render_placed(placed, style=False)}</div>'
        f"<figcaption><b>{escape(caption)}</b></figcaption></figure>"
    )


def _rules(found: Report) -> Html:
    """Both machines as one table; what differs is marked in colour and in words."""
    compared = found.comparable and not found.same_machine
    rows = found.rules if compared else [r for r in found.rules if r.status != "missing"]
    names = ["mode", "guard / written", "then", *(["ground truth"] if compared else [])]
    table = _table(names, [_rule_cells(row, compared) for row in rows])
    if compared or found.same_machine:
        return table
    return f"{table}<p>Too few rules agree to compare it with the ground truth rule by rule.</p>"


def _rule_cells(row: RuleRow, compared: bool) -> list[Html]:
    cells = [escape(row.mode), _code([row.rule]), escape(row.next)]
    if not compared:
        return cells
    note = f'<span class="k-{escape(row.status)}">▲ {escape(row.note)}</span>'
    return [*cells, note if row.note else "same"]


def _ways(found: Report) -> Html:
    if not shows_ways(found):
        return ""
    names = ["kind", "inputs", "rule", "correct step", "shortest input", "model", "expected"]
    return _section(Title.WAYS, _table(names, [_way(s) for s in found.shortcuts]))


def _way(s: ShortcutView) -> list[Html]:
    kind, *others = (term_link(k.split(" ", 1)[0], k) for k in s.kinds)
    also = f"<br><small>fits as well: {', '.join(others)}</small>" if others else ""
    return [
        f"<b>{kind}</b>{also}",
        f"{s.inputs.hits:,}",
        _code([s.rule]),
        _code([s.step]),
        _code(s.input),
        _code(s.output),
        _code(s.expected),
    ]


def _where(found: Report) -> Html:
    if not found.errors:
        return ""
    if found.error_pattern:
        return _section(Title.WHERE, f"<p>{link_terms(found.error_pattern)}</p>")
    grid = heat.heat_svg(found.errors, style=False)
    return _section(Title.WHERE, f'<div class="scroll">{grid}</div>', Note.WHERE)


def _unexplained(found: Report, in_sight: int = 8) -> Html:
    rows = [
        [
            _code(case.input),
            _code(case.output),
            _code(case.expected),
            "abstains" if case.claimed is None else _code(case.claimed),
        ]
        for case in found.unexplained
    ]
    left = found.unexplained_total - len(rows)
    note = f"{left:,} more are not listed." if left else ""
    names = ["input", "model", "expected", "machine"]
    rest = _table(names, rows[in_sight:])
    more = f"<details><summary>{len(rows) - in_sight} more</summary>{rest}</details>"
    return _section(
        Title.UNEXPLAINED, _table(names, rows[:in_sight]) + (more if rest else ""), note
    )


def _code(tokens: Iterable[str]) -> Html:
    return f"<code>{escape(' '.join(tokens)) or 'ε'}</code>"


def _heads(found: Report) -> Html:
    names = ["", "head", "role", "follows", "effect", "note"]
    layers = "".join(f"<p>{escape(text)}</p>" for text in found.layers)
    table = _table(names, [_head_cells(h) for h in found.heads])
    return _section(Title.HEADS, table + layers, Note.HEADS if table else "")


def _head_cells(h: HeadRow) -> list[Html]:
    twin, noise = "untrained attention", "random direction"
    rest = [(k, v) for k, v in h.controls.items() if k not in (twin, noise)]
    controls = ", ".join(f"{escape(k)} {v:.2f}" for k, v in rest)
    return [
        "●" if h.recursion else "",
        _code([h.name]),
        term_link(h.role) if h.role else "",
        _beside(h.score, h.controls.get(twin)),
        _beside(h.effect, h.controls.get(noise)),
        f"{escape(h.note)}<br><small>{controls}</small>" if controls else escape(h.note),
    ]


def _beside(value: float, control: float | None) -> Html:
    return f"{value:.2f}" + (f" <small>({control:.2f})</small>" if control is not None else "")


def _sites(found: Report) -> Html:
    names = ["variable", "stored at", "interchange accuracy", "control", "pairs", "", "note"]
    note = Note.SUBSPACES if any(s.dims for s in found.sites) else ""
    return _section(Title.SITES, _table(names, [_site_cells(s) for s in found.sites]), note)


def _site_cells(s: SiteRow) -> list[Html]:
    accuracy, control = ("–" if x is None else f"{x:.2f}" for x in (s.accuracy, s.control))
    return [
        f"<b>{escape(s.variable)}</b>",
        "<br>".join(_code([w]) for w in (s.directions, *s.where) if w),
        f"{accuracy} <small>[{s.interval[0]:.2f}–{s.interval[1]:.2f}]</small>",
        control,
        str(s.pairs),
        "accepted" if s.accepted else "rejected",
        escape(s.note),
    ]


def _forced_prefixes(found: Report) -> Html:
    rows = [
        [
            escape(o.condition),
            f"<b>{escape(o.effect)}</b>",
            _rate(o.with_rule),
            _rate(o.without_rule),
        ]
        for o in found.forced_prefix_rules
    ]
    names = ["prefix condition", "the model", "rate", "machine without this rule"]
    pulls = _pulls(found)
    rules = _section(Title.FORCED, _table(names, rows), Note.FORCED) if rows or not pulls else ""
    return rules + pulls


def _pulls(found: Report, max_shown: int = 8) -> Html:
    """What draws the next token after a forced output, the strongest first."""
    if not found.pulls:
        return ""
    strongest = sorted(found.pulls, key=lambda pull: -abs(pull[1]))[:max_shown]
    rows = [[escape(name), f"{weight:+.1f}"] for name, weight in strongest]
    return _section(Title.FORCED, _table(["drawn to", "logits"], rows), Note.PULLS)


def _fidelity(rows: Sequence[FidelityRow]) -> Html:
    if not rows:
        return ""
    match = _strata(
        rows, ["match", "coverage", *rows[0].baselines],
        lambda r: (r.match, r.coverage, *r.baselines.values()),
    )  # fmt: skip
    body = f'<h3>{term_link("match", "Match")}</h3>{match}<p class="note">{escape(Note.MATCH)}</p>'
    failing = [r for r in rows if r.failures["exact recall"].total]
    if failing:
        failures = _strata(failing, list(rows[0].failures), lambda r: tuple(r.failures.values()))
        body += f'<h3>Failure prediction</h3>{failures}<p class="note">{escape(Note.FAILURES)}</p>'
    return _section(Title.FIDELITY, body)


def _strata(
    rows: Sequence[FidelityRow],
    columns: Sequence[str],
    cells: Callable[[FidelityRow], Sequence[RateView]],
) -> Html:
    body = [[f"{escape(r.stratum)} <small>({r.n:,})</small>", *map(_rate, cells(r))] for r in rows]
    return _table(["held-out inputs", *columns], body)


def _rate(view: RateView) -> Html:
    rate = view.rate
    if not rate.total:
        return "<span class=note>–</span>"
    counts = f"{counts_text(rate)} {interval_text(rate)}"
    return f"{escape(percent_text(rate))}<br><small>{counts}</small>"


def _table(names: Sequence[str], rows: Sequence[Sequence[Html]]) -> Html:
    if not rows:
        return ""
    head = "".join(f"<th>{_heading(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _heading(name: str) -> Html:
    """A column's name, as a link to its term where it has one."""
    terms = {
        "correct step": "iota-step",
        "role": "head-role",
        "follows": "landmark",
        "variable": "register",
        "stored at": "site",
        "control": "norm-matched-control",
        "prefix condition": "forced-prefix-rule",
        "model is right": "baseline",
        "wrong beyond trained depth": "baseline",
        "nearest neighbour": "baseline",
        "held-out inputs": "stratum",
        "guard / written": "guard",
        "then": "mode",
        "machine": "learned-machine",
        "expected": "ground-truth",
    }
    slug = terms.get(name, name.replace(" ", "-"))
    return term_link(slug, name) if name else ""


def _list(title: str, items: Sequence[str]) -> Html:
    return _section(
        title, f"<ul>{''.join(f'<li>{escape(x)}</li>' for x in items)}</ul>" if items else ""
    )


def _texts(found: Report) -> Html:
    texts = {"learned machine": found.learned}
    if not found.same_machine:
        texts["ground truth"] = found.truth
    body = "".join(
        f"<details><summary>{name}</summary><pre>{escape(text)}</pre></details>"
        for name, text in texts.items()
    )
    return _section("Machine text", body, "Machine.parse(text) reads it back.")
