"""Every view in JupyterLab: a notebook is run, heads are clicked, the stepper steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from recinterp.view.notebook.session import HeadIntervention
from tests.browser.conftest import Watch, readable, row, shot
from tests.view.builders import session

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]


class Notebook:
    """The notebook, run once, and what its page did meanwhile."""

    def __init__(self, browser: Any, address: str) -> None:
        self.watch = Watch()
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        self.page = context.new_page()
        self.watch.on(self.page)
        self.page.goto(address)
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        idle = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
        self.page.wait_for_selector(idle, timeout=60_000)
        self._run_all()
        drawn = ".ri-nb:has(.head), .jp-RenderedText[data-mime-type*=stderr]"
        self.page.wait_for_selector(drawn, timeout=90_000, state="attached")
        self.page.wait_for_selector("iframe[title^=attention]", timeout=60_000, state="attached")
        self.ablate = self.page.locator(".ri-nb:has(.head)")
        self.step = self.page.locator(".ri-nb:has(input[type=range])")

    def _run_all(self) -> None:
        """Run every cell; again where JupyterLab, still starting, dropped the command."""
        for _ in range(6):
            self.page.wait_for_timeout(1_500)
            self.page.get_by_role("menuitem", name="Run", exact=True).click()
            self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            self.page.wait_for_timeout(4_000)
            prompts = self.page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
            if any(prompt.strip() not in ("[ ]:", "") for prompt in prompts):
                return
        raise AssertionError("JupyterLab never ran the notebook")

    def settled(self) -> None:
        """Until the newest click is wholly answered."""
        busy = "!document.querySelector('.ri-nb:has(.head)').hasAttribute('aria-busy')"
        self.page.wait_for_function(busy, timeout=60_000)

    def click(self, index: int) -> int:
        """Press a head; the milliseconds until its output stood there."""
        self.ablate.evaluate("(root) => delete root.dataset.latency")
        self.ablate.locator(".head").nth(index).click()
        self.page.wait_for_selector(".ri-nb[data-latency]", timeout=30_000)
        return int(self.ablate.get_attribute("data-latency"))


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: str) -> Iterator[Notebook]:
    shown = Notebook(browser, lab)
    yield shown
    assert shown.watch.left == []
    assert shown.watch.errors == []


def test_report_is_readable_in_both_themes(notebook: Notebook) -> None:
    report = notebook.page.locator(".jp-OutputArea .ri-report")
    report.scroll_into_view_if_needed()
    assert report.locator("svg").count() == 2
    for light in ("true", "false"):
        theme(notebook, light)
        readable(report)
        shot(report, f"lab-report-{'light' if light == 'true' else 'dark'}")
    theme(notebook, "true")


def theme(notebook: Notebook, light: str) -> None:
    """JupyterLab's way of saying which theme is on."""
    said = f"document.body.setAttribute('data-jp-theme-light', '{light}')"
    notebook.page.evaluate(said)


def test_clicked_heads_change_the_output_as_the_session_does(notebook: Notebook) -> None:
    notebook.ablate.scroll_into_view_if_needed()
    notebook.settled()
    x, pressed = list(session().suggested_inputs[0][1]), set()
    assert row(notebook.ablate, "with intervention") == list(session().output(x))
    for index, at in enumerate(session().heads):
        notebook.click(index)
        pressed.add(at)
        want = session().output(x, HeadIntervention(tuple(sorted(pressed))))
        assert row(notebook.ablate, "with intervention") == list(want)
    notebook.ablate.get_by_text("mean").click()
    notebook.settled()
    want = session().output(x, HeadIntervention(tuple(sorted(pressed)), "mean"))
    assert row(notebook.ablate, "with intervention") == list(want)
    notebook.ablate.get_by_text("redirect").click()
    notebook.settled()
    assert notebook.ablate.get_by_label("pointer the heads").is_visible()
    shot(notebook.ablate, "lab-ablate-redirect")
    notebook.ablate.get_by_text("zero").click()
    notebook.ablate.get_by_role("button", name="all heads on").click()
    notebook.settled()
    assert row(notebook.ablate, "with intervention") == list(session().output(x))


