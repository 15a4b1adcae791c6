"""How long one click of `ex.ablate()` takes to answer: python benchmarks/clicks.py [--json]

In milliseconds, over every head, every kind of intervention and every suggested input, of the
models named below; what the browser adds on top is measured by tests/browser/test_notebook.py.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import replace
from typing import Any

import torch

import recinterp as ri
from recinterp.explanation import Explanation
from recinterp.view.notebook.session import KINDS, HeadIntervention, Session

MODELS = ("binary-successor-natural-depthcap3", "binary-successor-reverse")


def explained(name: str) -> Explanation:
    """An explanation of a shipped model, quick to make: a click does not depend on what it says."""
    model: Any = ri.load(name)
    task = model.checkpoint.task
    quick = ri.explain(task.apply_many, task, domain=ri.Domain(max_length=5))
    return replace(quick, model=model, model_name=name, domain=ri.Domain(max_length=16))


def clicks(name: str) -> dict[str, dict[str, float]]:
    """Kind of intervention -> median, 95th percentile and longest answer."""
    session = Session(explained(name))
    session.warm_up()
    for _, x in session.suggested_inputs:
        session.output(x)
    found: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        took = []
        for which in session.heads:
            for _, x in session.suggested_inputs:
                began = time.perf_counter()
                session.answer(x, HeadIntervention((which,), kind))
                took.append(1000 * (time.perf_counter() - began))
        took.sort()
        found[kind] = {
            "median": round(statistics.median(took), 1),
            "p95": round(took[int(0.95 * (len(took) - 1))], 1),
            "max": round(took[-1], 1),
        }
    return found


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    found = {name: clicks(name) for name in MODELS}
    if "--json" in sys.argv[1:]:
        print(json.dumps(found))
        return
    for name, kinds in found.items():
        print(name)
        for kind, numbers in kinds.items():
            print(f"  {kind:<9}", "  ".join(f"{k} {v:6.1f} ms" for k, v in numbers.items()))


if __name__ == "__main__":
    main()
