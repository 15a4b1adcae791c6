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
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TQDM_DISABLE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

import compiled
import torch
from cases import Case, cases
from train import HOME, count_missed

import recinterp as ri
from recinterp.causal.sites import Site
from recinterp.splits import held_out
from recinterp.stats import Rate
from recinterp.synthesis.oracle import Oracle
from recinterp.synthesis.search import synthesize
from recinterp.view.report.sentences.network import location_text

ROWS = HOME / "rows"
COUNTED = 20_000
LISTED = 400_000  # a domain with no more inputs is listed, a larger one is drawn from
SHORTER = 2  # tokens, or nodes of trees, by which a machine has to hold beyond its inputs
TOKENS_PER_NODE = 4


@dataclass(frozen=True, kw_only=True)
class SiteRow:
    """One site of a variable, as the explanation reports it.

    Attributes:
        variable: name of the machine's variable.
        where: locations that are interchanged together, in words.
        accuracy: interchange accuracy.
        control: accuracy with a random direction instead.
        third_token: (hits, pairs) of those pairs whose source writes a third token.
        pairs: pairs that the accuracy was counted on.
        accepted: whether the site passed.
    """

    variable: str
    where: str
    accuracy: float
    control: float
    third_token: tuple[int, int]
    pairs: int
    accepted: bool


@dataclass(frozen=True, kw_only=True)
class OutputCounts:
    """Counts over held-out inputs.

    Attributes:
        inputs: counted inputs, all of them held out.
        failures: inputs on which the model differs from the ground truth.
        match: inputs on which the machine's output is the model's.
        covered: inputs on which the machine does not abstain.
        predicted_exactly: failures whose wrong output the machine predicts token for token.
        claims: inputs on which the machine predicts a wrong output.
        claims_exact: of those, the ones on which the model writes exactly that.
        flagged: inputs that `will_fail` flags.
        flagged_right: of those, the ones on which the model fails.
        beyond_cap: inputs deeper than the model was trained on, and how many of them fail.
    """

    inputs: int
    failures: int
    match: int
    covered: int
    predicted_exactly: int
    claims: int
    claims_exact: int
    flagged: int
    flagged_right: int
    beyond_cap: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class LongerCounts:
    """A machine learned from shorter inputs, on longer ones that were held out.

    Attributes:
        longer: (matches, inputs, inputs without abstention); None where no input is longer.
        best_equivalent: the most matches of it and of the machines equivalent to it on the
            shorter inputs.
        shorter_failures: failures of the model among the shorter inputs that were queried.
    """

    longer: tuple[int, int, int] | None = None
    best_equivalent: int = 0
    shorter_failures: int = 0


@dataclass(frozen=True, kw_only=True)
class Row(OutputCounts, LongerCounts):
    """What was counted for one model, and what its explanation reports.

    Attributes:
        name: name of the case.
        group: zoo, unseen, planted, compiled, shuffled or untrained.
        task: name of the task.
        order: of its tokens, natural or reverse.
        architecture: of the model.
        layers: of the model.
        max_length: longest input of the domain, in tokens.
        verdict: of the explanation.
        kinds: kinds of divergence with their bounds.
        divergent: (inputs, of all compared) on which model and ground truth differ.
        exhaustive: whether those are all inputs of the domain.
        planted: kind and bound of the fault that the model was taught; None where none was.
        missed: inputs on which a model with a planted fault is not the faulty machine.
        interventional: (matches, trials) of predictions under interventions.
        carried_state_contrast: the trials where a carried-state machine predicts another token.
        unpredicted_changes: (changed tokens, tokens) where the machine predicts no change.
        forced_prefix_rules: (right with the rule, right without it, trials) of each rule.
        equivalent_machines: number of machines equivalent to the chosen one on the domain.
        sites: all sites at which variables were looked for.
        size: rules, guard atoms and expression nodes of the machine.
        modes: of the machine.
        confidence: low end of the match that the explanation reports on held-out inputs.
        seconds: time of the explanation.
    """

    name: str
    group: str
    task: str
    order: str
    architecture: str
    layers: int
    max_length: int
    verdict: str
    kinds: tuple[tuple[str, int | None], ...]
    divergent: tuple[int, int]
    exhaustive: bool
    planted: tuple[str, int | None] | None
    missed: int | None
    interventional: tuple[int, int] | None
    carried_state_contrast: tuple[int, int] | None
    unpredicted_changes: tuple[int, int] | None
    forced_prefix_rules: tuple[tuple[int, int, int], ...]
    equivalent_machines: int
    sites: tuple[SiteRow, ...]
    size: int
    modes: int
    confidence: float
    seconds: float