def test_typed_input_is_answered_or_refused(notebook: Notebook) -> None:
    typed = notebook.ablate.get_by_label("input tokens, separated by blanks")
    typed.fill("X1 X0 01")
    typed.press("Enter")
    notebook.settled()
    assert row(notebook.ablate, "truth") == ["X0", "X1", "01"]
    typed.fill("X1 X0")
    typed.press("Enter")
    notebook.page.wait_for_selector(".status.bad")
    assert "position" in notebook.ablate.locator(".status").inner_text()
    assert notebook.ablate.locator("table").count() == 0  # nothing of the last answer is left
    notebook.ablate.get_by_label("inputs to pick from").select_option("0")
    notebook.settled()
    assert row(notebook.ablate, "input") == list(session().suggested_inputs[0][1])


def test_latest_of_many_clicks_is_answered(notebook: Notebook) -> None:
    heads = notebook.ablate.locator(".head")
    heads.evaluate_all("(all) => { for (let i = 0; i < 21; i++) all[i % 4].click(); }")
    notebook.settled()
    # 21 clicks in turn: the first head six times, each other one five.
    pressed = notebook.ablate.locator(".head[aria-pressed=true] b").all_inner_texts()
    assert [name.removesuffix(" ●") for name in pressed] == ["L0H1", "L1H0", "L1H1"]
    want = session().output(session().suggested_inputs[0][1], HeadIntervention(session().heads[1:]))
    assert row(notebook.ablate, "with intervention") == list(want)
    assert notebook.ablate.locator(".strata tr").count() > 3
    notebook.ablate.get_by_role("button", name="all heads on").click()
    notebook.settled()


def test_keyboard_reaches_every_control(notebook: Notebook) -> None:
    controls = notebook.ablate.locator("button, select, input[type=text], input:checked")
    wanted = [c for c in controls.all() if c.is_visible()]
    for control in wanted:
        control.focus()
        assert control.evaluate("(node) => node === document.activeElement && node.tabIndex >= 0")
    notebook.ablate.locator(".head").first.focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.page.keyboard.press("Space")
    notebook.settled()
    assert notebook.ablate.locator(".head").nth(1).get_attribute("aria-pressed") == "true"
    outline = notebook.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    notebook.page.keyboard.press("Space")
    notebook.settled()


def test_stepper_steps_in_the_notebook(notebook: Notebook) -> None:
    notebook.step.scroll_into_view_if_needed()
    notebook.step.focus()
    for _ in range(3):
        notebook.page.keyboard.press("ArrowRight")
    assert notebook.step.get_attribute("data-step") == "3"
    notebook.page.keyboard.press("ArrowLeft")
    assert notebook.step.get_attribute("data-step") == "2"
    shot(notebook.step, "lab-step")


@pytest.mark.parametrize("light", ["true", "false"])
def test_widgets_are_readable_in_both_themes(notebook: Notebook, light: str) -> None:
    theme(notebook, light)
    notebook.settled()
    for name, view in (("ablate", notebook.ablate), ("step", notebook.step)):
        readable(view)
        shot(view, f"lab-{name}-{'light' if light == 'true' else 'dark'}")
    theme(notebook, "true")


def test_figures_and_attention_are_drawn(notebook: Notebook) -> None:
    notebook.page.locator("iframe[title^=attention]").scroll_into_view_if_needed()
    notebook.page.wait_for_selector(".js-plotly-plot .main-svg", timeout=30_000, state="attached")
    frame = notebook.page.frame_locator("iframe[title^=attention]")
    frame.locator("canvas").first.wait_for(timeout=30_000)
    shot(notebook.page, "lab-attention")


def test_machine_and_diff_are_derived_again(notebook: Notebook) -> None:
    notebook.ablate.scroll_into_view_if_needed()
    notebook.ablate.get_by_text("derive machine and diff again").click()
    said = notebook.ablate.locator("pre")
    said.wait_for(timeout=240_000)
    assert "guard / written" in said.inner_text()
    assert (
        "bounded-depth" in notebook.ablate.inner_text() or "depth 3" in notebook.ablate.inner_text()
    )
    shot(notebook.ablate, "lab-derived")
