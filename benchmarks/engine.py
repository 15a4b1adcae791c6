"""The perturbation engine beside what the field runs: all sides in one run, results checked equal.

    python benchmarks/engine.py [--json] [--only head,generate] [--batches 1,8]

4 layers, 8 heads, d_model 128, context 64. Every side gets the same threads and takes turns, so
that whatever else the machine does hits all alike; a ratio is of medians. Where a side would take
minutes it does a part, drawn over all layers (or fewer rows), and time per patch (per row) is what
is compared; the results of that part are compared with ours one by one. Rows: head, head_position,
ablate, generate, pair (heads of our encoder-decoder), peers (benchmarks/peers.sh installs them),
limit, growth.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import sides
import torch
from torch import Tensor

import recinterp as ri
from recinterp.models import Adapter
from recinterp.models.architectures.decoder_only import DecoderOnly
from recinterp.models.architectures.encoder_decoder import EncoderDecoder
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends import native
from recinterp.models.backends import transformer_lens as backend
from recinterp.perturb import Ablate, At, Interchange, head, sweep
from recinterp.perturb.positions import build_batch

LAYERS, HEADS, WIDTH, CONTEXT, VOCAB = 4, 8, 128, 64, 16
SHAPE = Shape(LAYERS, HEADS, WIDTH, WIDTH // HEADS, 4 * WIDTH, CONTEXT, VOCAB, act="gelu_new")
TASK = ri.task("binary-successor", order="natural")
GOAL = {
    "head": {1: 10, 8: 5, 64: 3.5},
    "head_position": {1: 12, 8: 8, 64: 5},
    "ablate": {1: 10, 8: 5, 64: 3.5},
    "generate": {"native": 15, "t5": 15, "hf": 1},
}
EVERY = {1: 1, 8: 4, 64: 16}  # by head and position: every so many positions
PART = {1: 32, 8: 16, 64: 8}  # patches the slower side does of those, per turn
AGREE = 1e-4  # results are means of differences of logits of order 1


@dataclass(frozen=True)
class Result:
    """Seconds per patch (or per row) of both sides, medians, and how far they differ."""

    theirs: float
    ours: float
    apart: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.theirs / self.ours


def turns(
    sides: Sequence[Callable[[], object]], seconds: float = 6.0, max_turns: int = 9
) -> list[float]:
    """Median seconds of each side, turn by turn, after one turn to warm up."""
    for side in sides:
        side()
    times: list[list[float]] = [[] for _ in sides]
    began = time.perf_counter()
    while len(times[0]) < 3 or (
        time.perf_counter() - began < seconds and len(times[0]) < max_turns
    ):
        for held, side in zip(times, sides, strict=True):
            start = time.perf_counter()
            side()
            held.append(time.perf_counter() - start)
    return [statistics.median(held) for held in times]


def model(shape: Shape = SHAPE) -> Adapter:
    """Random weights; what a forward costs does not depend on them."""
    torch.manual_seed(0)
    plain = EncoderDecoder(shape) if shape.kind == "encoder-decoder" else DecoderOnly(shape)
    return Adapter(native.build_hooked(shape, plain.export_weights()), TASK)


def words(batch: int, seed: int, context: int = CONTEXT) -> tuple[tuple[str, ...], ...]:
    """Inputs that fill the context: one row of ids each, SEP last."""
    rng = random.Random(seed)
    return tuple(
        (*(rng.choice(("X0", "X1")) for _ in range(context - 2)), "01") for _ in range(batch)
    )


def metric(logits: Tensor) -> Tensor:
    """What is recorded of a patch: a logit difference at the query, meaned over the batch."""
    return (logits[..., 3] - logits[..., 4]).mean(-1)


@dataclass(frozen=True)
class Case:
    """A batch and its sources, for our side (words) and for theirs (ids and a cache)."""

    adapter: Adapter
    base: tuple[tuple[str, ...], ...]
    source: tuple[tuple[str, ...], ...]

    @property
    def ids(self) -> Tensor:
        """(batch, pos)."""
        return build_batch(TASK, self.base).ids

    def cache(self) -> Any:
        """The sources' activations, as TransformerLens holds them."""
        return self.adapter.model.run_with_cache(build_batch(TASK, self.source).ids)[1]

    def ours(self, plans: Sequence[Any]) -> Tensor:
        """Our side: every plan's metric."""
        return sweep(
            self.adapter, TASK, self.base, plans, measure=lambda logits, _: metric(logits)
        ).values


def case(batch: int) -> Case:
    """The benchmark's batch."""
    return Case(model(), words(batch, 1), words(batch, 2))


ALL_HEADS = [(layer, h) for layer in range(LAYERS) for h in range(HEADS)]


