"""How many failures could any machine predict that reads contents only to copy them?

    python benchmarks/suite/shapes.py [NAMES]      # the undetermined rows of results.json

A table, not an explanation: for each shape of input (its labels left out) and each place of the
output, the place of the input that is copied there most often, or the token that is. Made of some
90,000 inputs that are not held out, counted on held-out failures. What it misses depends on the
labels themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from random import Random

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TQDM_DISABLE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from cases import Case, cases
from score import held_out_inputs, load_case

import recinterp as ri
from recinterp.splits import held_out

RESULTS = Path(__file__).with_name("results.json")
EVEN, LEVEL = 60_000, 30_000  # inputs drawn from the natural distribution, and balanced over depths
COUNTED = 4_000

Tokens = Sequence[str]
Shape = tuple[str, ...]


def label_tokens(task: ri.Task) -> frozenset[str]:
    """Tokens that stand for contents: of types whose constructors take no arguments, and many."""
    bare = [c.name for t in task.program.types if len(t.constructors) > 2
            and not any(c.args for c in t.constructors) for c in t.constructors]  # fmt: skip
    shown = dict(task.shown)
    return frozenset(shown.get(name, name) for name in bare) & frozenset(task.constructors)


def copy_table(rows: Sequence[tuple[Tokens, Tokens]]) -> Iterator[int | str | None]:
    """For each place of the output: the place copied, or the token, that is right most often."""
    for written in zip_longest(*(y for _, y in rows)):
        right: Counter[int | str | None] = Counter()  # of equals the place, not the token
        for (x, _), token in zip(rows, written, strict=True):
            right.update(p for p, read in enumerate(x) if read == token)
        right.update(written)
        yield right.most_common(1)[0][0]


def count_hits(case: Case) -> tuple[int, int]:
    """Held-out failures that the table gives exactly, of how many."""
    model, task = load_case(case)
    domain, contents = ri.Domain(max_length=case.max_length), label_tokens(task)

    def shape(x: Tokens) -> Shape:
        return tuple("" if token in contents else token for token in x)

    drawn = domain.sample(task, EVEN, seed=1, distribution="uniform")
    drawn += domain.sample(task, LEVEL, seed=2)
    queried = [list(x) for x in dict.fromkeys(map(tuple, drawn)) if not held_out(x)]
    groups: dict[Shape, list[tuple[Tokens, Tokens]]] = defaultdict(list)
    for x, y in zip(queried, ri.predict(model, task, queried), strict=True):
        groups[shape(x)].append((x, y))
    tables = {s: list(copy_table(rows)) for s, rows in groups.items()}
    test = held_out_inputs(task, domain)
    test = Random(0).sample(test, min(COUNTED, len(test)))
    rows = zip(test, ri.predict(model, task, test), task.apply_many(test), strict=True)
    failing = [(x, y) for x, y, z in rows if y != z]
    hits = 0
    for x, y in failing:
        places = tables.get(shape(x), [])
        written = [x[p] if isinstance(p, int) else p for p in places]
        hits += [token for token in written if token is not None] == y
    return hits, len(failing)


def main() -> None:
    """Count, model by model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    rows = json.loads(RESULTS.read_text())
    zoo = [r["name"] for r in rows if r["group"] == "zoo" and r["verdict"] == "undetermined"]
    table = cases()
    for name in parser.parse_args().names or zoo:
        if not label_tokens(table[name].task):  # contents decide how it goes on
            continue
        hits, failures = count_hits(table[name])
        if failures:
            print(f"{name:24} {hits} of {failures} ({hits / failures:.0%})", flush=True)


if __name__ == "__main__":
    main()
