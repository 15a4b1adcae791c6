"""The report in its three forms, on an explanation put together by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recinterp.divergence import ErrorCell, ShortcutKind, Verdict
from recinterp.errors import UnwritableFileError
from recinterp.io import write_text
from recinterp.judge import Fidelity
from recinterp.machine import Lost, Machine, Rule
from recinterp.stats import Rate
from recinterp.view import (
    explanation_html,
    explanation_json,
    explanation_mimebundle,
    explanation_text,
)
from recinterp.view.report.data import (
    Cell,
    Share,
    build_report,
)
from recinterp.view.report.heatmap import heat_svg, heat_text, percent
from recinterp.view.report.text import to_text
from tests.view.builders import CASE, OVERRIDE, SITE, divergence, explanation, shortcut, stratum
from tests.view.machines import SUCCESSOR

VOID = {"meta", "br", "img", "hr", "input", "link"}
HOSTILE = '<script>alert("x")</script>&'


class Page(HTMLParser):
    """Checks that every tag is closed in turn, and keeps the visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture
def html() -> str:
    return explanation_html(explanation())


def numbers(value: object) -> Iterator[float]:
    """Every number in a JSON value."""
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_the_page_is_whole_small_offline_and_needs_no_script(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert {"svg", "table", "figure"} <= page.tags
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"""(src=|@import |url\(|href=)""", html)
    assert len(html.encode()) < 200_000
    assert "prefers-color-scheme:dark" in html


def test_page_and_text_say_the_same_things(html: str) -> None:
    page, text = Page(html).text, explanation_text(explanation(), 140)
    for said in (
        "The model follows the recursion down to depth 3 and no further;",
        "computed from the input while reading",
        "at output token 4: the model writes X1 where X0 is true",
        "bounded-depth",
        "differs from the ground truth here",
        "L1H0",
        "after layer 0 at the inputs",
        "saturating counter",
        "built from 791 inputs",
        "Of the model's 260 failures among them it predicts 259 token for token",
        "it foretells 93.0% (93/100); effects where it foretells none: 4.4% (4/90).",
        "nearest",
    ):
        assert said in page, said
        assert said in text, said


def test_a_notebook_gets_the_same_body_under_its_own_theme(html: str) -> None:
    bundle = explanation_mimebundle(explanation())
    assert bundle["text/plain"] == explanation_text(explanation())
    cell = bundle["text/html"]
    assert Page(cell).open == []
    assert not Page(cell).tags & {"script", "iframe", "link", "object"}
    body = html.split('<main class="ri-report">')[1].split("</main>")[0]
    assert body in cell
    assert "data-jp-theme-light=false" in cell
    style = cell.split("<style>")[1].split("</style>")[0]
    rules = [rule.split("{")[0] for rule in style.split("}") if "{" in rule]
    stray = [rule for rule in rules if ".ri-report" not in rule and not rule.startswith("@media")]
    assert stray == []  # nothing beside the report is restyled


def test_plain_text_is_returned_and_not_displayed_where_rich_sees_a_notebook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    said = explanation_text(explanation())
    assert "L1H0" in said
    assert "\x1b" not in said


def test_headline_states_verdict_and_counts() -> None:
    shortcut_found = build_report(explanation()).headline
    assert shortcut_found == (
        "The model follows the recursion down to depth 3 and no further; "
        "it is wrong on 4,095 of 65,535 inputs."
    )
    undetermined = build_report(explanation(verdict=Verdict.UNDETERMINED)).headline
    assert undetermined.startswith("No faithful machine was found. The best one follows ")
    unknown = build_report(explanation(verdict=Verdict.UNDETERMINED, shortcuts=())).headline
    assert unknown == "No machine explains this model, which is wrong on 4,095 of 65,535 inputs."
    exact = build_report(explanation(verdict=Verdict.EXACT, shortcuts=())).headline
    assert exact == "The model is correct on all 65,535 inputs."


