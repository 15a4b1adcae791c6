"""The report in its three forms, on an explanation put together by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from recinterp.divergence import ErrorCell, ShortcutKind, Verdict
from recinterp.errors import UnwritableFileError
from recinterp.io import write_text
from recinterp.judge import Fidelity
from recinterp.machine import Lost, Machine, Rule
from recinterp.stats import Rate
from recinterp.synthesis.hypothesis import Strategy, StrategyKind
from recinterp.synthesis.state_merging.views import Reading
from recinterp.view import (
    explanation_html,
    explanation_json,
    explanation_mimebundle,
    explanation_text,
)
from recinterp.view.report.data import (
    RateView,
    build_report,
    shown_strata,
)
from recinterp.view.report.heatmap import heat_svg, heat_text, percent
from recinterp.view.report.sentences.kinds import kind_wordings
from recinterp.view.report.sentences.network import condition_text
from recinterp.view.report.sentences.notes import Title
from recinterp.view.report.sentences.summary import error_pattern, summary_lines
from recinterp.view.report.terms import glossary_terms
from recinterp.view.report.text import to_text
from tests.view.builders import (
    CASE,
    OVERRIDE,
    REJECTED,
    SITE,
    divergence,
    explanation,
    shortcut,
    stratum,
)
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


def test_page_is_valid_small_offline_and_without_script(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert {"svg", "table", "figure"} <= page.tags
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"""(src=|@import |url\(|href="[^#])""", html)
    assert len(html.encode()) < 200_000
    assert "prefers-color-scheme:dark" in html


def test_page_and_text_have_the_same_content(html: str) -> None:
    page, text = Page(html).text, explanation_text(explanation(), 140)
    flat = " ".join(text.split())
    for words in (
        "bounded-depth 3. The model follows the recursion down to depth 3 and no further.",
        "93.8% of the model's outputs are correct (959/1,022).",
        "4,095 of 65,535 inputs are wrong, 6.2% (every input of the domain was compared).",
        "The learned machine predicts 4,095/4,095 errors token for token (100%).",
        "computed from the input while reading",
        "Output token 4: X1 instead of X0.",
        "The learned machine abstains on this input.",
        "L1H0",
        "after layer 0 at the inputs",
        "is larger than 24",
        "none of which was among the 791 queries",
        "errors predicted token for token 99.6% (259/260) [97.9–99.9].",
        "interventional match 93% (93/100) [86.3–96.6]; unpredicted changes 4.4% (4/90)",
        "The model was trained on inputs of at most 16 tokens.",
        "On this domain position-keyed 3 fits as well as bounded-depth 3.",
        "nearest",
    ):
        assert words in " ".join(page.split()), words
        assert words in flat, words


def sentences(text: str) -> list[str]:
    """The sentences of a report that are long enough to be one."""
    parts = re.split(r"(?<=[.:;])\s", " ".join(text.split()))
    return [part for part in parts if len(part.split()) > 4]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"verdict": Verdict.EXACT, "shortcuts": (), "machine": SUCCESSOR, "divergent": 0},
        {"verdict": Verdict.UNDETERMINED, "shortcuts": (shortcut(), shortcut(rule="c3"))},
        {"verdict": Verdict.SPORADIC, "unexplained": (CASE,)},
    ],
)
def test_no_sentence_occurs_twice(changes: dict[str, Any]) -> None:
    ex = explanation(**changes)
    page = Page(explanation_html(ex)).text.split("Machine text")[0]
    for text in (page, explanation_text(ex, 400)):
        found = sentences(text)
        assert len(found) == len(set(found)), [x for x in found if found.count(x) > 1]


def test_first_screen_has_the_seven_lines_in_order() -> None:
    labels = [line.label for line in build_report(explanation()).summary]
    assert labels == [
        "Accuracy", "Verdict", "Errors", "Predicted", "Evidence", "Mechanism", "Limits",
    ]  # fmt: skip
    text = explanation_text(explanation(), 80)
    places = [text.index(f"\n{label.upper()} ") for label in labels]
    assert places == sorted(places)
    assert text[: places[-1]].count("\n") < 24


def test_sections_stand_in_order() -> None:
    ex = explanation(unexplained=(CASE,), equivalent_machines=())
    text = explanation_text(ex, 100)
    places = [text.find(f"\n{title}\n") for title in Title]
    shown = [at for at in places if at >= 0]
    assert shown == sorted(shown)
    assert len(shown) >= 9


