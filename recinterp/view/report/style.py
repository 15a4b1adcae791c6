"""The report's style sheet, for a page of its own and for a cell of somebody else's.

Every rule stands under `.ri-report`, and outweighs what a notebook says of tables and headings.
Colours are variables: by the reader's setting, or by the notebook's own theme where it has one.
"""

from __future__ import annotations

from pathlib import Path

from recinterp.view.diagram import svg
from recinterp.view.diagram.svg import DARK, LIGHT, MONO, SANS
from recinterp.view.report import heatmap as heat

ROOT = ".ri-report"
HEAVY = ROOT * 3  # heavier than `.jp-RenderedHTMLCommon tbody tr:nth-child(odd)`
GOOD = {"light": "#1a7f4b", "dark": "#5bd395"}
# How JupyterLab, VS Code and marimo say which theme is on.
LIGHT_HOSTS = ("body[data-jp-theme-light=true]", "body.vscode-light", ".light")
DARK_HOSTS = ("body[data-jp-theme-light=false]", "body.vscode-dark", ".dark")


def _variables(scheme: str) -> str:
    colours = (LIGHT if scheme == "light" else DARK) | {"good": GOOD[scheme]}
    said = "".join(f"--ri-{name}:{value};" for name, value in colours.items())
    return f"{{{said}--ri-mono:{MONO};color-scheme:{scheme}}}"


def _hosts(hosts: tuple[str, ...]) -> str:
    return ",".join(f"{host} {ROOT}" for host in hosts)


def scoped(rules: str) -> str:
    """Simple rules, each selector put under the report."""
    made = []
    for rule in rules.replace("\n", "").split("}"):
        if rule.strip():
            selectors, body = rule.split("{", 1)
            made.append(",".join(f"{HEAVY} {x}" for x in selectors.split(",")) + f"{{{body}}}")
    return "".join(made)


VARIABLES = {name: f"var(--ri-{name})" for name in LIGHT}
RULES = (
    (Path(__file__).with_name("report.css")).read_text(encoding="utf-8")
    + svg.rules_for(VARIABLES)
    + ".ri-missing .ri-path{stroke-dasharray:6 4}"
    + heat.rules_for(VARIABLES)
)
REPORT = (
    f"{ROOT}{_variables('light')}"
    f"@media (prefers-color-scheme:dark){{{ROOT}{_variables('dark')}}}"
    f"{_hosts(LIGHT_HOSTS)}{_variables('light')}{_hosts(DARK_HOSTS)}{_variables('dark')}"
    f"{HEAVY}{{background:var(--ri-paper);color:var(--ri-ink);font:14.5px/1.5 {SANS};"
    "padding:18px 20px 26px;max-width:1240px;border-radius:10px;box-sizing:border-box}"
    + scoped(RULES)
)
PAGE = (
    f"{REPORT}body{{margin:0}}html{{color-scheme:light dark;background:{LIGHT['paper']}}}"
    f"@media (prefers-color-scheme:dark){{html{{background:{DARK['paper']}}}}}"
    f"main{ROOT}{{margin:0 auto;padding-bottom:60px}}@media print{{main{ROOT}{{max-width:none}}}}"
)