def head_patches(batch: int) -> Result:
    """Every head at all positions: `transformer_lens.patching`'s own loop."""
    from transformer_lens import patching

    at = case(batch)
    cache, ids, found = at.cache(), at.ids, {}
    sources = (at.source, ((),) * batch)
    plans = [[Interchange((head(*where),), *sources)] for where in ALL_HEADS]

    def theirs() -> None:
        with torch.no_grad():
            found["theirs"] = patching.get_act_patch_attn_head_out_all_pos(
                at.adapter.model, ids, cache, lambda logits: metric(logits[:, -1])
            ).flatten()

    def ours() -> None:
        found["ours"] = at.ours(plans)

    slow, fast = turns([theirs, ours], max_turns=3 if batch == 64 else 9)
    return Result(slow / len(plans), fast / len(plans), _apart(found))


def position_patches(batch: int) -> Result:
    """Every head at every position, each alone; their side does a part (module docstring)."""
    import pandas as pd
    from transformer_lens import patching

    at = case(batch)
    cache, ids, found = at.cache(), at.ids, {}
    sources = (at.source, ((),) * batch)
    places = range(CONTEXT - 1, -1, -EVERY[batch])
    asked = [(layer, pos, h) for layer in range(LAYERS) for pos in places for h in range(HEADS)]
    plans = [
        [Interchange((head(layer, h, At("position", pos)),), *sources)] for layer, pos, h in asked
    ]
    some = random.Random(0).sample(range(len(asked)), PART[batch])
    frame = pd.DataFrame([asked[i] for i in some], columns=["layer", "pos", "head"])

    def theirs() -> None:
        with torch.no_grad():
            found["theirs"] = patching.generic_activation_patch(
                at.adapter.model, ids, cache, lambda logits: metric(logits[:, -1]),
                patching.layer_pos_head_vector_patch_setter, "z", index_df=frame,
            )  # fmt: skip

    def ours() -> None:
        found["ours"] = at.ours(plans)[some]

    slow, fast = turns([theirs, ours], max_turns=3 if batch == 64 else 9)
    return Result(slow / len(some), fast / len(plans), _apart(found))


def zero(which: int) -> Callable[..., Tensor]:
    """A hook that cuts one head."""

    def hook(value: Tensor, hook: object) -> Tensor:
        value[:, :, which] = 0.0
        return value

    return hook


def ablations(batch: int) -> Result:
    """Zero ablation of every head through `run_with_hooks`."""
    at = case(batch)
    ids, found = at.ids, {}
    plans = [[Ablate(head(*where))] for where in ALL_HEADS]

    def theirs() -> None:
        with torch.no_grad():
            found["theirs"] = torch.stack(
                [
                    metric(
                        at.adapter.model.run_with_hooks(
                            ids, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", zero(h))]
                        )[:, -1]
                    )
                    for layer, h in ALL_HEADS
                ]
            )

    def ours() -> None:
        found["ours"] = at.ours(plans)

    slow, fast = turns([theirs, ours], max_turns=3 if batch == 64 else 9)
    return Result(slow / len(plans), fast / len(plans), _apart(found))


def pair(batch: int) -> Result:
    """Zero ablation of every head of our encoder-decoder, 2 + 2 layers, half of a row read."""
    half = CONTEXT // 2
    shape = replace(SHAPE, n_layers=2, kind="encoder-decoder", start=TASK.ids["BOS"])
    adapter, read = model(shape), words(batch, 1, half)
    written = tuple(x[: half - 1] for x in words(batch, 2))
    ids = build_batch(TASK, read, written).ids
    heads = [(block, h) for block in range(adapter.n_layers) for h in range(HEADS)]
    plans, found = [[Ablate(head(*where))] for where in heads], {}

    def theirs() -> None:
        edits = [(f"blocks.{block}.attn.hook_z", zero(h)) for block, h in heads]
        logits = [adapter.run_with_hooks(ids, [edit])[:, -1] for edit in edits]
        found["theirs"] = torch.stack([metric(x) for x in logits])

    def ours() -> None:
        swept = sweep(adapter, TASK, read, plans, written, measure=lambda logits, _: metric(logits))
        found["ours"] = swept.values

    slow, fast = turns([theirs, ours], max_turns=3 if batch == 64 else 9)
    return Result(slow / len(plans), fast / len(plans), _apart(found))


def _apart(found: dict[str, Tensor]) -> float:
    apart = float((found["theirs"].flatten() - found["ours"].flatten()).abs().max())
    if not apart <= AGREE:
        raise SystemExit(f"the two sides differ by {apart:.1e}: nothing is compared")
    return apart


PATCHES = {"head": head_patches, "head_position": position_patches, "ablate": ablations}


def generated(name: str, rows: int = 1000) -> Result:
    """Greedy generation of 30 tokens: seconds per row; they may do fewer rows."""
    theirs, ours, their_rows = sides.generation(name, model())
    their_rows, found = min(their_rows, rows), {}
    slow, fast = turns(
        [lambda: found.update(theirs=theirs(their_rows)), lambda: found.update(ours=ours(rows))],
        max_turns=3,
    )
    differ = float((found["theirs"] != found["ours"][:their_rows]).any(1).float().mean())
    if differ > 0.02:  # two float32 sums in another order may part at a tie
        raise SystemExit(f"{name}: {differ:.0%} of the outputs differ")
    return Result(slow / their_rows, fast / rows, differ)


