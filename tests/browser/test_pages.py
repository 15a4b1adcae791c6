"""The stand-alone pages, opened from disk without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import recinterp as ri
from recinterp.view.notebook.ablation import AblationWidget
from recinterp.view.notebook.session import HeadIntervention
from tests.browser.conftest import Watch, readable, row, shot
from tests.view.builders import explanation, session

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
DEEP = "X1 X1 X1 X1 01"


@pytest.fixture(scope="module")
def shipped_report(explanation: ri.Explanation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the shipped model's explanation."""
    path = tmp_path_factory.mktemp("shipped") / "report.html"
    explanation.to_html(path)
    return path


def opened(browser: Any, watch: Watch, path: Path, scheme: str = "light", width: int = 1240) -> Any:
    """A page from disk, offline."""
    size = {"width": width, "height": 900}
    context = browser.new_context(color_scheme=scheme, offline=True, viewport=size)
    page = context.new_page()
    watch.on(page)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_is_readable_offline(
    browser: Any, watch: Watch, tmp_path: Path, scheme: str
) -> None:
    path = tmp_path / "report.html"
    explanation().to_html(path)
    assert path.stat().st_size < 1_000_000
    page = opened(browser, watch, path, scheme)
    assert page.locator("svg").count() == 2  # both machines; errors by depth are one line
    assert page.locator("svg text").first.is_visible()
    readable(page.locator("body"))
    shot(page.locator("main"), f"report-{scheme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [800, 1280])
def test_report_never_scrolls_sideways(
    browser: Any, watch: Watch, shipped_report: Path, scheme: str, width: int
) -> None:
    page = opened(browser, watch, shipped_report, scheme, width)
    page.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true })")
    content, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert window == width
    assert content <= window


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_static_page_switches_heads_off(
    browser: Any, watch: Watch, tmp_path: Path, scheme: str
) -> None:
    path = tmp_path / "ablate.html"
    AblationWidget(session()).static(path, max_answers=70)
    page = opened(browser, watch, path, scheme)
    page.locator(".head").nth(1).click()
    page.locator(".head").nth(2).click()
    page.wait_for_function("!document.querySelector('.ri-nb').hasAttribute('aria-busy')")
    want = session().output(DEEP.split(), HeadIntervention(((0, 1), (1, 0))))
    assert row(page, "with intervention") == list(want)
    readable(page.locator("body"))
    shot(page, f"ablate-static-{scheme}")
    page.locator(".head").nth(3).click()
    said = "document.querySelector('.status').textContent.includes('single heads and pairs')"
    page.wait_for_function(said)
    assert page.locator("table").count() == 0  # nothing of the last answer is left
    page.locator(".head").nth(3).click()
    page.wait_for_selector(".tokens")
    assert row(page, "with intervention") == list(want)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_stepper_steps_both_ways_by_keyboard(
    browser: Any, watch: Watch, tmp_path: Path, scheme: str
) -> None:
    path = tmp_path / "step.html"
    explanation(model=session().ex.model).step(DEEP.split()).static(path)
    page = opened(browser, watch, path, scheme)
    root = page.locator(".ri-nb")
    page.keyboard.press("Tab")
    for key, step in [("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", None)]:
        page.keyboard.press(key)
        if step is not None:
            assert root.get_attribute("data-step") == str(step)
    assert "normal form" in root.inner_text()
    page.keyboard.press("Home")
    assert root.get_attribute("data-step") == "0"
    assert root.locator("mark").inner_text() == "succ (X1 (X1 (X1 (X1 One))))"
    for _ in range(4):
        page.get_by_role("button", name="one step on").click()
    assert root.locator(".run .here").count() == 1
    readable(root)
    shot(page, f"step-{scheme}")


def test_attention_draws_every_head_offline(browser: Any, watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "attention.html"
    explanation(model=session().ex.model).attention(DEEP.split()).save(path)
    page = opened(browser, watch, path)
    page.wait_for_selector("canvas")
    assert all(page.get_by_text(name).count() for name in ("L0H0", "L0H1", "L1H0", "L1H1"))
    shot(page, "attention")


@pytest.mark.parametrize("name", ["heads", "fidelity", "depth"])
def test_saved_figure_draws_offline(browser: Any, watch: Watch, tmp_path: Path, name: str) -> None:
    path = tmp_path / "figure.html"
    getattr(explanation(model=session().ex.model).plot, name)().save(path)
    page = opened(browser, watch, path)
    page.wait_for_selector(".main-svg")
    shot(page, f"plot-{name}")
