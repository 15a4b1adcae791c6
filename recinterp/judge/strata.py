"""The held-out inputs a machine is judged on, stratum by stratum."""

from __future__ import annotations

from recinterp.errors import DomainError
from recinterp.judge.config import DEFAULTS, FidelityConfig
from recinterp.splits import held_out
from recinterp.tasks import Domain, Task


def build_strata(
    task: Task,
    domain: Domain,
    *,
    trained: Domain | None,
    distribution: str,
    seed: int,
    config: FidelityConfig = DEFAULTS,
) -> dict[str, list[list[str]]]:
    """Held-out inputs by name: in distribution, each depth, the deepest of each length, longer.

    Args:
        task: The ground truth, whose encoding the inputs have.
        domain: The inputs to judge on; it needs a `max_length`.
        trained: The domain that the model was trained on, None if unknown.
        distribution: The training distribution: "balanced", "natural" or "uniform".
        seed: Seed of the draws.
        config: Sizes of the held-out sets.

    Raises:
        DomainError: The domain has no `max_length`.
    """
    if domain.max_length is None:
        raise DomainError("judge a machine", "the domain has no max_length", "Domain(max_length=…)")
    within = trained or domain
    longest = within.max_length or domain.max_length
    found = {"in distribution": _draw_in_distribution(task, within, distribution, seed, config)}
    by_depth: dict[int, list[list[str]]] = {}
    longer: list[list[str]] = []
    full: list[list[str]] = []
    for length in range(1, domain.max_length + 1):
        counts = domain.depths(task, length)
        depths = sorted(counts)
        deepest = max(task.depths(length), default=0)
        for depth in depths:
            size = min(config.draws_per_cell, 4 * counts[depth] + 16)
            drawn = domain.sample_cell(task, length, depth, size, seed)
            cell = [x for x in _drop_duplicates(drawn) if held_out(x)]
            if length > longest:
                longer += cell
            else:
                by_depth.setdefault(depth, []).extend(cell)
            if depth == deepest:
                full += cell
    size = config.max_inputs
    found |= {f"depth {d}": _thin_evenly(cells, size) for d, cells in sorted(by_depth.items())}
    found["full depth"] = _thin_evenly(full, size)
    found["longer than training"] = _thin_evenly(longer, size)
    return {name: inputs for name, inputs in found.items() if inputs}


def _draw_in_distribution(
    task: Task, domain: Domain, distribution: str, seed: int, config: FidelityConfig
) -> list[list[str]]:
    size = config.in_distribution_draws
    drawn = domain.sample(task, size, seed=seed, distribution=distribution)
    inputs = [x for x in _drop_duplicates(drawn) if held_out(x)]
    return _thin_evenly(inputs, config.max_inputs)


def _drop_duplicates(inputs: list[list[str]]) -> list[list[str]]:
    return [list(x) for x in dict.fromkeys(tuple(x) for x in inputs)]


def _thin_evenly(inputs: list[list[str]], max_inputs: int) -> list[list[str]]:
    """At most `max_inputs` of them, evenly spread over the order (which is by length)."""
    distinct = _drop_duplicates(inputs)
    step = max(1, -(-len(distinct) // max_inputs))
    return distinct[::step]