@pytest.mark.parametrize("kind", ShortcutKind)
def test_every_kind_has_its_own_words(kind: ShortcutKind) -> None:
    said = build_report(explanation(shortcuts=(shortcut(bounds=((kind, 3),)),))).headline
    assert kind is ShortcutKind.OTHER or "no named kind" not in said
    assert "{" not in said


def test_everything_a_user_named_is_escaped() -> None:
    machine = Machine.parse(str(SUCCESSOR).replace("X1", '"<script>"'))
    ex = explanation(
        model_name=HOSTILE,
        machine=machine,
        truth=machine,
        rejected_hypotheses=(HOSTILE,),
        shortcuts=(shortcut(counterexample=[HOSTILE], rule=HOSTILE, step=HOSTILE),),
        unexplained=(divergence((HOSTILE,), (HOSTILE,), (HOSTILE,), (HOSTILE,)),),
    )
    page = Page(explanation_html(ex))
    assert page.open == []
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 5
    assert HOSTILE in explanation_text(ex, 400)


def test_json_has_every_number_of_the_page_and_is_plain(html: str) -> None:
    data = explanation_json(explanation())
    assert json.loads(json.dumps(data, allow_nan=False)) == json.loads(json.dumps(data))
    known = {round(x, 6) for x in numbers(data)}
    for rate in (Rate(118, 120), Rate(59, 60), Rate(40, 120)):
        low, high = rate.interval
        assert {rate.hits, rate.total} <= known
        assert {round(rate.value, 6), round(low, 6), round(high, 6)} <= known


def test_a_nan_becomes_a_dash_not_a_number(html: str) -> None:
    assert Share.of(Rate(0, 0)).value is None
    assert "nan" not in Page(html).text.lower()
    assert "nan" not in explanation_text(explanation()).lower()


def test_an_exact_model_gets_a_short_report_without_empty_headings() -> None:
    right = {"verdict": Verdict.EXACT, "shortcuts": (), "divergent": 0, "counterexample": None}
    inside = {"sites": (), "layers": (), "heads": ()}
    ex = explanation(machine=SUCCESSOR, rejected_hypotheses=(), **inside, **right)
    text = explanation_text(ex)
    assert "EXACT" in text
    assert "counterexample" not in text
    assert "▲" not in text
    for heading in ("Heads", "Other machines", "Where it departs", "variables live"):
        assert heading not in text
        assert heading not in Page(explanation_html(ex)).text


def test_a_machine_that_abstains_everywhere_can_be_shown() -> None:
    silent = Rule("refuse", SUCCESSOR.start, (), (Lost(),), None)
    nothing = SUCCESSOR.with_rules((silent, *(r for r in SUCCESSOR.rules if r.mode != silent.mode)))
    ex = explanation(machine=nothing, verdict=Verdict.UNDETERMINED, shortcuts=())
    assert "Shortest counterexample" in explanation_text(ex)
    assert "UNDETERMINED" in explanation_text(ex)
    assert Page(explanation_html(ex)).open == []


def test_what_no_rule_tells_is_listed_and_the_rest_counted() -> None:
    ex = explanation(unexplained=(CASE,) * 125)
    found = build_report(ex)
    assert (len(found.unexplained), found.unexplained_total) == (100, 125)
    assert "and 117 more" in to_text(found)
    assert "25 more are not shown" in explanation_html(ex)
    assert "no claim" in to_text(found)


def test_long_outputs_that_no_rule_tells_stand_above_each_other() -> None:
    long = replace(CASE, input=("X1",) * 16 + ("01",), expected=("X0",) * 17)
    lines = to_text(build_report(explanation(unexplained=(long,) * 5))).splitlines()
    at = next(i for i, line in enumerate(lines) if "does not tell" in line)
    assert lines[at + 1].split() == ["input", *long.input]
    assert lines[at + 3].split() == ["truth", *long.expected]
    assert "and 2 more" in "\n".join(lines[at:])