def score_case(case: Case) -> Row:
    """One model's row."""
    model, task = load_case(case)
    began = time.perf_counter()
    ex = ri.explain(model, task, domain=ri.Domain(max_length=case.max_length), seed=0)
    seconds = time.perf_counter() - began
    extends = ex.diff.verdict in ("exact", "shortcut")
    longer = count_longer(model, task, case) if extends else LongerCounts()
    return Row(
        **asdict(count_outputs(model, ex, case)),
        **asdict(longer),
        **describe_case(case),
        **describe_explanation(ex),
        missed=None if case.planted is None else count_missed(model, task, case),
        seconds=round(seconds, 1),
    )


def describe_case(case: Case) -> dict[str, Any]:
    """The fields of a row that stand in the case table."""
    return {
        "name": case.name,
        "group": case.group,
        "task": case.task_name + ("" if case.stepwise is None else f" by {case.stepwise} step"),
        "order": case.order,
        "architecture": case.config.architecture,
        "layers": case.config.n_layers,
        "max_length": case.max_length,
        "planted": None if case.planted is None else (case.planted.kind, case.planted.bound),
    }


def describe_explanation(ex: ri.Explanation) -> dict[str, Any]:
    """The fields of a row that the explanation reports."""
    fidelity = ex.fidelity
    return {
        "verdict": str(ex.diff.verdict),
        "kinds": tuple(dict.fromkeys(b for s in ex.diff.shortcuts for b in s.bounds)),
        "divergent": (ex.diff.divergent, ex.diff.total),
        "exhaustive": ex.diff.exhaustive,
        "interventional": as_pair(fidelity.interventional),
        "carried_state_contrast": as_pair(fidelity.carried_state_contrast),
        "unpredicted_changes": as_pair(fidelity.unpredicted_changes),
        "forced_prefix_rules": tuple(
            (rule.observed.hits, rule.without_rule.hits, rule.observed.total)
            for rule in ex.forced_prefix_rules
        ),
        "equivalent_machines": len(ex.equivalent_machines),
        "sites": tuple(map(describe_site, ex.sites)),
        "size": ex.machine.size,
        "modes": len(ex.machine.modes),
        "confidence": round(fidelity.overall.match.interval[0], 4),
    }


def describe_site(site: Site) -> SiteRow:
    """The row of one site."""
    return SiteRow(
        variable=site.variable,
        where="; ".join(map(location_text, site.patch)),
        accuracy=site.accuracy,
        control=site.control,
        third_token=(site.third_token_accuracy.hits, site.third_token_accuracy.total),
        pairs=site.pairs,
        accepted=site.accepted,
    )


def as_pair(rate: Rate | None) -> tuple[int, int] | None:
    """Hits and total of a rate."""
    return None if rate is None else (rate.hits, rate.total)


