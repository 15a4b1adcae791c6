"""A real browser and a real JupyterLab; skipped, with the reason, where one of them is missing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
OWN = ("http://127.0.0.1", "ws://127.0.0.1", "file:", "data:", "blob:", "about:")
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
SHOTS = ROOT / "test-output"
NOTEBOOK = {
    "model": """import recinterp as ri
from tests.view.builders import explanation
ex = explanation(model=ri.load("binary-successor-natural-depthcap3"))""",
    "report": "ex",
    "ablate": "widget = ex.ablate()\nwidget",
    "step": "ex.step('X1 X1 X1 X1 01'.split())",
    "plot": "ex.plot.heads()",
    "attention": "ex.attention('X1 X1 01'.split())",
}


@dataclass
class Watch:
    """What a page did that it must not: requests that leave the machine, errors."""

    left: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def on(self, page: Any) -> None:
        """Listen to a page."""
        page.on("request", lambda r: r.url.startswith(OWN) or self.left.append(r.url))
        page.on("websocket", lambda w: w.url.startswith(OWN) or self.left.append(w.url))
        page.on("console", lambda m: m.type == "error" and self.errors.append(m.text))
        page.on("pageerror", lambda e: self.errors.append(str(e)))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's chromium under Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Fails the test at its end if a page left the machine or said an error."""
    seen = Watch()
    yield seen
    assert seen.left == []
    assert seen.errors == []


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab that serves one notebook of every view."""
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
    home = tmp_path_factory.mktemp("lab")
    write_notebook(home / "views.ipynb")
    # Nothing asks the network by itself, and cells out of sight are drawn too.
    told = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, said in told.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(said))
    port = free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--ip=127.0.0.1",
        f"--port={port}", "--IdentityProvider.token=views", f"--ServerApp.root_dir={home}",
    ]  # fmt: skip
    own = {
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTER_CONFIG_DIR": str(home / "c"),
        "JUPYTER_RUNTIME_DIR": str(home / "r"), "IPYTHONDIR": str(home / "i"),
        "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, **own}, cwd=ROOT, stdout=log, stderr=log
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/api?token=views")
            yield f"http://127.0.0.1:{port}/lab/tree/views.ipynb?token=views&reset"
        finally:
            server.terminate()
            server.wait(30)


def write_notebook(path: Path) -> None:
    """One code cell for each view."""
    import nbformat

    cells = [nbformat.v4.new_code_cell(code) for code in NOTEBOOK.values()]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(book, path)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, seconds: float = 90) -> None:
    """Until a server answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=2).read()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.3)


def shot(where: Any, name: str) -> None:
    """Keep a screenshot of a page or an element under test-output."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    where.screenshot(path=str(SHOTS / f"{name}.png"))


def readable(where: Any) -> None:
    """Every word stands out from its background by 4.5 to 1."""
    worst = where.evaluate(CONTRAST)
    assert worst
    assert worst[0][0] >= 4.5, worst


def row(page: Any, name: str) -> list[str]:
    """The tokens of one row of the output table."""
    cells = page.locator(f".tokens tr:has(th:text-is('{name}')) td > span")
    return list(cells.all_inner_texts())
