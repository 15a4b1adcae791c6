"""The held-out inputs a machine is judged on, stratum by stratum."""

from __future__ import annotations

from collections.abc import Iterator

from recinterp.errors import DomainError
from recinterp.splits import held_out
from recinterp.tasks import Domain, Task

MOST = 500  # held-out inputs in a stratum
DRAWN = 160  # inputs drawn of each length and depth, of which 1 in 5 is held out
IN_DISTRIBUTION = 4_000


def build_strata(
    task: Task, domain: Domain, *, trained: Domain | None, distribution: str, seed: int
) -> dict[str, list[list[str]]]:
    """Name -> held-out inputs: in distribution, each depth, the deepest of each length, longer."""
    if domain.max_length is None:
        raise DomainError("judge a machine", "the domain has no max_length", "Domain(max_length=…)")
    within = trained or domain
    longest = within.max_length or domain.max_length
    found = {"in distribution": _drawn(task, within, distribution, seed)}
    by_depth: dict[int, list[list[str]]] = {}
    longer: list[list[str]] = []
    full: list[list[str]] = []
    for length in range(1, domain.max_length + 1):
        depths = sorted(task.depths(length))
        for depth in depths:
            cell = [x for x in _cell(task, length, depth, seed) if domain.contains(task, x)]
            if length > longest:
                longer += cell
            else:
                by_depth.setdefault(depth, []).extend(cell)
            if depth == depths[-1]:
                full += cell
    found |= {f"depth {d}": _thin(cells) for d, cells in sorted(by_depth.items())}
    found["full depth"] = _thin(full)
    found["longer than training"] = _thin(longer)
    return {name: inputs for name, inputs in found.items() if inputs}


def _drawn(task: Task, domain: Domain, distribution: str, seed: int) -> list[list[str]]:
    drawn = domain.sample(task, IN_DISTRIBUTION, seed=seed, distribution=distribution)
    return _thin([x for x in _distinct(drawn) if held_out(x)])


def _cell(task: Task, length: int, depth: int, seed: int) -> Iterator[list[str]]:
    """Held-out inputs of one length and depth."""
    size = task.depths(length)[depth]
    drawn = task.sample(min(DRAWN, 4 * size + 16), seed=seed, length=length, depth=depth)
    yield from (x for x in _distinct(drawn) if held_out(x))


def _distinct(inputs: list[list[str]]) -> list[list[str]]:
    return [list(x) for x in dict.fromkeys(tuple(x) for x in inputs)]


def _thin(inputs: list[list[str]]) -> list[list[str]]:
    """At most MOST of them, evenly spread over the order (which is by length)."""
    distinct = _distinct(inputs)
    step = max(1, -(-len(distinct) // MOST))
    return distinct[::step]