def count_outputs(model: torch.nn.Module, ex: ri.Explanation, case: Case) -> OutputCounts:
    """Model, machine and ground truth on the held-out inputs of the domain."""
    task = ex.task
    inputs = held_out_inputs(task, ri.Domain(max_length=case.max_length))
    outputs, truth = ri.predict(model, task, inputs), task.apply_many(inputs)
    predicted, flags = ex.machine.run_many(inputs), ex.will_fail(inputs)
    rows = list(zip(outputs, truth, predicted, flags, strict=True))
    claims = [(y, m) for y, z, m, _ in rows if m is not None and m != z]
    cap = case.recipe.max_depth
    deep = [
        y != z
        for x, (y, z, *_) in zip(inputs, rows, strict=True)
        if cap is not None and task.depth(x) > cap
    ]
    return OutputCounts(
        inputs=len(inputs),
        failures=sum(y != z for y, z, _, _ in rows),
        match=sum(y == m for y, _, m, _ in rows),
        covered=sum(m is not None for _, _, m, _ in rows),
        predicted_exactly=sum(y == m for y, z, m, _ in rows if y != z),
        claims=len(claims),
        claims_exact=sum(y == m for y, m in claims),
        flagged=sum(bool(flag) for *_, flag in rows),
        flagged_right=sum(y != z for y, z, _, flag in rows if flag),
        beyond_cap=(len(deep), sum(deep)),
    )


def load_case(case: Case) -> tuple[torch.nn.Module, ri.Task]:
    """A row's model, and its task as that model writes it."""
    if case.group == "compiled":
        return compiled.load(case)
    return ri.load(str(HOME / case.name)), case.task


def held_out_inputs(task: ri.Task, domain: ri.Domain) -> list[list[str]]:
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


def count_longer(model: torch.nn.Module, task: ri.Task, case: Case) -> LongerCounts:
    """Learn a machine from shorter inputs, and count on longer ones that were held out."""
    max_length = case.max_length - SHORTER * (TOKENS_PER_NODE if "tree" in case.task_name else 1)
    oracle = Oracle(lambda xs: ri.predict(model, task, xs))
    result = synthesize(oracle, task, ri.Domain(max_length=max_length))
    failures = int(result.dataset.failures.sum())
    inputs = [
        x
        for x in held_out_inputs(task, ri.Domain(max_length=case.max_length))
        if task.length(x) > max_length
    ]
    if not inputs:
        return LongerCounts(shorter_failures=failures)
    outputs = ri.predict(model, task, inputs)
    machines = [result.chosen.machine, *(r.machine for r in result.equivalent_machines)]
    predicted = [machine.run_many(inputs) for machine in machines]
    hits = [sum(m == y for m, y in zip(one, outputs, strict=True)) for one in predicted]
    covered = sum(m is not None for m in predicted[0])
    return LongerCounts(
        longer=(hits[0], len(inputs), covered),
        best_equivalent=max(hits),
        shorter_failures=failures,
    )


def describe_refusal(case: Case, error: ri.RecinterpError) -> dict[str, str]:
    """What stands where a model could not be explained at all."""
    return {"name": case.name, "group": case.group, "error": f"{type(error).__name__}: {error}"}


def main(argv: Sequence[str] | None = None) -> None:
    """Score what is trained and not scored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--again", action="store_true", help="also what is scored already")
    given = parser.parse_args(argv)
    table = cases()
    ROWS.mkdir(parents=True, exist_ok=True)
    for name in given.names or table:
        path = ROWS / f"{name}.json"
        if not (HOME / f"{name}.json").exists() or (path.exists() and not given.again):
            continue
        try:
            row = asdict(score_case(table[name]))
        except ri.RecinterpError as error:
            row = describe_refusal(table[name], error)
        path.write_text(json.dumps(row, indent=1, ensure_ascii=False) + "\n")
        print(progress_line(row), flush=True)


def progress_line(row: dict[str, object]) -> str:
    """One line of progress."""
    if "error" in row:
        return f"{row['name']:26} {row['error']}"
    kinds = " ".join(f"{k}{'' if b is None else b}" for k, b in row["kinds"])  # type: ignore[attr-defined]
    return (
        f"{row['name']:26} {row['verdict']:12} match {row['match']}/{row['inputs']}"
        f" failures {row['failures']} predicted {row['predicted_exactly']}"
        f" claims {row['claims']} exact {row['claims_exact']}"
        f" flagged {row['flagged']}/{row['flagged_right']} {kinds} longer {row['longer']}"
        f" size {row['size']} {row['seconds']} s"
    )


if __name__ == "__main__":
    main()
