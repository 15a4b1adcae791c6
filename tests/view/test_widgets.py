"""Widgets, stepper, figures and pages: what they hold, without a browser (see tests/browser)."""

from __future__ import annotations

import json
import re
import threading
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

import recinterp as ri
from recinterp.errors import DomainError, InvalidInputError
from recinterp.explanation import Explanation
from recinterp.perturb import head
from recinterp.view.notebook.ablation import AblationWidget, LatestRequestWorker, build_static_page
from recinterp.view.notebook.session import HeadIntervention
from recinterp.view.notebook.standalone import StandalonePage, encode_for_script
from recinterp.view.notebook.static_chart import render_chart
from recinterp.view.notebook.stepper import count_known_tokens, trace_redexes
from tests.view.builders import explanation, session

LOADS = re.compile(r"""(src=|@import |url\(|<link[^>]+href=)["']?(https?:)?//""")
TREE = """Inductive tree : Set := Leaf | Node (l : tree) (x : lab) (r : tree)
with lab : Set := a | b.
Inductive labs : Set := nil | cons (x : lab) (t : labs).
Fixpoint append (s t : labs) : labs := match s with nil => t | cons x u => cons x (append u t) end.
Fixpoint inorder (t : tree) : labs :=
  match t with Leaf => nil | Node l x r => append (inorder l) (cons x (inorder r)) end.
"""


@cache
def explained() -> Explanation:
    return explanation(model=session().ex.model)


def sent(widget: AblationWidget, request: dict[str, Any]) -> list[dict[str, Any]]:
    """What a click is answered, until it is done."""
    found: list[dict[str, Any]] = []
    done = threading.Event()

    def keep(message: dict[str, Any], *_: object) -> None:
        found.append(message)
        if message["what"] in ("done", "error"):
            done.set()

    widget.send = keep  # type: ignore[method-assign]
    widget._on_request(widget, request)
    assert done.wait(60)
    return found


def test_click_is_answered_before_its_accuracies() -> None:
    widget = explained().ablate(warm_up=False)
    asked = {"n": 7, "tokens": ["X1", "X1", "01"], "heads": [[1, 0]], "kind": "mean", "to": ""}
    first, *rest = sent(widget, asked)
    run = ri.perturb.run(
        session().adapter, session().task, [["X1", "X1", "01"]],
        [ri.perturb.Ablate(head(1, 0), "mean", session()._reference)], whole=True,
    )  # fmt: skip
    assert run.outputs is not None
    assert first["output"] == list(run.outputs[0])
    assert {m["n"] for m in (first, *rest)} == {7}
    assert [m["what"] for m in rest] == ["stratum"] * (len(rest) - 1) + ["done"]
    json.dumps([first, *rest], allow_nan=False)


def test_refused_request_is_shown_on_the_page() -> None:
    widget = explained().ablate(warm_up=False)
    (said,) = sent(widget, {"n": 1, "tokens": ["X1"], "heads": [], "kind": "zero"})
    assert said["what"] == "error"
    assert "position" in said["text"]


def test_latest_request_replaces_earlier_ones() -> None:
    started, go, seen = threading.Event(), threading.Event(), []

    def work(request: Any, stale: Any) -> None:
        started.set()
        go.wait(10)
        seen.append((request["n"], stale()))
        if request["n"] == 3:
            finished.set()

    finished, newest = threading.Event(), LatestRequestWorker(work)
    newest.submit({"n": 1})
    assert started.wait(10)
    newest.submit({"n": 2})
    newest.submit({"n": 3})
    go.set()
    assert finished.wait(10)
    assert seen == [(1, True), (3, False)]


def test_setup_lists_every_head() -> None:
    setup = explained().ablate(warm_up=False).setup
    assert [h["name"] for h in setup["heads"]] == ["L0H0", "L0H1", "L1H0", "L1H1"]
    assert [h["recursion"] for h in setup["heads"]] == [False, False, True, False]
    assert setup["kinds"] == ["zero", "mean", "resample", "redirect"]
    json.dumps(setup, allow_nan=False)


@pytest.mark.slow
def test_static_page_stores_single_heads_and_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session(), "accuracy", lambda intervention: iter(()))
    page = build_static_page(session(), max_answers=70)
    assert not LOADS.search(page)
    assert len(page.encode()) < 1_000_000
    given = page.split("getElementById('here'),")[1].split(");</script>")[0]
    data = json.loads(given)
    offered = len(data["setup"]["suggested_inputs"])
    assert offered == 2
    assert len(data["stored"]["answers"]) == offered * 3 * (1 + 4 + 6)
    assert data["stored"]["answers"]["0|zero|1.0"]["output"] == list(
        session().output(
            data["setup"]["suggested_inputs"][0]["tokens"], HeadIntervention(((1, 0),), "zero")
        )
    )


def test_user_text_never_ends_a_script() -> None:
    for said in ("</script><b>", "<!--", "\u2028", "&lt;"):
        text = encode_for_script({"x": said})
        assert json.loads(text) == {"x": said}
        assert not set("<>&\u2028") & set(text)


def test_page_is_shown_in_a_sandboxed_frame(tmp_path: Path) -> None:
    page = StandalonePage.make("<b>&</b>", 'a "page"')
    bundle = page._repr_mimebundle_()
    assert bundle["text/plain"] == repr(page) == 'a "page"'
    assert 'sandbox="allow-scripts"' in bundle["text/html"]
    assert "<b>" not in bundle["text/html"]
    assert page.save(tmp_path / "p.html").read_text() == "<b>&</b>"