def test_accuracy_line_says_what_to_check_if_no_output_is_correct() -> None:
    errors = (ErrorCell(length=2, depth=0, errors=Rate(4, 4)),)
    first = build_report(explanation(errors=errors, divergent=4, total=4)).summary[0].text
    assert first == (
        "0 of 4 outputs are correct: check the token order, the token ids, the prompt template "
        "and EOS."
    )


def test_no_number_is_cut_at_80_columns() -> None:
    ex = explanation(forced_prefix_rules=(OVERRIDE,), unexplained=(CASE,) * 3)
    text = explanation_text(ex, 80)
    assert "…" not in text
    flat = "".join(text.split())
    found = build_report(ex)
    for row in shown_strata(found.fidelity):
        for view in (row.match, *row.failures.values()):
            assert f"{view.hits:,}/{view.total:,}" in flat
    for head_row in found.heads:
        assert f"{head_row.score:.2f}" in flat
    for site in found.sites:
        assert f"[{site.interval[0]:.2f}–{site.interval[1]:.2f}]" in flat


def test_terminal_shows_the_worst_stratum_and_the_page_every_one() -> None:
    strata = tuple(stratum(f"depth {d}", 20, 20 - d) for d in range(6))
    first = stratum("in distribution", 20, 20)
    judged = Fidelity(strata=(first, *strata), overall=stratum("all", 140, 125))
    ex = explanation(fidelity=judged)
    shown = [row.stratum for row in shown_strata(build_report(ex).fidelity)]
    assert shown == ["in distribution", "depth 5", "all"]
    assert "depth 2" in Page(explanation_html(ex)).text
    assert "depth 2" not in explanation_text(ex).split("Fidelity")[1]


def test_every_term_of_the_page_is_defined_on_the_page_and_in_the_glossary(html: str) -> None:
    glossary = Path("docs/glossary.md").read_text(encoding="utf-8")
    linked = set(re.findall(r'href="#term-([a-z0-9-]+)"', html))
    assert linked == set(re.findall(r'<dt id="term-([a-z0-9-]+)"', html))
    assert {"verdict", "shortcut", "bounded-depth", "exact-recall", "mechanism"} <= linked
    for slug in glossary_terms():
        assert f"{{#term-{slug}}}" in glossary, slug


def test_meanings_of_terms_are_how_their_glossary_entries_begin() -> None:
    plain = re.sub(r"\]\([^)]*\)|\]\{[^}]*\}|[\[\]*`]", "", Path("docs/glossary.md").read_text())
    flat = " ".join(plain.split())
    for term in glossary_terms().values():
        if term.slug not in set(ShortcutKind):
            assert f": {term.meaning.rstrip('.')}" in flat, term


def test_kinds_page_repeats_the_wordings() -> None:
    page = Path("docs/kinds.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z-]+)(?: \*k\*)? \| (.*) \|$", page, re.MULTILINE)
    assert dict(rows[2:]) == {kind.value: w.describes for kind, w in kind_wordings().items()}


def test_learned_machine_equal_to_the_ground_truth_is_shown_once() -> None:
    ex = explanation(machine=SUCCESSOR, shortcuts=())
    for text in (explanation_text(ex), Page(explanation_html(ex)).text):
        assert text.count("The learned machine is the ground-truth machine, rule by rule.") == 1
    assert "ground truth" not in explanation_text(ex).split("Errors by depth")[0].split("then")[1]
    assert explanation_html(ex).count("<figure") == 1


def test_errors_need_a_grid_unless_depth_or_length_decides_them() -> None:
    cells = [(3, 0, 0, 4), (3, 1, 2, 2), (4, 1, 1, 1)]
    table = [ErrorCell(length=n, depth=d, errors=Rate(k, of)) for n, d, k, of in cells]
    assert error_pattern(table) == (
        "Recursion depth 1: 100% of the inputs are wrong; recursion depth 0: none "
        "(independent of length)."
    )
    mixed = [*table, ErrorCell(length=4, depth=0, errors=Rate(1, 2))]
    assert error_pattern(mixed) == ""


def test_kinds_that_the_verdict_names_are_not_repeated_as_alternatives() -> None:
    pattern = (ShortcutKind.COPIED_PATTERN, None)
    first = shortcut(bounds=(pattern, (ShortcutKind.OVERRUN, None)))
    other = shortcut(bounds=((ShortcutKind.OVERRUN, None), pattern))
    limits = build_report(explanation(shortcuts=(first, other))).summary[-1].text
    assert "as well as" not in limits


