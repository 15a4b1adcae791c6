"""A million patches in bounded memory: peak resident memory as the plans stream.

python benchmarks/memory.py [PATCHES]        # default 1,000,000; prints as it goes
"""

from __future__ import annotations

import itertools
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

import recinterp as ri
from recinterp.models import Adapter
from recinterp.models.architectures.decoder_only import DecoderOnly
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends import native
from recinterp.perturb import Ablate, At, head, stream


def main() -> None:
    """Stream zero ablations by head and position, over and over, two rows each."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = Shape(2, 4, 32, 8, 64, 24, 8)
    task = ri.task("binary-successor", order="natural")
    adapter = Adapter(native.build_hooked(shape, DecoderOnly(shape).export_weights()), task)
    inputs = task.sample(2, seed=0, length=12)
    places = itertools.cycle(itertools.product(range(2), range(4), range(12)))
    plans = ([Ablate(head(layer, h, At("input", i)))] for layer, h, i in places)
    began, done, shown = time.perf_counter(), 0, 0
    for first, values in stream(adapter, task, inputs, itertools.islice(plans, wanted)):
        done = first + len(values)
        if done >= shown:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            took = time.perf_counter() - began
            print(f"{done:>9,} patches  {took:7.1f} s  peak {peak:.0f} MiB", flush=True)
            shown = shown * 10 if shown >= 10_000 else 10_000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{done:>9,} patches  {time.perf_counter() - began:7.1f} s  peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
