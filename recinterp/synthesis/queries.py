"""Which inputs a builder asks about: every stratum, off the training distribution, none held out.

In-distribution dataset cannot tell a shortcut from the truth, and coverage of strata matters more
than volume. So: every short input, then so many of each length and depth, and more of the
greatest depths, where base cases meet full recursion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from recinterp.splits import held_out

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.tasks import Domain, Task

SHORT = 40  # a length with no more inputs than this is asked whole
PER_CELL = 14
PER_LENGTH = 56  # where a length has few depths, each is asked about more
LONGEST = 16  # where a domain names no length
WIDE = 30_000  # inputs asked about where a few hundred leave too much unexplained
LISTED = 100_000  # a domain with no more inputs is listed, a larger one drawn from
DRAWN, DOUBTED = 20_000, 300  # inputs looked at, and asked about, where a machine departs
PLAIN = 3_000  # inputs asked about as they come, once there is a machine


def stratified_queries(
    task: Task, domain: Domain, *, seed: int = 0, per_cell: int = PER_CELL
) -> list[list[str]]:
    """Inputs of a domain, stratified by length and depth, none of them held out."""
    drawn = dict.fromkeys(tuple(x) for x in _draw(task, domain, seed, per_cell))
    return [list(x) for x in drawn if domain.contains(task, list(x)) and not held_out(x)]


def natural_and_disagreeing_inputs(
    task: Task, domain: Domain, machine: Machine, known: Sequence[Sequence[str]], *, seed: int = 0
) -> tuple[list[list[str]], list[list[str]]]:
    """Inputs as they come, any of a length alike; and more of those on which a machine departs.

    The strata weigh each depth alike; most inputs that fail may lie in a few of them, and a claim
    has to hold there too. None is held out, none is among the known.
    """
    seen = {tuple(x) for x in known}
    drawn = domain.sample(task, DRAWN, seed=seed + 1, distribution="uniform")
    new = [list(x) for x in dict.fromkeys(map(tuple, drawn)) if x not in seen and not held_out(x)]
    rows = zip(new, task.apply_many(new), machine.run_many(new), strict=True)
    departing = [x for x, true, claim in rows if claim is not None and claim != true]
    return new[:PLAIN], departing[:DOUBTED]


def full_sample(
    task: Task, domain: Domain, known: Sequence[Sequence[str]], *, seed: int = 0
) -> list[list[str]]:
    """The known inputs and many more, none held out: all of a small domain, else a draw.

    Of the others half are drawn as they come, half so that depths weigh alike.
    """
    listed = list(islice(domain.inputs(task), LISTED + 1))
    if len(listed) > LISTED:
        listed = domain.sample(task, WIDE, seed=seed + 2, distribution="uniform")
    Random(seed).shuffle(listed)
    even = domain.sample(task, WIDE, seed=seed + 3)
    level = dict.fromkeys(tuple(x) for x in even if not held_out(x))
    plain = (tuple(x) for x in listed if not held_out(x))
    new = dict.fromkeys([*islice(level, WIDE // 2), *plain])
    return [list(x) for x in dict.fromkeys([*map(tuple, known), *islice(new, WIDE)])]


def _draw(task: Task, domain: Domain, seed: int, per_cell: int) -> Iterator[list[str]]:
    for length in range((LONGEST if domain.max_length is None else domain.max_length) + 1):
        if task.count(length) <= SHORT:
            yield from task.inputs_of(length)
            continue
        depths = sorted(
            d for d in task.depths(length) if domain.max_depth is None or d <= domain.max_depth
        )
        each = max(per_cell, per_cell * PER_LENGTH // (PER_CELL * max(1, len(depths))))
        for depth in depths:
            more = 2 if depth in depths[-2:] else 1
            yield from task.sample(more * each, seed=seed, length=length, depth=depth)
