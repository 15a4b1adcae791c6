"""Every shipped model against its explanation, by enumeration and not by what it reports.

    python benchmarks/enumeration.py                       # all checkpoints, an untrained model
    python benchmarks/enumeration.py NAME_OR_PATH … --json rows.json

For every input up to --max-counted tokens: `ri.predict` against `task.apply` against the machine
that `ri.explain` gives for inputs up to --max-length tokens. Users could count a row themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import recinterp as ri
from recinterp.models.backends import native
from recinterp.models.checkpoint import Checkpoint
from recinterp.models.training.trainer import build_untrained, derive_shape

UNTRAINED = "untrained"
CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


@dataclass(frozen=True)
class Row:
    """Counts for one model; `seconds` is the wall time of explain."""

    model: str
    inputs: int
    match: int  # machine = model, an abstention is a miss
    failures: int
    predicted_exactly: int  # failures whose wrong output the machine predicts
    claims: int  # inputs on which the machine predicts a wrong output
    claims_exact: int  # of those, the ones on which the model writes it
    flagged: int  # inputs that will_fail flags
    flagged_right: int
    verdict: str
    kinds: tuple[str, ...]
    size: int
    modes: int
    seconds: float


def measure(name: str, max_length: int, max_counted: int) -> Row:
    """One model's row."""
    model, task = load_model(name)
    began = time.perf_counter()
    ex = ri.explain(model, task, domain=ri.Domain(max_length=max_length), seed=0)
    seconds = time.perf_counter() - began
    inputs = list(task.inputs(max_counted))
    outputs, truth = ri.predict(model, task, inputs), task.apply_many(inputs)
    claimed, flags = ex.machine.run_many(inputs), ex.will_fail(inputs)
    rows = list(zip(outputs, truth, claimed, flags, strict=True))
    failures = [row for row in rows if row[0] != row[1]]
    claims = [row for row in rows if row[2] is not None and row[2] != row[1]]
    flagged = [row for row in rows if row[3]]
    kinds = [f"{k}" if b is None else f"{k} {b}" for s in ex.diff.shortcuts for k, b in s.bounds]
    return Row(
        name,
        len(rows),
        sum(y == m for y, _, m, _ in rows),
        len(failures),
        sum(y == m for y, _, m, _ in failures),
        len(claims),
        sum(y == m for y, _, m, _ in claims),
        len(flagged),
        sum(y != z for y, z, _, _ in flagged),
        ex.diff.verdict,
        tuple(dict.fromkeys(kinds)),
        ex.machine.size,
        len(ex.machine.modes),
        round(seconds, 1),
    )


def load_model(name: str) -> tuple[nn.Module, ri.Task]:
    """A checkpoint and its task, or an untrained model of the default recipe."""
    if name != UNTRAINED:
        model = ri.load(name)
        return model, cast(Checkpoint, model.checkpoint).task
    task, config = ri.task("binary-successor"), ri.TrainConfig()
    torch.manual_seed(0)
    shape = derive_shape(task, config)
    return native.build_hooked(shape, build_untrained(shape, config).export_weights()), task


def table(rows: Iterator[Row] | list[Row]) -> Table:
    """The rows as they are read."""
    shown = Table(title="machine against model, by enumeration")
    for column in ("model", "match", "exact recall", "exact precision", "flagged", "failing"):
        shown.add_column(column, justify="left" if column == "model" else "right", overflow="fold")
    for column in ("verdict", "kinds", "size", "modes", "s"):
        shown.add_column(column, overflow="fold")
    for r in rows:
        shown.add_row(
            r.model.removeprefix("binary-successor-"), share(r.match, r.inputs),
            share(r.predicted_exactly, r.failures), share(r.claims_exact, r.claims),
            f"{r.flagged}", f"{r.flagged_right}", r.verdict, ", ".join(r.kinds),
            str(r.size), str(r.modes), str(r.seconds),
        )  # fmt: skip
    return shown


def share(hits: int, total: int) -> str:
    """A count and, where there is something to count, its share."""
    return f"{hits}/{total} {hits / total:.2%}" if total else "–"


def main() -> None:
    """Measure, print, and write what was measured after every model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--max-length", type=int, default=16, help="max_length of explain's domain")
    parser.add_argument("--max-counted", type=int, default=14, help="longest input that is counted")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    names = given.models or [*sorted(p.stem for p in CHECKPOINTS.glob("*.json")), UNTRAINED]
    rows = []
    for name in names:
        rows.append(measure(name, given.max_length, given.max_counted))
        sys.stderr.write(f"{rows[-1]}\n")
        if given.json:
            given.json.write_text(json.dumps([asdict(r) for r in rows], indent=1) + "\n")
    Console(width=200).print(table(rows))


if __name__ == "__main__":
    main()
