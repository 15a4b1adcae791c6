"""Whether explanations of the models of distinct labels predict forced outputs and repeated labels.

    python benchmarks/realisations/score.py [NAMES]      # after train.py; writes results.json

For each model: the share of 300 outputs with a forced last token whose next token
`ex.predict_next` gives, on inputs that are held out from the search; and the share of outputs on
inputs with repeated labels, which are outside the domain, that `ex.machine` gives token for token,
beside every other machine that is equal on the domain.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from cases import DISTINCT, Case, cases

import recinterp as ri
from recinterp.causal.continuations.candidates import FAMILIES
from recinterp.splits import held_out
from recinterp.stats import Rate

HOME = Path(__file__).resolve().parents[2] / "runs" / "realisations"
RESULTS = Path(__file__).parent / "results.json"
TRIALS = 300


def forced(case: Case, task: ri.Task, rng: random.Random) -> Iterator[tuple[list[str], list[str]]]:
    """Held-out inputs, each with its correct output up to a last token that is another label."""
    found = 0
    for x in case.domain.sample(task, 40 * TRIALS, seed=7):
        y = task.apply(x)
        if len(y) < 4 or not held_out(x):
            continue
        k = rng.randint(1, len(y) - 1)
        j = rng.choice([i for i in range(len(y)) if i != k - 1])
        found += 1
        yield x, [*y[: k - 1], y[j]]
        if found == TRIALS:
            return


def with_repeats(case: Case, task: ri.Task) -> list[list[str]]:
    """Inputs as long as those of the domain in which a label is repeated."""
    drawn = task.sample(4_000, seed=11, max_length=case.domain.max_length, distribution="natural")
    found = {tuple(x) for x in drawn if DISTINCT(x)}
    return [list(x) for x in sorted(found)][:500]


def exact(machine: ri.Machine, inputs: Sequence[Sequence[str]], outputs: Sequence) -> Rate:
    """Outputs that a machine gives token for token; of one that is cut, every token up to there."""
    return Rate.of(
        machine.known_prefix(x)[: len(y) - 1] == list(y[:-1])
        if y[-1:] == ["…"]
        else machine.run(x) == list(y)
        for x, y in zip(inputs, outputs, strict=True)
    )


def score(case: Case) -> dict[str, object]:
    """The row of one model."""
    task, model = case.task, ri.load(HOME / case.name)
    began = time.process_time()
    ex = ri.explain(model, task, domain=case.domain)
    seconds = time.process_time() - began
    rows = list(forced(case, task, random.Random(1)))
    plan = [ri.perturb.ForcePrefix(tuple(tuple(y) for _, y in rows))]
    after = ri.perturb.run(model, task, [x for x, _ in rows], plan).edited
    predicted = [ex.predict_next(x, y) for x, y in rows]
    next_token = Rate.of(a == b for a, b in zip(predicted, after, strict=True))
    inputs = with_repeats(case, task)
    outputs = [list(y) for y in ri.predict(model, task, inputs)]
    repeats = exact(ex.machine, inputs, outputs)
    others = {
        " ".join(c) or "carried": exact(ex.machine.with_continuation(*c), inputs, outputs)
        for family in FAMILIES.values()
        for c in family
    }
    return {
        "verdict": ex.diff.verdict,
        "match": ex.fidelity.overall.match.value,
        "continuation": " ".join(ex.machine.continuation) or "carried",
        "decided": ex.continuation.decided,
        "mixture": bool(ex.continuation.pulls),
        "followed": [ex.continuation.followed.hits, ex.continuation.followed.total],
        "forced": [next_token.hits, next_token.total],
        "repeats": [repeats.hits, repeats.total],
        "others": {name: rate.hits for name, rate in others.items()},
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Score the models that were trained, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    table = cases()
    names = parser.parse_args().names or [n for n in table if (HOME / f"{n}.json").exists()]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in names:
        row = results[name] = score(table[name])
        print(name, json.dumps(row), flush=True)
        RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
