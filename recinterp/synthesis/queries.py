"""Which inputs the oracle is queried with: every stratum, none of them held out.

Outputs on the training distribution cannot separate a shortcut from the truth, and coverage of
strata matters more than volume. So: every short input, then so many of each length and depth, and
more of the greatest depths, where base cases meet full recursion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from recinterp.splits import held_out

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.synthesis.config import QueryConfig
    from recinterp.tasks import Domain, Task


def stratified_queries(
    task: Task, domain: Domain, config: QueryConfig, *, seed: int = 0
) -> list[list[str]]:
    """Inputs of a domain, stratified by length and depth, none of them held out."""
    drawn = dict.fromkeys(tuple(x) for x in _draw(task, domain, seed, config))
    return [list(x) for x in drawn if domain.contains(task, list(x)) and not held_out(x)]


def natural_and_disagreeing_inputs(
    task: Task,
    domain: Domain,
    machine: Machine,
    known: Sequence[Sequence[str]],
    config: QueryConfig,
    *,
    seed: int = 0,
) -> tuple[list[list[str]], list[list[str]]]:
    """Inputs drawn uniformly, and those of them on which a machine predicts a failure.

    The strata weigh each depth alike; most inputs that fail may lie in a few of them, and a claim
    has to hold there too. None is held out, none is among the known.
    """
    seen = {tuple(x) for x in known}
    drawn = domain.sample(task, config.screened, seed=seed + 1, distribution="uniform")
    new = [list(x) for x in dict.fromkeys(map(tuple, drawn)) if x not in seen and not held_out(x)]
    rows = zip(new, task.apply_many(new), machine.run_many(new), strict=True)
    disagreeing = [x for x, true, claim in rows if claim is not None and claim != true]
    return new[: config.max_natural], disagreeing[: config.max_predicted_failures]


def full_sample(
    task: Task,
    domain: Domain,
    known: Sequence[Sequence[str]],
    config: QueryConfig,
    *,
    seed: int = 0,
) -> list[list[str]]:
    """The known inputs and many more, none held out: all of a small domain, else a sample.

    Of the others one half is drawn uniformly, the other so that depths weigh alike.
    """
    size = config.full_sample_size
    listed = list(islice(domain.inputs(task), config.max_enumerated + 1))
    if len(listed) > config.max_enumerated:
        listed = domain.sample(task, size, seed=seed + 2, distribution="uniform")
    Random(seed).shuffle(listed)
    balanced = domain.sample(task, size, seed=seed + 3)
    by_depth = dict.fromkeys(tuple(x) for x in balanced if not held_out(x))
    uniform = (tuple(x) for x in listed if not held_out(x))
    new = dict.fromkeys([*islice(by_depth, size // 2), *uniform])
    return [list(x) for x in dict.fromkeys([*map(tuple, known), *islice(new, size)])]


def _draw(task: Task, domain: Domain, seed: int, config: QueryConfig) -> Iterator[list[str]]:
    longest = config.default_max_length if domain.max_length is None else domain.max_length
    for length in range(domain.min_length or 0, longest + 1):
        if not domain.is_sampled and task.count(length) <= config.max_listed_per_length:
            yield from task.inputs_of(length)
            continue
        depths = sorted(domain.depths(task, length))
        wanted = config.per_cell * config.min_cells
        each = max(config.per_cell, wanted // max(1, len(depths)))
        for depth in depths:
            more = 2 if depth in depths[-2:] else 1
            yield from domain.sample_cell(task, length, depth, more * each, seed)
