"""The rows that score.py counted, as one JSON and as the documentation's page of all of them.

    python benchmarks/suite/page.py          # results.json and docs/benchmark-rows.md from the rows

Without new rows the page is written from results.json as it is kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from cases import cases

from recinterp.view.notebook.static_chart import render_chart

HERE = Path(__file__).resolve().parent
ROWS = HERE.parents[1] / "runs" / "suite" / "rows"
RESULTS = HERE / "results.json"
FIRST = HERE / "unseen-first.json"  # rows of the unseen as they were counted first
PAGE, FIGURE = HERE.parents[1] / "docs" / "benchmark-rows.md", "risk-coverage.svg"
FEW = 0.01  # failures of a model that counts as having some

Row = dict[str, Any]
Rows = Sequence[Row]


def gathered() -> list[Row]:
    """Every row there is, in the case table's order; those kept before where none is new."""
    kept = {r["name"]: r for r in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    for path in ROWS.glob("*.json"):
        row = json.loads(path.read_text())
        kept[row["name"]] = row
    table = cases()
    for name, row in kept.items():
        fault = table[name].planted if name in table else None
        row["planted"] = None if fault is None else (fault.kind, fault.bound)
    return [kept[name] for name in table if name in kept]


def determined(r: Row) -> bool:
    """Whether a row has a verdict that says something."""
    return r["verdict"] != "undetermined"


def failing(r: Row) -> bool:
    """Whether a model gets at least 1 % of what was counted wrong."""
    return bool(r["failures"] >= FEW * r["inputs"])


def share(hits: int, total: int) -> str:
    """A count of a count, and its share."""
    return f"{hits} of {total} ({hits / total:.0%})" if total else "–"


def average(rates: Iterable[tuple[int, int]]) -> str:
    """The mean of rates, model by model, and of how many models."""
    found = [hits / total for hits, total in rates if total]
    return f"{mean(found):.1%} over {len(found)} models" if found else "–"


def planted_kind(r: Row) -> bool:
    """Whether the fault that was put in is among the kinds, with its bound if it has one."""
    kind, bound = r["planted"]
    return any(k == kind and bound in (None, b) for k, b in r["kinds"])


def mute(r: Row) -> bool:
    """Whether a machine from shorter inputs claims few longer ones."""
    _, total, claims = r["longer"]
    return bool(claims < 0.5 * total)


def late(r: Row) -> bool:
    """Whether a model that fails on longer inputs was seen to fail on no shorter one."""
    return bool(r["shown"] == 0)


def carries(site: Row) -> bool:
    """Whether a site passes on the variable alone: where the source's own answer is wrong too."""
    hits, total = site["strict"]
    return bool(total >= APART and hits >= 0.85 * total)


def sizes(rows: Rows, planted: Rows) -> str:
    """How large the machines of some rows are, beside those of planted faults."""
    if not rows or not planted:
        return "–"
    found, known = [r["size"] for r in rows], [r["size"] for r in planted]
    return f"{median(found):,.0f}; {max(found):,}; {median(known):,.0f}"


def beside(rows: Rows) -> Iterator[tuple[str, ...]]:
    """The summary of all but the unseen; of those alone; and of those as first counted."""
    groups = (
        [r for r in rows if r["group"] != "unseen"],
        [r for r in rows if r["group"] == "unseen"],
        json.loads(FIRST.read_text()),
    )
    told = [
        [*summary([{**r, "group": "zoo"} if r["group"] == "unseen" else r for r in some])]
        for some in groups
    ]
    for known, unseen, first in zip(*told, strict=True):
        yield *known, unseen[-1], first[-1]


def summary(rows: Rows) -> Iterator[tuple[str, str, str]]:
    """What the table shows: a name, the bar, the figure."""
    ok = [r for r in rows if "error" not in r]
    real = [r for r in ok if r["group"] in ("zoo", "planted", "compiled")]
    zoo = [r for r in ok if r["group"] == "zoo"]
    bad = [r for r in zoo if failing(r)]
    spoken = [r for r in real if determined(r) and r["failures"]]
    faulty = [r for r in ok if r["planted"]]
    exact = [r for r in faulty if r["missed"] == 0]
    right = [r for r in ok if r["divergent"][0] == 0]
    none = [r for r in ok if r["group"] in ("shuffled", "untrained")]
    held = [r for r in real if r["longer"]]
    astray = [r for r in held if r["longer"][0] < 0.99 * r["longer"][1]]
    sites = [s for r in real for s in r["sites"] if s["accepted"]]
    moved = [r["interventional"] for r in real if r["interventional"] and r["interventional"][1]]
    contrasts = [r["carried_state_contrast"] for r in real if r["carried_state_contrast"]]
    parted = [rate for rate in contrasts if rate[1] >= APART]
    still = [
        r["unpredicted_changes"]
        for r in real
        if r["unpredicted_changes"] and r["unpredicted_changes"][1]
    ]
    forced = [o for r in real for o in r["forced_prefix_rules"]]
    several: dict[tuple[str, str], list[Row]] = {}
    for r in real:
        for s in r["sites"]:
            several.setdefault((r["name"], s["variable"]), []).append(s)
    placed = sum(any(s["accepted"] for s in found) for found in several.values())
    apart = [found for found in several.values() if any(s["strict"][1] >= APART for s in found)]
    alone = sum(any(s["accepted"] and carries(s) for s in found) for found in apart)
    yield (
        "zoo: a verdict other than `undetermined`",
        "80 %",
        share(sum(map(determined, zoo)), len(zoo)),
    )
    yield (
        "the same, models with 1 % failures or more",
        "60 %",
        share(sum(map(determined, bad)), len(bad)),
    )
    yield (
        "with planted and compiled models: all",
        "80 %",
        share(sum(map(determined, real)), len(real)),
    )
    yield (
        "with planted and compiled models: with failures",
        "60 %",
        share(sum(determined(r) for r in real if failing(r)), sum(map(failing, real))),
    )
    yield (
        "for those: failures predicted exactly",
        "95 %",
        average((r["told"], r["failures"]) for r in spoken),
    )
    yield (
        "for those: predicted failures exactly right",
        "95 %",
        average((r["kept"], r["claims"]) for r in spoken),
    )
    yield (
        "models called `shortcut`: failures predicted exactly",
        "95 %",
        average((r["told"], r["failures"]) for r in spoken if r["verdict"] == "shortcut"),
    )
    yield (
        "beside it, saying that a model fails beyond its trained depth: recall",
        "",
        average((r["beyond_cap"][1], r["failures"]) for r in real if r["beyond_cap"][0]),
    )
    yield (
        "the same: precision",
        "",
        average((r["beyond_cap"][1], r["beyond_cap"][0]) for r in real if r["beyond_cap"][0]),
    )
    yield (
        "planted and compiled faults: models that are exactly their machine",
        "",
        share(len(exact), len(faulty)),
    )
    yield (
        "for those: the planted kind among the kinds, with its bound",
        "95 %",
        share(sum(map(planted_kind, exact)), len(exact)),
    )
    yield (
        "exactly right models called `shortcut`",
        "0",
        share(sum(r["verdict"] == "shortcut" for r in right), len(right)),
    )
    yield (
        "shuffled and untrained models given `exact` or `shortcut`",
        "0",
        share(sum(r["verdict"] in ("exact", "shortcut") for r in none), len(none)),
    )
    yield (
        "machines made from shorter inputs that hold (99 %) on longer ones",
        "90 %",
        share(len(held) - len(astray), len(held)),
    )
    yield (
        "the same, or one given beside it that no shorter input told from it",
        "90 %",
        share(sum(r["beside"] >= 0.99 * r["longer"][1] for r in held), len(held)),
    )
    yield (
        "of those that do not hold, those that say nothing of most longer inputs",
        "",
        share(sum(mute(r) for r in astray), len(astray)),
    )
    yield (
        "of those that do not hold, those whose fault no shorter input shows",
        "",
        share(sum(late(r) for r in astray), len(astray)) if all("shown" in r for r in ok) else "–",
    )
    yield (
        "variables with a site at .85 interchange accuracy or more",
        "80 %",
        share(placed, len(several)),
    )
    yield (
        "the same, and at .85 where the source writes something else than base and counterfactual",
        "80 %",
        share(alone, len(apart)),
    )
    yield (
        "accepted sites whose random control is .2 at most",
        "all",
        share(sum(s["control"] <= 0.2 for s in sites), len(sites)),
    )
    yield (
        "interventional match, median over models",
        ".85",
        (f"{median(h / n for h, n in moved):.3f} over {len(moved)} models" if moved else "–"),
    )
    yield (
        "the same, where a machine with its state in the output says other (10 trials or more)",
        ".85",
        (f"{median(h / n for h, n in parted):.3f} over {len(parted)} models" if parted else "–"),
    )
    yield (
        "interventions it says change nothing that do, median over models",
        "",
        (f"{median(h / n for h, n in still):.2f} over {len(still)} models" if still else "–"),
    )
    yield (
        "what overrides say behind forced outputs is right, and without them, on other inputs",
        "",
        f"{share(sum(o[0] for o in forced), sum(o[2] for o in forced))}; "
        f"{share(sum(o[1] for o in forced), sum(o[2] for o in forced))}",
    )
    yield (
        "`will_fail`: recall, models with failures that are not undetermined",
        "95 %",
        average((r["flagged_right"], r["failures"]) for r in spoken),
    )
    yield (
        "`will_fail`: precision",
        "90 %",
        average((r["flagged_right"], r["flagged"]) for r in spoken),
    )
    yield (
        "`will_fail` on undetermined models: recall",
        "",
        average((r["flagged_right"], r["failures"]) for r in real if not determined(r)),
    )
    yield (
        "`will_fail` on undetermined models: precision",
        "",
        average((r["flagged_right"], r["flagged"]) for r in real if not determined(r)),
    )
    yield (
        "size of the machine of a `shortcut`, median and largest; of the planted, median",
        "",
        sizes([r for r in zoo if r["verdict"] == "shortcut"], exact),
    )
    yield "seconds for one explanation, median and longest, other work running", "60; 120", (
        f"{median(r['seconds'] for r in ok):.0f}; {max(r['seconds'] for r in ok):.0f}")  # fmt: skip


def risk_coverage(rows: Rows) -> list[tuple[float, float]]:
    """(coverage, risk) as models are taken in by what their explanations say of themselves.

    coverage: the share of models taken in; risk: the mean share of their inputs on which the
    machine is not what the model does.
    """
    ok = sorted((r for r in rows if "error" not in r), key=lambda r: -r["confidence"])
    missed = [1 - r["match"] / r["inputs"] for r in ok]
    return [((i + 1) / len(ok), mean(missed[: i + 1])) for i in range(len(ok))]


COLUMNS: dict[str, Callable[[Row], str]] = {
    "model": lambda r: r["name"],
    "task": lambda r: f"{r['task']}{'' if r['order'] == 'natural' else ', reverse'}",
    "what": lambda r: ("pair, " if r["architecture"] != "decoder-only" else "")
    + f"{r['layers']} layer{'s' * (r['layers'] > 1)}",
    "counted": lambda r: f"{r['inputs']:,}",
    "failures": lambda r: f"{r['failures']:,}",
    "match": lambda r: f"{r['match'] / r['inputs']:.2%}",
    "told": lambda r: f"{r['told']:,}" if r["failures"] else "–",
    "kept": lambda r: f"{r['kept']:,} of {r['claims']:,}" if r["claims"] else "–",
    "flagged": lambda r: f"{r['flagged_right']:,} of {r['flagged']:,}" if r["flagged"] else "–",
    "verdict": lambda r: r["verdict"],
    "size": lambda r: f"{r['size']:,}",
    "kinds": lambda r: ", ".join(k if b is None else f"{k} {b}" for k, b in r["kinds"]) or "–",
    "planted": lambda r: "–" if not r["planted"] else " ".join(
        str(x) for x in r["planted"] if x is not None
    ) + (f" ({r['missed']} missed)" if r["missed"] else ""),
    "s": lambda r: f"{r['seconds']:.0f}",
}  # fmt: skip

APART = 10  # pairs whose three outputs differ, or nothing is said of them
TEXT = """# Benchmark, row by row

Written by `python benchmarks/suite/page.py` from what `benchmarks/suite/train.py` trained and
`benchmarks/suite/score.py` counted; the case table is `benchmarks/suite/cases.py`. Every count
is on inputs held out of every fit: all of a domain's, or 20,000 of them balanced over lengths and
depths. Figures are means over models, whatever their size.

*Failures*: the model is not the function. *Match*: the machine is what the model does (an
abstention is a miss). *Told*: failures whose wrong output the machine gives, token for token.
*Kept*: of the wrong outputs it claims, those that the model gives. *Flagged*: of the inputs that
`will_fail` names, those that fail. *Size*: rules, guard atoms and expression nodes of the machine.

*Unseen*: models over thirteen functions (`benchmarks/suite/programs/unseen.v`) that no method had
been tried on; table and recipes were committed before any was trained. *At first*: the same, as the
methods stood then; what was changed because of that count is told below.

{summary}

{notes}

## How far to trust an explanation's word of itself

Models are taken in by the low end of the match that their own explanation reports, the surest
first; risk is the mean share of inputs on which the machine is not what the model does.

![risk by coverage]({figure})

{curve}

## Every model

{rows}
"""
NOTES = HERE / "notes.md"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(rows: Rows) -> str:
    """The page."""
    found = risk_coverage(rows)
    steps = [found[max(0, round(k * len(found) / 10) - 1)] for k in range(1, 11)]
    refused = [r for r in rows if "error" in r]
    listed = [[column(r) for column in COLUMNS.values()] for r in rows if "error" not in r]
    listed += [[r["name"], r["error"], *[""] * (len(COLUMNS) - 2)] for r in refused]
    return TEXT.format(
        summary=table(("", "bar", "measured", "unseen", "at first"), beside(rows)),
        notes=NOTES.read_text().strip() if NOTES.exists() else "",
        figure=FIGURE,
        curve=table(
            ("models taken in", "risk"), [(f"{c:.0%}", f"{risk:.2%}") for c, risk in steps]
        ),
        rows=table(tuple(COLUMNS), listed),
    )


def main() -> None:
    """Write results, figure and page."""
    rows = gathered()
    RESULTS.write_text(json.dumps(rows, indent=0, ensure_ascii=False) + "\n")
    found = risk_coverage(rows)
    steps = [found[max(0, round(k * len(found) / 20) - 1)] for k in range(1, 21)]
    curve = [(f"{5 * k}", risk) for k, (_, risk) in enumerate(steps, 1)]
    figure = render_chart(("% of models taken in, the surest first", "risk"), curve)
    (PAGE.parent / FIGURE).write_text(figure + "\n")
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