def limit(batch: int) -> str:
    """The operations all-heads patching needs at least, at the rate of this machine's matrices."""
    at, n = case(batch), CONTEXT
    plans = [[Ablate(head(*where))] for where in ALL_HEADS]
    a, b = torch.randn(1024, WIDTH), torch.randn(WIDTH, 4 * WIDTH)

    def matrices() -> None:
        for _ in range(50):
            a @ b

    rate, took = turns([matrices, lambda: at.ours(plans)])
    rate = 50 * 2 * a.shape[0] * b.numel() / rate
    block = 2 * n * 12 * WIDTH**2 + 2 * n * n * WIDTH  # half of the scores are masked
    mlp, query = 2 * n * 8 * WIDTH**2, 2 * 10 * WIDTH**2 + 4 * n * WIDTH
    last = 2 * n * 2 * WIDTH**2 + query  # keys and values of all, everything else of the query
    each = [mlp + (LAYERS - 2 - layer) * block + last for layer in range(LAYERS - 1)] + [query]
    share = batch * HEADS * sum(each) / rate / took
    return f"{rate / 1e9:.0f} GFLOP/s of matrices; the plans need {share:.0%} of the time they took"


def growth() -> list[str]:
    """Milliseconds per patch as one size grows, the others held."""
    lines = []
    held = {"layers": 2, "heads": 4, "positions": 16, "batch": 4}
    some = (2, 4, 8)
    grown = {"layers": some, "heads": some, "positions": (16, 32, 64), "batch": (4, 16, 64)}
    for name, values in grown.items():
        times = []
        for value in values:
            size = held | {name: value}
            shape = Shape(size["layers"], size["heads"], 64, 16, 256, size["positions"], VOCAB)
            adapter, base = model(shape), words(size["batch"], 1, size["positions"])
            plans = [
                [Ablate(head(layer, h))]
                for layer in range(size["layers"])
                for h in range(size["heads"])
            ]
            run = functools.partial(sweep, adapter, TASK, base, plans)
            times.append(1e3 * turns([run], seconds=1.0)[0] / len(plans))
        shown = ", ".join(f"{v}: {t:.2f} ms" for v, t in zip(values, times, strict=True))
        lines.append(f"{name:10} {shown} a patch")
    return lines


def peers(batches: Sequence[int], threads: int) -> list[str]:
    """Zero ablation through other libraries, each in its own environment, on the same weights."""
    lines, adapter = [], model()
    base = {batch: words(batch, 1) for batch in batches}
    ids = {batch: build_batch(TASK, base[batch]).ids for batch in batches}
    for name in ("nnsight", "pyvene"):
        found = sides.peer(name, adapter, base, ids, threads)
        if isinstance(found, str):
            lines.append(f"{name:14} {found}")
            continue
        for batch, got in found.items():
            apart = _apart(
                {"theirs": torch.tensor(got["metrics"]), "ours": torch.tensor(got["our metrics"])}
            )
            lines.append(line(name, batch, Result(got["seconds"], got["ours"], apart)))
    return lines


def line(name: str, batch: int | str, got: Result, wanted: float | None = None) -> str:
    """One row of the table."""
    goal = "" if wanted is None else f" (wanted {wanted})"
    times = f"{1e3 * got.theirs:9.2f} ms  ours {1e3 * got.ours:8.3f} ms"
    return f"{name:14} {batch!s:<7} {times}  {got.ratio:6.1f}x{goal}  apart {got.apart:.0e}"


def main() -> None:
    """Run what is asked for, print the table or the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="ratios only, as JSON")
    parser.add_argument("--only", help="rows, by comma")
    parser.add_argument("--batches", default="1,8,64")
    parser.add_argument("--rows", type=int, default=1000, help="of generation")
    parser.add_argument("--threads", type=int, default=2, help="of every side")
    asked = parser.parse_args()
    rows = [*PATCHES, "generate", *([] if asked.json else ["pair", "peers", "limit", "growth"])]
    rows = asked.only.split(",") if asked.only else rows
    batches = [int(batch) for batch in asked.batches.split(",")]
    torch.set_num_threads(asked.threads)
    say = (lambda *_: None) if asked.json else (lambda *text: print(*text, sep="\n", flush=True))
    threads = torch.get_num_threads()
    say(f"{backend.describe_version()}, torch {torch.__version__}, {threads} threads")
    ratios: dict[str, dict[str, float]] = {}
    for name in rows:
        if name in PATCHES or name == "generate":
            ratios[name] = {}
        for key in batches if name in PATCHES else GOAL[name] if name == "generate" else ():
            got = PATCHES[name](key) if name in PATCHES else generated(key, asked.rows)
            ratios[name][str(key)] = round(got.ratio, 2)
            say(line(name, key, got, GOAL[name][key]))
        if name == "pair":
            say(*(line(name, batch, pair(batch)) for batch in batches))
        if name == "peers":
            say(*peers(batches, asked.threads))
        if name == "limit":
            say(*(f"limit, batch {batch:<3} {limit(batch)}" for batch in batches))
        if name == "growth":
            say(*growth())
    if asked.json:
        print(json.dumps(ratios))


if __name__ == "__main__":
    main()
