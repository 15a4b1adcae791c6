"""Explain every trained model of the case table and count, input by input, how right that is.

    python benchmarks/suite/score.py [NAMES] [--again]     # into runs/suite/rows/

A row is counted on inputs held out of every fit: all of the domain's, or 20,000 of them balanced
over lengths and depths. Models that are not trained yet are left for the next run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TQDM_DISABLE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

import compiled
import torch
from cases import Case, cases
from train import HOME, missed

import recinterp as ri
from recinterp.splits import held_out
from recinterp.synthesis.oracle import Oracle
from recinterp.synthesis.search import synthesize
from recinterp.view.report.sentences.network import location_text

ROWS = HOME / "rows"
COUNTED = 20_000
LISTED = 400_000  # a domain with no more inputs is listed, a larger one is drawn from
SHORTER = 2  # tokens by which a machine is to hold beyond the inputs it was made from


@dataclass(frozen=True)
class Found:
    """One variable's site, as the explanation reports it."""

    variable: str
    where: str
    accuracy: float
    control: float
    strict: tuple[int, int]
    pairs: int
    accepted: bool


@dataclass(frozen=True)
class Row:
    """Counts on held-out inputs for one model, and what its explanation said."""

    name: str
    group: str
    task: str
    order: str
    architecture: str
    layers: int
    asked: int
    inputs: int  # counted, all of them held out
    failures: int
    match: int  # machine = model
    covered: int  # the machine says something
    told: int  # failures whose wrong output it gives exactly
    claims: int  # inputs on which it departs from the truth
    kept: int  # of those, where the model gives exactly that
    flagged: int  # will_fail says so
    flagged_right: int
    beyond_cap: tuple[int, int]  # will it fail? by "deeper than trained": flagged, and rightly so
    verdict: str
    kinds: tuple[tuple[str, int | None], ...]
    divergent: tuple[int, int]  # departures, of the inputs the verdict looked at
    exhaustive: bool
    planted: tuple[str, int | None] | None
    missed: int | None  # inputs on which a planted model is not its machine
    longer: tuple[int, int, int] | None  # made from short inputs: matches on longer, of, claims
    beside: int  # the same of a machine that those inputs did not tell from it, the best
    shown: int  # failures among the short inputs that it was made from
    interventional: tuple[int, int] | None
    carried_state_contrast: (
        tuple[int, int] | None
    )  # the same, where a machine carried in the output differs
    unpredicted_changes: tuple[int, int] | None  # changed, of the tokens that it says should stay
    forced_prefix_rules: tuple[tuple[int, int, int], ...]  # right with, right without, of so many
    equivalent_machines: int  # machines that nothing in the domain tells from the one chosen
    sites: tuple[Found, ...]
    size: int
    modes: int
    confidence: float  # what the explanation itself says: the low end of its match, held out
    mechanism: str
    headline: str
    seconds: float


def score(case: Case) -> Row:
    """One model's row."""
    model, task = loaded(case)
    domain = ri.Domain(max_length=case.asked)
    began = time.perf_counter()
    ex = ri.explain(model, task, domain=domain, seed=0)
    seconds = time.perf_counter() - began
    inputs = counted(task, domain)
    outputs, truth = ri.predict(model, task, inputs), task.apply_many(inputs)
    said, flags = ex.machine.run_many(inputs), ex.will_fail(inputs)
    rows = list(zip(outputs, truth, said, flags, strict=True))
    claims = [(y, m) for y, z, m, _ in rows if m is not None and m != z]
    cap = case.recipe.max_depth
    deep = [y != z for x, y, z in zip(inputs, outputs, truth, strict=True)
            if cap is not None and task.depth(x) > cap]  # fmt: skip
    told = ex.diff.verdict in ("exact", "shortcut")
    again = longer(model, task, case) if told else (None, 0, 0)
    found, apart = ex.fidelity.interventional, ex.fidelity.carried_state_contrast
    false = ex.fidelity.unpredicted_changes
    return Row(
        name=case.name,
        group=case.group,
        task=case.task_name + ("" if case.stepwise is None else f" by {case.stepwise} step"),
        order=case.order,
        architecture=case.config.architecture,
        layers=case.config.n_layers,
        asked=case.asked,
        inputs=len(inputs),
        failures=sum(y != z for y, z, _, _ in rows),
        match=sum(y == m for y, _, m, _ in rows),
        covered=sum(m is not None for _, _, m, _ in rows),
        told=sum(y == m for y, z, m, _ in rows if y != z),
        claims=len(claims),
        kept=sum(y == m for y, m in claims),
        flagged=sum(bool(flag) for *_, flag in rows),
        flagged_right=sum(y != z for y, z, _, flag in rows if flag),
        beyond_cap=(len(deep), sum(deep)),
        verdict=ex.diff.verdict,
        kinds=tuple(dict.fromkeys(b for s in ex.diff.shortcuts for b in s.bounds)),
        divergent=(ex.diff.divergent, ex.diff.total),
        exhaustive=ex.diff.exhaustive,
        planted=None if case.planted is None else (case.planted.kind, case.planted.bound),
        missed=None if case.planted is None else missed(model, task, case),
        longer=again[0],
        beside=again[1],
        shown=again[2],
        interventional=None if found is None else (found.hits, found.total),
        carried_state_contrast=None if apart is None else (apart.hits, apart.total),
        unpredicted_changes=None if false is None else (false.hits, false.total),
        forced_prefix_rules=tuple((o.observed.hits, o.without_rule.hits, o.observed.total) for o in
        ex.forced_prefix_rules), equivalent_machines=len(ex.equivalent_machines),
        sites=tuple(
            Found(s.variable, "; ".join(map(location_text, s.patch)), s.accuracy, s.control,
                  (s.third_token_accuracy.hits, s.third_token_accuracy.total), s.pairs, s.accepted)
            for s in ex.sites
        ),
        size=ex.machine.size,
        modes=len(ex.machine.modes),
        confidence=round(ex.fidelity.overall.match.interval[0], 4),
        mechanism=ex.diff.mechanism,
        headline=ex.diff.headline,
        seconds=round(seconds, 1),
    )  # fmt: skip


