"""The report's style sheet, for a page of its own and for a notebook's cell.

Every rule stands under `.ri-report`, and outweighs a notebook's rules for tables and headings.
Colours are variables: by the reader's setting, or by the host's own theme where it has one.
"""

from __future__ import annotations

from pathlib import Path

from recinterp.view.diagram import svg
from recinterp.view.diagram.svg import DARK, LIGHT, MONO, SANS
from recinterp.view.report import heatmap as heat

ROOT = ".ri-report"
HEAVY = ROOT * 3  # heavier than `.jp-RenderedHTMLCommon tbody tr:nth-child(odd)`


def _variables(scheme: str) -> str:
    green = "#1a7f4b" if scheme == "light" else "#5bd395"
    colours = (LIGHT if scheme == "light" else DARK) | {"good": green}
    declared = "".join(f"--ri-{name}:{value};" for name, value in colours.items())
    return f"{{{declared}--ri-mono:{MONO};color-scheme:{scheme}}}"


def _host_themes() -> str:
    """How JupyterLab, VS Code, marimo and the documentation's theme say which theme is on."""
    bodies = {
        "light": ("[data-jp-theme-light=true]", ".vscode-light", "[data-theme=light]"),
        "dark": ("[data-jp-theme-light=false]", ".vscode-dark", "[data-theme=dark]"),
    }
    rules = ""
    for scheme, marks in bodies.items():
        hosts = (*(f"body{mark}" for mark in marks), f".{scheme}")
        rules += ",".join(f"{host} {ROOT}" for host in hosts) + _variables(scheme)
    return rules


def scoped(rules: str) -> str:
    """Simple rules, each selector put under the report."""
    made = []
    for rule in rules.replace("\n", "").split("}"):
        if rule.strip():
            selectors, body = rule.split("{", 1)
            made.append(",".join(f"{HEAVY} {x}" for x in selectors.split(",")) + f"{{{body}}}")
    return "".join(made)


def _rules() -> str:
    """All rules, before they are put under the report."""
    variables = {name: f"var(--ri-{name})" for name in LIGHT}
    return (
        Path(__file__).with_name("report.css").read_text(encoding="utf-8")
        + svg.rules_for(variables)
        + ".ri-missing .ri-path{stroke-dasharray:6 4}"
        + heat.rules_for(variables)
    )


def _print_rules() -> str:
    """On paper nothing scrolls, and nothing small breaks over two pages."""
    return (
        f"@media print{{{HEAVY}{{max-width:none;padding:0}}{HEAVY} .scroll{{overflow:visible}}"
        f"{HEAVY} pre{{white-space:pre-wrap;overflow-wrap:anywhere}}"
        f"{HEAVY} figure,{HEAVY} tr{{break-inside:avoid}}{HEAVY} h2{{break-after:avoid}}}}"
    )


REPORT = (
    f"{ROOT}{_variables('light')}"
    f"@media (prefers-color-scheme:dark){{{ROOT}{_variables('dark')}}}"
    f"{_host_themes()}"
    f"{HEAVY}{{background:var(--ri-paper);color:var(--ri-ink);font:14.5px/1.5 {SANS};"
    "padding:18px 20px 26px;max-width:1120px;border-radius:10px;box-sizing:border-box}"
    + scoped(_rules())
    + _print_rules()
)
PAGE = (
    f"{REPORT}body{{margin:0}}html{{color-scheme:light dark;background:{LIGHT['paper']}}}"
    f"@media (prefers-color-scheme:dark){{html{{background:{DARK['paper']}}}}}"
    f"main{ROOT}{{margin:0 auto;padding-bottom:60px}}"
)
