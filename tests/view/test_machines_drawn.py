"""Machines as graphs, and graphs as SVG, dot, Mermaid and text: on machines written by hand."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from recinterp.errors import UnknownNameError
from recinterp.machine import Machine
from recinterp.view import draw, machine_svg
from recinterp.view.diagram.formats import FORMATS, render_graph
from recinterp.view.diagram.graph import (
    Edge,
    MachineGraph,
    NodeKind,
    RuleLabel,
    RuleStatus,
    StateNode,
    extract_graph,
)
from recinterp.view.diagram.layout import METRICS, break_rule, place_graph
from recinterp.view.diagram.side_by_side import align_machines, pair_modes
from recinterp.view.diagram.svg import render_svg
from tests.view.machines import COUNTER, DRAWN, INORDER, LOST, REVERSE, SUCCESSOR, capped

SVG = "{http://www.w3.org/2000/svg}"
SMALL = MachineGraph(
    (StateNode("a<b", NodeKind.START), StateNode("end", NodeKind.HALT)),
    (
        Edge("a<b", "a<b", (RuleLabel("x & y / z", RuleStatus.CHANGED, "changed", "r1"),)),
        Edge("a<b", "end", (RuleLabel('"q" / ε'),)),
    ),
)


def lines(graph: MachineGraph) -> dict[str, str]:
    """Status by rule text."""
    return {label.text: label.status for edge in graph.edges for label in edge.labels}


def inside(placed_x: float, size: float, total: float) -> bool:
    return size / 2 <= placed_x <= total - size / 2


@pytest.mark.parametrize("machine", DRAWN.values(), ids=DRAWN)
def test_every_rule_is_drawn_once(machine: Machine) -> None:
    drawn = [label.rule for edge in extract_graph(machine).edges for label in edge.labels]
    assert sorted(drawn) == sorted(rule.name for rule in machine.rules)
    root = ElementTree.fromstring(machine_svg(machine))
    titles = [t.text for t in root.iter(f"{SVG}title")]
    assert {rule.name for rule in machine.rules} <= set(titles)


@pytest.mark.parametrize("machine", DRAWN.values(), ids=DRAWN)
def test_states_lie_inside_the_drawing_and_apart(machine: Machine) -> None:
    placed = place_graph(extract_graph(machine))
    for n in placed.nodes:
        assert inside(n.x, n.width, placed.width), n
        assert inside(n.y, n.height, placed.height), n
    for i, a in enumerate(placed.nodes):
        for b in placed.nodes[i + 1 :]:
            apart = (
                abs(a.x - b.x) >= (a.width + b.width) / 2
                or abs(a.y - b.y) >= (a.height + b.height) / 2
            )
            assert apart, (a, b)


@pytest.mark.parametrize("machine", DRAWN.values(), ids=DRAWN)
def test_labels_do_not_overlap(machine: Machine) -> None:
    edges = place_graph(extract_graph(machine)).edges
    for i, a in enumerate(edges):
        for b in edges[i + 1 :]:
            wide = abs(a.label[0] - b.label[0]) >= (a.width + b.width) / 2 - 12
            high = abs(a.label[1] - b.label[1]) >= (a.height + b.height) / 2 - 6
            assert wide or high, (a.edge, b.edge)


def test_label_is_guard_slash_emission_without_default_updates() -> None:
    graph = extract_graph(SUCCESSOR)
    assert set(lines(graph)) == {"X1 / X0", "X0 / X1", "01 / X0 01", "X0, X1 / copy", "01 / 01"}
    assert "Unless an edge says otherwise: p := p+1." in graph.notes


def test_labels_of_lookahead_stack_and_lost() -> None:
    assert "X0, X1 and rest ≠ X1* / copy" in lines(extract_graph(REVERSE))
    assert "Leaf and top is Middle / in(top), pop, p := p+1" in lines(extract_graph(INORDER))
    assert "Node and d ≥ 3 / wrong, form unknown" in lines(extract_graph(LOST))


def test_modes_of_a_counter_are_paired_with_one_true_mode() -> None:
    assert pair_modes(capped(), SUCCESSOR) == dict.fromkeys(["c0", "c1", "c2", "c3"], "carry") | {
        "copy": "copy"
    }
    learned, truth = align_machines(capped(), SUCCESSOR)
    assert {t for t, s in lines(learned).items() if s != RuleStatus.SAME} == {"X1 / X1"}
    assert {t for t, s in lines(truth).items() if s != RuleStatus.SAME} == {"X1 / X0"}


def test_added_guard_and_added_rule_have_different_tags() -> None:
    learned, truth = align_machines(COUNTER, SUCCESSOR)
    tags = {label.text: label.tag for edge in learned.edges for label in edge.labels if label.tag}
    assert tags == {
        "X1 and c < 3 / X0, c := c+1": "only under a further condition",
        "X1 and c ≥ 3 / X1": "only in the learned machine",
    }
    assert [label.tag for e in truth.edges for label in e.labels if label.tag] == [
        "not always followed"
    ]


def test_condition_on_every_rule_does_not_hide_shared_rules() -> None:
    text = str(SUCCESSOR).replace(" ->", " and t < 9 ->")
    stops = [f"mode {m}\n  cut-{m}: t >= 9 -> halt\n" for m in ("carry", "copy")]
    learned, truth = align_machines(Machine.parse(text + "".join(stops)), SUCCESSOR)
    tags = [label.tag for e in learned.edges for label in e.labels]
    assert tags.count("only under a further condition") == len(SUCCESSOR.rules)
    assert tags.count("only in the learned machine") == 2
    assert set(lines(truth).values()) == {"changed"}


def test_rule_that_the_learned_machine_lacks_is_missing() -> None:
    short = SUCCESSOR.with_rules([r for r in SUCCESSOR.rules if r.name != "base"])
    _, truth = align_machines(short, SUCCESSOR)
    assert [label.tag for e in truth.edges for label in e.labels if label.tag] == [
        "missing in the learned machine"
    ]


def test_renamed_modes_are_no_difference() -> None:
    renamed = Machine.parse(str(SUCCESSOR).replace("carry", "m1").replace("copy", "m2"))
    for graph in align_machines(renamed, SUCCESSOR):
        assert set(lines(graph).values()) == {RuleStatus.SAME}


def test_machines_without_common_structure_show_only_errors() -> None:
    other = Machine.parse(
        "vocab X0/1 X1/1 01/0\nstart s\nregisters q := 0\nmode s\n"
        "  a: in(q + 1) = X1 -> emit X1, q := q + 2, goto s\n  b: in(q + 1) = $ -> halt\n"
    )
    learned, truth = align_machines(other, SUCCESSOR, erring=["a"])
    assert list(lines(learned).values()) == ["added", RuleStatus.SAME]
    assert set(lines(truth).values()) == {RuleStatus.SAME}


def test_every_format_marks_differences_in_words() -> None:
    for name in FORMATS:
        text = render_graph(align_machines(COUNTER, SUCCESSOR)[0], name)
        assert "only in the learned machine" in text, name


def test_svg_escapes_text_and_loads_nothing() -> None:
    svg = render_svg(SMALL)
    ElementTree.fromstring(svg)
    assert "a&lt;b" in svg
    assert "a<b" not in svg
    assert not re.search(r"(href|src|url\()", svg)
    assert "prefers-color-scheme:dark" in svg


def test_dot_and_mermaid_are_well_formed() -> None:
    import pygraphviz

    again = pygraphviz.AGraph(string=render_graph(SMALL, "dot"))
    assert sorted(again.nodes()) == ["a<b", "end"]
    assert len(again.edges()) == 2
    body = render_graph(extract_graph(COUNTER), "mermaid").splitlines()[1:]
    assert all(line.count(":") <= 1 and ";" not in line for line in body)


def test_long_rules_are_broken() -> None:
    assert break_rule("X1 / X0") == ["X1 / X0"]
    rows = break_rule("Node and d < 3 / push Middle(p+1), p := p+2, d := d+1")
    assert len(rows) > 1
    assert max(map(len, rows)) <= METRICS.max_label + 6


def test_unknown_format_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="mermaid"):
        draw(SUCCESSOR, "mermade")