def test_overrides_are_shown_with_what_the_machine_alone_says() -> None:
    also = replace(OVERRIDE, when=(("last", "01"),), then=None, observed=Rate(9, 9))
    ex = explanation(forced_prefix_rules=(OVERRIDE, also))
    for said in (to_text(build_report(ex)), Page(explanation_html(ex)).text):
        for part in (
            "in mode carry, after X1",
            "continues as in mode copy",
            "68.0",
            "30.0",
            "output ends",
        ):
            assert part in said
    assert build_report(ex).to_json()["forced_prefix_rules"][0]["held"]["total"] == 50
    none = explanation(forced_prefix_rules=())
    for said in (to_text(build_report(none)), Page(explanation_html(none)).text):
        assert "Behind outputs" not in said


def test_a_shorter_counterexample_than_the_shortcuts_own_comes_first() -> None:
    short = divergence(("X0", "01"), ("X1", "01"), ("X0", "01"), None)
    for ex in (explanation(), explanation(counterexample=short)):
        said = [
            s for s in explanation_text(ex).splitlines() if s.endswith(("example", "departure"))
        ]
        assert said[0] == "Shortest counterexample"
        first = explanation_text(ex).split("  input ")[1].splitlines()[0].split()
        assert tuple(first) == (ex.diff.counterexample or short).input
    assert said[1] == "A departure"


def test_further_departures_are_one_line_each() -> None:
    other = shortcut(rule="stop2", bounds=((ShortcutKind.LENGTH_KEYED, 9),))
    ex = explanation(shortcuts=(shortcut(), other))
    page, text = Page(explanation_html(ex)).text, explanation_text(ex)
    for shown in (page, text):
        assert shown.count("Other departures") == 1
        assert "length-keyed 9" in shown
        assert "stop2" in shown


def test_text_fits_its_width() -> None:
    for width in (80, 100, 140):
        assert max(map(len, explanation_text(explanation(), width).splitlines())) <= width


def test_a_percentage_never_rounds_some_to_none_or_most_to_all() -> None:
    assert [percent(h, 1000) for h in (0, 1, 10, 500, 999, 1000)] == [
        "0", "<1", "1", "50", ">99", "100",
    ]  # fmt: skip
    assert percent(0, 0) == ""


def test_the_grid_shows_each_cell_and_nothing_where_no_input_is() -> None:
    cells = [Cell(3, 0, 0, 4), Cell(3, 1, 1, 2), Cell(4, 2, 2, 2)]
    assert heat_text(cells).splitlines() == [
        "length    3   4",
        "depth 0    ·",
        "depth 1   50",
        "depth 2      100",
    ]
    svg = heat_svg(cells)
    assert "length 3, depth 1: 1 of 2 depart" in svg
    assert svg.count("ri-hot") == 2 + svg.split("</style>")[0].count("ri-hot")
    assert heat_svg([]) == heat_text([]) == ""


def test_heat_map_counts_every_error_of_the_model() -> None:
    errors = (ErrorCell(length=2, depth=1, errors=Rate(1, 2)),)
    ex = explanation(errors=errors, shortcuts=())
    assert build_report(ex).errors == (Cell(2, 1, 1, 2),)


def test_strata_keep_their_order_and_counts() -> None:
    judged = Fidelity((stratum("a", 10, 9), stratum("b", 7, 7)), stratum("all", 17, 16))
    rows = build_report(explanation(fidelity=judged)).fidelity
    assert [(r.stratum, r.columns["match"].hits) for r in rows] == [("a", 9), ("b", 7), ("all", 16)]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "r.html"
    target.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        write_text(target, "x" * 10_000 + "\ud800")
    assert target.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    assert write_text(target, "after").read_text() == "after"


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UnwritableFileError, match=r"no such file.*folder"):
        write_text(tmp_path / "none" / "r.html", "x")
    with pytest.raises(UnwritableFileError):
        write_text(tmp_path, "x")


def test_a_site_in_a_subspace_says_so() -> None:
    parted = replace(SITE, dims=12)
    said = explanation_text(explanation(sites=(SITE, parted)))
    assert "12 directions each" in said
    assert "a learned subspace" in said
    assert "a learned subspace" not in explanation_text(explanation(sites=(SITE,)))
    assert "12 directions each" in explanation_html(explanation(sites=(parted,)))
