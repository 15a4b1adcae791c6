"""The rows that score.py counted, as one JSON and as a page of the documentation.

    python benchmarks/suite/page.py     # from runs/suite/rows: results.json, docs/benchmark-rows.md

Without new rows the page is written from the committed results.json; no model is needed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from cases import cases
from figures import Groups, Row, Rows, risk_coverage, summarise

from recinterp.view.notebook.static_chart import render_chart

HERE = Path(__file__).resolve().parent
ROWS = HERE.parents[1] / "runs" / "suite" / "rows"
RESULTS = HERE / "results.json"
FIRST = HERE / "unseen-first.json"  # the unseen models, as they were first counted
NOTES = HERE / "notes.md"
PAGE, FIGURE = HERE.parents[1] / "docs" / "benchmark-rows.md", "risk-coverage.svg"
TEXT = """# Benchmark, row by row

Written by `python benchmarks/suite/page.py` from what `benchmarks/suite/train.py` trained and
`benchmarks/suite/score.py` counted; the case table is `benchmarks/suite/cases.py`. Every count
is on inputs held out of every fit: all of a domain's, or 20,000 of them balanced over lengths and
depths. Figures are means over models, whatever their size.

The rows were counted before the verdict `bounded` and before machines of more than 150 nodes
became predictors: what they call `shortcut` may have a machine that is too large to be read.

- **failures**: the model's output differs from the ground truth.
- **match**: the machine's output equals the model's output; an abstention is a miss.
- **[exact recall](#term-exact-recall)**: of the failures, those whose wrong output the machine
  predicts token for token.
- **[exact precision](#term-exact-precision)**: of the wrong outputs that the machine predicts,
  those that the model writes.
- **[flag precision](#term-flag-precision)**: of the inputs that `will_fail` flags, those that
  fail.
- **size**: rules, guard atoms and expression nodes of the machine.
- **unseen**: models over thirteen functions (`benchmarks/suite/programs/unseen.v`) on which no
  method had been tried; the table and the recipes were committed before any was trained.
- **at first**: the same models, as the methods stood then. The notes list what was changed because
  of that count.

{summary}

{notes}

## How far an explanation's own report can be trusted

Models are accepted by the low end of the match that their explanation reports, the highest first.
Risk is the mean share of inputs on which the machine does not match the model.

![risk by coverage]({figure})

{curve}

## Every model

{rows}
"""


def gather_rows() -> list[Row]:
    """Every row there is, in the case table's order; committed ones where none is new."""
    rows = {r["name"]: r for r in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    for path in ROWS.glob("*.json"):
        row = json.loads(path.read_text())
        rows[row["name"]] = row
    table = cases()
    for name, row in rows.items():
        fault = table[name].planted if name in table else None
        row["planted"] = None if fault is None else (fault.kind, fault.bound)
    return [rows[name] for name in table if name in rows]


def counted(hits: int, total: int) -> str:
    """A count of a count; a dash where there is nothing to count."""
    return f"{hits:,} of {total:,}" if total else "–"


def planted_cell(r: Row) -> str:
    """The planted fault, and on how many inputs the model is not the faulty machine."""
    if not r["planted"]:
        return "–"
    fault = " ".join(str(x) for x in r["planted"] if x is not None)
    return f"{fault} ({r['missed']} missed)" if r["missed"] else fault


def architecture_cell(r: Row) -> str:
    """Kind of model and number of layers."""
    pair = "" if r["architecture"] == "decoder-only" else "encoder-decoder, "
    return f"{pair}{r['layers']} layer{'s' * (r['layers'] > 1)}"


def kinds_cell(r: Row) -> str:
    """The kinds of divergence with their bounds."""
    return ", ".join(k if b is None else f"{k} {b}" for k, b in r["kinds"]) or "–"


COLUMNS: dict[str, Callable[[Row], str]] = {
    "model": lambda r: r["name"],
    "task": lambda r: f"{r['task']}{'' if r['order'] == 'natural' else ', reverse'}",
    "architecture": architecture_cell,
    "inputs": lambda r: f"{r['inputs']:,}",
    "failures": lambda r: f"{r['failures']:,}",
    "match": lambda r: f"{r['match'] / r['inputs']:.2%}",
    "exact recall": lambda r: counted(r["predicted_exactly"], r["failures"]),
    "exact precision": lambda r: counted(r["claims_exact"], r["claims"]),
    "flag recall": lambda r: counted(r["flagged_right"], r["failures"]),
    "flag precision": lambda r: counted(r["flagged_right"], r["flagged"]),
    "verdict": lambda r: r["verdict"],
    "size": lambda r: f"{r['size']:,}",
    "kinds": kinds_cell,
    "planted": planted_cell,
    "seconds": lambda r: f"{r['seconds']:.0f}",
}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary_table(rows: Rows) -> str:
    """The figures of all but the unseen models, of the unseen, and of those as first counted."""
    groups = (
        Groups([r for r in rows if r["group"] != "unseen"]),
        Groups([r for r in rows if r["group"] == "unseen"], "unseen"),
        Groups(json.loads(FIRST.read_text()), "unseen"),
    )
    return table(("", "bar", "measured", "unseen", "at first"), summarise(*groups))


def model_table(rows: Rows) -> str:
    """One line for each model; those that could not be explained last, with the error."""
    listed = [[column(r) for column in COLUMNS.values()] for r in rows if "error" not in r]
    blank = [""] * (len(COLUMNS) - 2)
    listed += [[r["name"], r["error"], *blank] for r in rows if "error" in r]
    return table(tuple(COLUMNS), listed)


def curve_steps(rows: Rows, steps: int) -> list[tuple[float, float]]:
    """(coverage, risk) at so many equal steps of coverage."""
    found = risk_coverage(rows)
    return [found[max(0, round(k * len(found) / steps) - 1)] for k in range(1, steps + 1)]


def page(rows: Rows) -> str:
    """The page."""
    curve = [(f"{coverage:.0%}", f"{risk:.2%}") for coverage, risk in curve_steps(rows, 10)]
    return TEXT.format(
        summary=summary_table(rows),
        notes=NOTES.read_text().strip(),
        figure=FIGURE,
        curve=table(("models accepted", "risk"), curve),
        rows=model_table(rows),
    )


def main() -> None:
    """Write results, figure and page."""
    rows = gather_rows()
    RESULTS.write_text(json.dumps(rows, indent=0, ensure_ascii=False) + "\n")
    curve = [(f"{5 * k}", risk) for k, (_, risk) in enumerate(curve_steps(rows, 20), 1)]
    figure = render_chart(("% of models accepted, highest reported match first", "risk"), curve)
    (PAGE.parent / FIGURE).write_text(figure + "\n")
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