def test_hosts_choose_the_theme_of_the_page(html: str) -> None:
    assert "body[data-theme=dark] .ri-report" in html
    assert "body[data-theme=light] .ri-report" in html


def test_notebook_cell_has_the_pages_body_and_the_notebooks_theme(html: str) -> None:
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


def test_plain_text_is_returned_inside_a_notebook(
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


def test_names_from_users_are_escaped() -> None:
    machine = Machine.parse(str(SUCCESSOR).replace("X1", '"<script>"'))
    reading = Reading(backwards=False, rest=(HOSTILE,))
    hostile = Strategy(kind=StrategyKind.STATE_MERGING, reading=reading, states=2)
    ex = explanation(
        model_name=HOSTILE,
        machine=machine,
        truth=machine,
        rejected_hypotheses=(replace(REJECTED, strategy=hostile),),
        shortcuts=(shortcut(counterexample=[HOSTILE], rule=HOSTILE, step=HOSTILE),),
        unexplained=(divergence((HOSTILE,), (HOSTILE,), (HOSTILE,), (HOSTILE,)),),
    )
    page = Page(explanation_html(ex))
    assert page.open == []
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 4
    assert HOSTILE in explanation_text(ex, 400)


def test_json_has_every_number_of_the_page(html: str) -> None:
    data = explanation_json(explanation())
    assert json.loads(json.dumps(data, allow_nan=False)) == json.loads(json.dumps(data))
    known = {round(x, 6) for x in numbers(data)}
    for rate in (Rate(118, 120), Rate(59, 60), Rate(40, 120)):
        low, high = rate.interval
        assert {rate.hits, rate.total} <= known
        assert {round(rate.value, 6), round(low, 6), round(high, 6)} <= known


def test_nan_is_shown_as_a_dash(html: str) -> None:
    assert RateView.of(Rate(0, 0)).value is None
    assert "nan" not in Page(html).text.lower()
    assert "nan" not in explanation_text(explanation()).lower()


def test_exact_model_has_no_empty_sections() -> None:
    right = {"verdict": Verdict.EXACT, "shortcuts": (), "divergent": 0, "counterexample": None}
    inside = {"sites": (), "layers": (), "heads": ()}
    ex = explanation(machine=SUCCESSOR, rejected_hypotheses=(), **inside, **right)
    text = explanation_text(ex)
    assert "EXACT" in text
    assert Title.COUNTEREXAMPLE not in text
    assert "▲" not in text
    for heading in (Title.HEADS, Title.REJECTED, Title.WHERE, Title.SITES, Title.WAYS):
        assert f"\n{heading}\n" not in text
        assert f"{heading}</h2>" not in explanation_html(ex)


def test_machine_that_abstains_everywhere_can_be_shown() -> None:
    silent = Rule("refuse", SUCCESSOR.start, (), (Lost(),), None)
    nothing = SUCCESSOR.with_rules((silent, *(r for r in SUCCESSOR.rules if r.mode != silent.mode)))
    ex = explanation(machine=nothing, verdict=Verdict.UNDETERMINED, shortcuts=())
    assert "Shortest counterexample" in explanation_text(ex)
    assert "UNDETERMINED" in explanation_text(ex)
    assert Page(explanation_html(ex)).open == []


def test_unexplained_inputs_are_listed_and_the_rest_counted() -> None:
    ex = explanation(unexplained=(CASE,) * 125)
    found = build_report(ex)
    assert (len(found.unexplained), found.unexplained_total) == (100, 125)
    assert "and 117 more" in to_text(found)
    assert "25 more are not listed" in explanation_html(ex)
    assert "abstains" in to_text(found)


def test_long_unexplained_outputs_are_stacked() -> None:
    long = replace(CASE, input=("X1",) * 16 + ("01",), expected=("X0",) * 17)
    lines = to_text(build_report(explanation(unexplained=(long,) * 5))).splitlines()
    at = next(i for i, line in enumerate(lines) if line == "Unexplained inputs")
    assert lines[at + 1].split() == ["input", *long.input]
    assert lines[at + 3].split() == ["expected", *long.expected]
    assert "and 2 more" in "\n".join(lines[at:])


def test_forced_prefix_rules_are_shown_beside_the_machine_without_them() -> None:
    also = replace(OVERRIDE, when=(("last", "01"),), then=None, observed=Rate(9, 9))
    ex = explanation(forced_prefix_rules=(OVERRIDE, also))
    for shown in (to_text(build_report(ex)), Page(explanation_html(ex)).text):
        for part in (
            condition_text(OVERRIDE),
            "continues as in mode copy",
            "68%",
            "30%",
            "output ends",
        ):
            assert part in shown
    assert build_report(ex).to_json()["forced_prefix_rules"][0]["with_rule"]["total"] == 50
    none = explanation(forced_prefix_rules=())
    for shown in (to_text(build_report(none)), Page(explanation_html(none)).text):
        assert Title.FORCED not in shown


def test_shortest_counterexample_is_the_models_even_if_no_shortcut_has_it() -> None:
    short = divergence(("X0", "01"), ("X1", "01"), ("X0", "01"), None)
    assert Title.WAYS not in explanation_text(explanation())
    text = explanation_text(explanation(counterexample=short))
    assert text.split("  input ")[1].splitlines()[0].split() == ["X0", "01"]
    assert Title.WAYS in text


def test_several_shortcuts_are_one_line_each() -> None:
    other = shortcut(rule="stop2", bounds=((ShortcutKind.LENGTH_KEYED, 9),))
    ex = explanation(shortcuts=(shortcut(), other))
    for shown in (Page(explanation_html(ex)).text, explanation_text(ex)):
        assert shown.count(Title.WAYS) == 1
        assert "length-keyed 9" in shown
        assert "stop2" in shown


def test_text_fits_its_width() -> None:
    for width in (80, 100, 140):
        assert max(map(len, explanation_text(explanation(), width).splitlines())) <= width


def test_percentage_never_rounds_to_zero_or_hundred() -> None:
    assert [percent(h, 1000) for h in (0, 1, 10, 500, 999, 1000)] == [
        "0", "<1", "1", "50", ">99", "100",
    ]  # fmt: skip
    assert percent(0, 0) == ""


def test_heat_map_shows_every_cell_with_inputs() -> None:
    numbers = [(3, 0, 0, 4), (3, 1, 1, 2), (4, 2, 2, 2)]
    cells = [ErrorCell(length=n, depth=d, errors=Rate(k, of)) for n, d, k, of in numbers]
    assert heat_text(cells).splitlines() == [
        "length    3   4",
        "depth 0    ·",
        "depth 1   50",
        "depth 2      100",
    ]
    svg = heat_svg(cells)
    assert "length 3, depth 1: 1 of 2 wrong" in svg
    assert svg.count("ri-hot") == 2 + svg.split("</style>")[0].count("ri-hot")
    assert heat_svg([]) == heat_text([]) == ""


def test_heat_map_counts_every_error_of_the_model() -> None:
    errors = (ErrorCell(length=2, depth=1, errors=Rate(1, 2)),)
    ex = explanation(errors=errors, shortcuts=())
    assert build_report(ex).errors == errors
    assert "depth 1   50" in explanation_text(ex)


def test_strata_are_shown_in_order_with_counts() -> None:
    judged = Fidelity(
        strata=(stratum("a", 10, 9), stratum("b", 7, 7)), overall=stratum("all", 17, 16)
    )
    rows = build_report(explanation(fidelity=judged)).fidelity
    assert [(r.stratum, r.columns["match"].hits) for r in rows] == [("a", 9), ("b", 7), ("all", 16)]


def test_files_are_written_completely_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "r.html"
    target.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        write_text(target, "x" * 10_000 + "\ud800")
    assert target.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    assert write_text(target, "after").read_text() == "after"


def test_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UnwritableFileError, match=r"no such file.*folder"):
        write_text(tmp_path / "none" / "r.html", "x")
    with pytest.raises(UnwritableFileError):
        write_text(tmp_path, "x")


def test_site_in_a_subspace_shows_its_directions() -> None:
    parted = replace(SITE, dims=12)
    said = explanation_text(explanation(sites=(SITE, parted)))
    assert "12 directions each" in said
    assert "a learned subspace" in said
    assert "a learned subspace" not in explanation_text(explanation(sites=(SITE,)))
    assert "12 directions each" in explanation_html(explanation(sites=(parted,)))


def test_a_contradiction_with_the_checkpoint_comes_first() -> None:
    clause = "the checkpoint says natural order and the task reverse order"
    first = summary_lines(explanation(contradiction=clause))[0]
    assert first.text.startswith("The checkpoint says natural order")
    assert summary_lines(explanation())[0].text.startswith("93")
