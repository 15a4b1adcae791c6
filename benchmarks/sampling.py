"""What drawing, applying and encoding a batch costs, as a share of the training step it feeds.

    python benchmarks/sampling.py [--json] [--chunks N]

Each row trains a fresh model of the default recipe (2 layers of 64, batch 64, lengths up to 16) on
one thread. A batch's cost is its chunk's, spread over the chunk's steps; medians over chunks, and
over steps. The first chunks also fill the sampler's tables, once a task: that is the column
`tables`, and not in the share. Processor time throughout, so that a busy neighbour counts less.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from statistics import median
from time import process_time

import torch

import recinterp as ri
from recinterp.models.training.batches import CHUNK, Batches
from recinterp.models.training.trainer import _Trainer
from recinterp.tasks import Domain

BAR, WARM = 0.10, 8  # WARM: chunks that fill tables


def seconds(call: Callable[[], object]) -> float:
    """Processor time of a call."""
    start = process_time()
    call()
    return process_time() - start


def cost(name: str, order: str, chunks: int) -> dict[str, float | str]:
    """Milliseconds for a batch and for the rest of its step, and the share of the first."""
    task, config = ri.task(name, order=order), ri.TrainConfig(seed=1)
    domain = Domain(max_length=config.max_length)
    trainer, batches = _Trainer(task, config, domain, None), Batches(task, config, domain)
    first = seconds(lambda: [batches(step) for step in range(WARM * CHUNK)])
    ready: list[object] = []
    drawn = [seconds(lambda c=c: ready.extend(map(batches, range(c * CHUNK, (c + 1) * CHUNK))))
             for c in range(WARM, WARM + chunks)]  # fmt: skip
    trainer.batches = ready.__getitem__  # type: ignore[assignment]
    for _ in range(10):
        trainer._one_step()
    whole = [seconds(trainer._one_step) for _ in range(10, chunks * CHUNK)]
    batch, rest = median(drawn) / CHUNK, median(whole)
    tables = max(0.0, first - WARM * CHUNK * batch)
    return {"task": name, "order": order, "tables_ms": 1e3 * tables, "batch_ms": 1e3 * batch,
            "rest_ms": 1e3 * rest, "share": batch / (batch + rest)}  # fmt: skip


def main() -> None:
    """Print one row for each task and order, and the largest share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--chunks", type=int, default=3, help=f"of {CHUNK} steps each")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cases = [(name, order) for name in ri.tasks() for order in ("natural", "reverse")]
    rows = []
    for name, order in cases:
        rows.append(row := cost(name, order, given.chunks))
        if not given.json:
            print("{task:18} {order:8} batch {batch_ms:5.2f} ms of {rest_ms:6.2f} ms, share "
                  "{share:5.1%} (tables {tables_ms:4.0f} ms once)".format(**row))  # fmt: skip
    largest = max(float(row["share"]) for row in rows)
    print(json.dumps({"bar": BAR, "largest": largest, "rows": rows}) if given.json
          else f"largest share {largest:.1%}; bar {BAR:.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
