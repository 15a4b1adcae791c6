"""The small training runs behind tutorials/3_paper.ipynb, recorded in tutorials/experiments.json.

python scripts/experiments.py           # all that is not recorded yet
python scripts/experiments.py rates     # one experiment

Inputs of up to 8 tokens, so that each run takes a minute and every input can be checked.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import recinterp as ri
from recinterp.errors import RecinterpError
from recinterp.io import write_text
from recinterp.perturb import Ablate, head, run

RECORD = Path(__file__).resolve().parents[1] / "tutorials" / "experiments.json"
LENGTH, STEPS = 8, 700
Row = dict[str, Any]


def trained(task: ri.Task, **changes: Any) -> tuple[Any, Row]:
    """A model of this task, and how many inputs it gets right: of all, by depth, at edges."""
    config = ri.TrainConfig(**({"max_length": LENGTH, "steps": STEPS, "seed": 0} | changes))
    began = time.perf_counter()
    model = ri.train(task, config, progress=False).model
    inputs = list(task.inputs(LENGTH))
    outputs, truth = ri.predict(model, task, inputs), task.apply_many(inputs)
    right = [y == z for y, z in zip(outputs, truth, strict=True)]
    depths = sorted({task.depth(x) for x in inputs})
    edges = [ok for x, ok in zip(inputs, right, strict=True) if len(x) > 2 and task.full_depth(x)]
    shown = {k: v for k, v in asdict(config).items() if k != "exclude"}
    return model, {
        "config": shown,
        "inputs": len(inputs),
        "right": sum(right),
        "depth": {
            d: [sum(ok for x, ok in zip(inputs, right, strict=True) if task.depth(x) == d),
                sum(task.depth(x) == d for x in inputs)]
            for d in depths
        },
        "edges": [sum(edges), len(edges)],
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def rates() -> Iterator[Row]:
    """Three learning rates: how brittle the model is when one head is ablated."""
    task = ri.task("binary-successor")
    inputs = list(task.inputs(LENGTH))
    for rate in (3e-4, 2e-3, 6e-3):
        model, row = trained(task, learning_rate=rate)
        left = {}
        for layer in range(2):
            for h in range(2):
                found = run(model, task, inputs, [Ablate(head(layer, h), "mean")], whole=True)
                truth = map(tuple, task.apply_many(inputs))
                left[f"L{layer}H{h}"] = sum(
                    a == b for a, b in zip(found.outputs or (), truth, strict=True)
                )
        yield {"learning_rate": rate, "right_without": left, **row}


def edges() -> Iterator[Row]:
    """Training that sees the inputs of maximal depth of none, some or all lengths."""
    task = ri.task("binary-successor")
    for seen in (0, 2, 4, 6):

        def unseen(x: Any, seen: int = seen) -> bool:
            return len(x) > 2 and task.full_depth(x) and len(x) > 2 + seen

        yield {"lengths_seen": seen, **trained(task, exclude=unseen)[1]}


def stepwise() -> Iterator[Row]:
    """One model that reduces k ι-steps at a time, instead of all of them."""
    for k in (1, 2):
        task = ri.task("binary-successor").stepwise(k)
        yield {"k": k, **trained(task)[1]}


def architectures() -> Iterator[Row]:
    """An encoder-decoder, trained on all depths and on depth up to 3."""
    task = ri.task("binary-successor")
    for cap in (None, 3):
        _, row = trained(task, architecture="encoder-decoder", max_depth=cap)
        yield {"max_depth": cap, **row}


EXPERIMENTS: dict[str, Callable[[], Iterator[Row]]] = {
    "rates": rates,
    "edges": edges,
    "architectures": architectures,
    "stepwise": stepwise,
}


def main() -> None:
    """Run what is asked for, or what is not recorded yet."""
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in sys.argv[1:] or [x for x in EXPERIMENTS if x not in known]:
        try:
            known[name] = list(EXPERIMENTS[name]())
        except RecinterpError as e:
            known[name] = {"refused": str(e)}
        known["versions"] = {"torch": torch.__version__, "recinterp": ri.__version__}
        write_text(RECORD, json.dumps(known, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