def loaded(case: Case) -> tuple[torch.nn.Module, ri.Task]:
    """A row's model, and its task as that model writes it."""
    if case.group == "compiled":
        return compiled.load(case)
    return ri.load(str(HOME / case.name)), case.task


def counted(task: ri.Task, domain: ri.Domain) -> list[list[str]]:
    """Held-out inputs: all of a small domain's, else as many as are counted, balanced."""
    listed = list(islice(domain.inputs(task), LISTED + 1))
    if len(listed) <= LISTED:
        found = [x for x in listed if held_out(x)]
        if len(found) <= COUNTED:
            return found
    drawn: dict[tuple[str, ...], None] = {}
    for seed in range(40):
        for x in domain.sample(task, 2 * COUNTED, seed=10_000 + seed):
            if held_out(x):
                drawn[tuple(x)] = None
        if len(drawn) >= COUNTED:
            break
    return [list(x) for x in drawn][:COUNTED]


def longer(
    model: torch.nn.Module, task: ri.Task, case: Case
) -> tuple[tuple[int, int, int] | None, int, int]:
    """A machine made from shorter inputs, on held-out longer ones: matches, of how many, claims.

    Then the most matches of it and of those given beside it, which nothing shorter told apart; and
    the failures among the shorter inputs that were asked about.
    """
    short = case.asked - SHORTER * (4 if "tree" in case.task_name else 1)
    built = synthesize(
        Oracle(lambda xs: ri.predict(model, task, xs)), task, ri.Domain(max_length=short)
    )
    inputs = [x for x in counted(task, ri.Domain(max_length=case.asked)) if task.length(x) > short]
    shown = int(built.dataset.failures.sum())
    if not inputs:
        return None, 0, shown
    outputs = ri.predict(model, task, inputs)
    said = [
        m.run_many(inputs)
        for m in (built.chosen.machine, *(r.machine for r in built.equivalent_machines))
    ]
    hits = [sum(m == y for m, y in zip(one, outputs, strict=True)) for one in said]
    return (hits[0], len(inputs), sum(m is not None for m in said[0])), max(hits), shown


def refused(case: Case, error: ri.RecinterpError) -> dict[str, str]:
    """What stands where a model could not be explained at all."""
    return {"name": case.name, "group": case.group, "error": f"{type(error).__name__}: {error}"}


def main(argv: Sequence[str] | None = None) -> None:
    """Score what is trained and not scored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--again", action="store_true", help="also what is scored already")
    asked = parser.parse_args(argv)
    table = cases()
    ROWS.mkdir(parents=True, exist_ok=True)
    for name in asked.names or table:
        path = ROWS / f"{name}.json"
        if not (HOME / f"{name}.json").exists() or (path.exists() and not asked.again):
            continue
        try:
            row = asdict(score(table[name]))
        except ri.RecinterpError as error:
            row = refused(table[name], error)
        path.write_text(json.dumps(row, indent=1, ensure_ascii=False) + "\n")
        print(summary(row), flush=True)


def summary(row: dict[str, object]) -> str:
    """One line of progress."""
    if "error" in row:
        return f"{row['name']:26} {row['error']}"
    kinds = " ".join(f"{k}{'' if b is None else b}" for k, b in row["kinds"])  # type: ignore[attr-defined]
    return (
        f"{row['name']:26} {row['verdict']:12} match {row['match']}/{row['inputs']}"
        f" fails {row['failures']} told {row['told']} claims {row['claims']} kept {row['kept']}"
        f" flagged {row['flagged']}/{row['flagged_right']} {kinds} longer {row['longer']}"
        f" size {row['size']} {row['seconds']} s"
    )


if __name__ == "__main__":
    main()