@pytest.mark.parametrize("order", ["natural", "reverse"])
def test_redexes_are_those_of_the_trace(order: str) -> None:
    task = ri.task("binary-successor", order=order)
    x = ["X1", "X1", "X0", "01"] if order == "natural" else ["01", "X0", "X1", "X1"]
    found, normal = trace_redexes(task, x)
    steps = list(task.trace(x, "outermost"))
    assert [(r.rule, r.name) for r in found] == [(s.rule, s.name) for s in steps]
    shown = [r.before + r.redex + r.after for r in found]
    assert [*shown[1:], normal] == [s.text for s in steps]
    assert all(r.redex for r in found)
    assert any(r.before for r in found)


def test_known_tokens_only_grow_during_the_reduction() -> None:
    task = ri.Task.from_gallina(TREE, function="inorder")
    x = ["Node", "Node", "Leaf", "a", "Leaf", "b", "Leaf"]
    found, _ = trace_redexes(task, x)
    known = [r.known for r in found]
    assert known == sorted(known)
    assert task.apply(x) == ["a", "b"]
    assert known[-1] >= 1
    succ = ri.task("binary-successor")
    assert max(r.known for r in trace_redexes(succ, ["X1", "X1", "01"])[0]) == 2
    assert count_known_tokens(ri.task("binary-successor", order="reverse"), None) == 0  # type: ignore[arg-type]


def test_stepper_synchronises_reduction_machine_and_model() -> None:
    ex, x = explained(), ["X1", "X1", "X1", "X1", "01"]
    data = ex.step(x).setup
    frames = data["frames"]
    for i, j, t in frames:
        assert 0 <= i <= len(data["trace"])
        assert data["run"][j]["out"] <= t
        assert j + 1 == len(data["run"]) or data["run"][j + 1]["out"] > t
    assert [f[2] for f in frames] == sorted(f[2] for f in frames)
    assert frames[0] == [0, 0, 0]
    assert frames[-1][0] == len(data["trace"])
    assert frames[-1][2] == max(len(data["truth"]), len(data["model"]["output"]))
    assert data["model"]["output"] == list(session().output(x))


def test_stepper_works_without_a_model() -> None:
    data = explanation().step(["X1", "01"])
    assert data.setup["model"] is None
    assert not LOADS.search(data.static())
    with pytest.raises(InvalidInputError):
        explanation().step(["X1"])


def test_attention_page_loads_nothing() -> None:
    page = explained().attention(["X1", "01"])
    assert not LOADS.search(page)
    assert "unpkg.com" not in page
    assert "AttentionHeads" in page
    assert "attention of 4 heads" in repr(page)


def test_views_of_an_encoder_decoder() -> None:
    task, domain = ri.task("binary-successor"), ri.Domain(max_length=5)
    small = ri.TrainConfig(
        architecture="encoder-decoder", n_layers=1, d_model=16, max_length=5, steps=3
    )
    ex = explanation(model=ri.train(task, small, progress=False).model, domain=domain, heads=())
    page, x = ex.attention(["X1", "01"]), ("X1", "01")
    assert all(f"{block}0H1: " in page for block in "EDX")
    assert "<script" not in page
    asked = ex.ablate(warm_up=False).session
    assert [asked.name(h) for h in asked.heads] == ["E0H0", "E0H1", "D0H0", "D0H1", "X0H0", "X0H1"]
    for which in ((0, 0), (2, 1)):
        intervention = HeadIntervention((which,), "mean")
        found = ri.perturb.run(asked.adapter, task, [x], asked.plan(intervention), whole=True)
        assert found.outputs is not None
        assert asked.output(x, intervention) == found.outputs[0]
    assert ex.step(x).setup["model"]["heads"][-1] == "X0H1"


@pytest.mark.parametrize("name", ["heads", "fidelity", "depth"])
def test_figure_has_plotly_table_and_file_forms(name: str, tmp_path: Path) -> None:
    ex = explanation(domain=ri.Domain(max_length=6), model=explained().model)
    plot = getattr(ex.plot, name)()
    bundle = plot._repr_mimebundle_()
    json.dumps(bundle["application/vnd.plotly.v1+json"])
    assert bundle["application/vnd.plotly.v1+json"]["data"]
    assert len(bundle["text/html"]) < 30_000
    saved = plot.save(tmp_path / "f.html").read_text()
    assert not re.search(r"""<script[^>]+src=""", saved)
    assert len(str(plot).splitlines()) == 2 + len(plot.rows)


def test_depth_figure_counts_the_models_outputs() -> None:
    ex = explanation(domain=ri.Domain(max_length=7), model=explained().model)
    rows = {row[0]: row[1:] for row in ex.plot.depth().rows}
    assert rows["0"][0] == rows["3"][0] == 1.0
    assert rows["4"][0] == rows["5"][0] == 0.0
    alone = explanation(domain=ri.Domain(max_length=7))
    assert {row[1] for row in alone.plot.depth().rows} == {
        row[2] for row in alone.plot.depth().rows
    }


def test_static_chart_marks_numbers_and_escapes_names() -> None:
    svg = render_chart(
        ("<depth>", "a & b", "c"), [("0", 1.0, 0.5), ("1", "–", 0.25), ("2", 0.0, 2.0)]
    )
    root = fromstring(svg)
    assert sum(e.tag.endswith("circle") for e in root.iter()) == 5
    tops = [float(e.get("cy", "")) for e in root.iter() if e.tag.endswith("circle")]
    assert min(tops) == tops[-1]  # the largest stands highest
    assert "a & b" in "".join(root.itertext())


def test_figure_of_heads_requires_heads() -> None:
    with pytest.raises(DomainError, match="heads"):
        explanation(heads=()).plot.heads()
