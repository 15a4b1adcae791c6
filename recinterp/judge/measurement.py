"""How well a machine tells what a model does, on inputs its builder never saw.

    match               its output is exactly the model's
    failure recall      of the inputs the model gets wrong: it gives exactly that wrong output
    failure precision   of the inputs where it departs from the truth: the model gives that output
    failure flagged     the same for "will it fail?" alone, whatever the output
    coverage            it does not abstain (abstentions are misses above)

Each beside what costs nothing to say: that the model is right; that it is wrong beyond the deepest
trained depth; what the nearest of the builder's own queries gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recinterp.errors import DomainError
from recinterp.judge.cached_model import CachedModel
from recinterp.judge.nearest import NearestQuery
from recinterp.judge.strata import build_strata
from recinterp.machine import Machine
from recinterp.machine.execution.batch import RunStatus, run_batch
from recinterp.stats import Rate
from recinterp.tasks import Domain, Task
from recinterp.tokens import Tokens

Pairs = Sequence[tuple[Tokens, Tokens]]


@dataclass(frozen=True)
class Stratum:
    """One stratum of held-out inputs."""

    name: str
    n: int
    match: Rate
    failure_recall: Rate
    failure_precision: Rate
    flagged_recall: Rate
    flagged_precision: Rate
    coverage: Rate
    baselines: Mapping[str, Rate]


@dataclass(frozen=True)
class Fidelity:
    """Every stratum, all of them together, and how well interventions are foretold.

    interventional: of those that should change a token; rivals_apart: of those at which the same
    machine, carrying its state in the output, foretells another; false_effects: changes where
    none was foretold.
    """

    strata: tuple[Stratum, ...]
    overall: Stratum
    interventional: Rate | None = None
    unpredicted_changes: Rate | None = None
    carried_state_contrast: Rate | None = None

    def __str__(self) -> str:
        rows = [*self.strata, self.overall]
        return "\n".join(
            f"{s.name:24} n={s.n:<6} match {s.match}  failures {s.failure_recall}" for s in rows
        )


def fidelity(
    model: object,
    task: Task,
    machine: Machine,
    domain: Domain | None = None,
    *,
    seed: int = 0,
    queries: Pairs = (),
) -> Fidelity:
    """Judge any machine: a learned one, the truth's, a user's own.

    model: a hooked model or a function from inputs to outputs; domain: read from a checkpoint of
    ours, else required; queries: what the builder asked, for the nearest-neighbour baseline.
    Errors: DomainError where there is no domain; IncompatibleModelError where the model does not
    fit.
    """
    trained, distribution = training_domain(model)
    asked = resolve_domain(model, domain)
    answers = CachedModel.of(model, task)
    sets = build_strata(task, asked, trained=trained, distribution=distribution, seed=seed)
    cap = trained.max_depth if trained else None
    near = NearestQuery(queries, task)
    judged = tuple(
        _stratum(name, x, answers(x), task, machine, cap, near) for name, x in sets.items()
    )
    every = [list(x) for x in dict.fromkeys(tuple(x) for xs in sets.values() for x in xs)]
    overall = _stratum("all held out", every, answers(every), task, machine, cap, near)
    return Fidelity(judged, overall)


def resolve_domain(model: object, domain: Domain | None) -> Domain:
    """The domain given, or the one a checkpoint records. Errors: DomainError if neither."""
    if domain is not None:
        return domain
    trained, _ = training_domain(model)
    if trained is None:
        raise DomainError(
            "which inputs to ask about", "no domain was given and the model records none",
            "domain=ri.Domain(max_length=…)",
        )  # fmt: skip
    return Domain(max_length=trained.max_length)


def training_domain(model: object) -> tuple[Domain | None, str]:
    """The domain and the distribution that a checkpoint records."""
    checkpoint = getattr(model, "checkpoint", None)
    if checkpoint is None:
        return None, "balanced"
    return checkpoint.domain, str(checkpoint.recipe.get("distribution", "balanced"))


def _stratum(
    name: str,
    inputs: list[Tokens],
    outputs: list[Tokens],
    task: Task,
    machine: Machine,
    cap: int | None,
    nearest: NearestQuery,
) -> Stratum:
    truth = task.apply_many(inputs)
    batch = run_batch(machine, inputs)
    said = batch.outputs()
    rows = list(zip(outputs, truth, said, strict=True))
    wrong = [y != z for y, z, _ in rows]
    told = zip(batch.prefixes(), batch.status.tolist(), truth, strict=True)
    flags = [will_fail(out, status, z) is True for out, status, z in told]
    near = nearest(inputs, truth)
    return Stratum(
        name,
        len(inputs),
        Rate.of(m == y for y, _, m in rows),
        Rate.of(m == y for y, z, m in rows if y != z),
        _precision([m == y for y, z, m in rows if m is not None and m != z], any(wrong)),
        Rate.of(flag for flag, fails in zip(flags, wrong, strict=True) if fails),
        _precision([fails for flag, fails in zip(flags, wrong, strict=True) if flag], any(wrong)),
        Rate.of(m is not None for _, _, m in rows),
        {
            "model is right": Rate.of(not fails for fails in wrong),
            "wrong beyond trained depth": Rate.of(
                fails == (cap is not None and task.depth(x) > cap)
                for x, fails in zip(inputs, wrong, strict=True)
            ),
            "nearest neighbour": Rate.of(a == y for a, y in zip(near, outputs, strict=True)),
        },
    )


def will_fail(said: Sequence[str], status: int, true: Sequence[str]) -> bool | None:
    """Whether a run of a machine says that the model is wrong; None where it does not say.

    said: what the run wrote; status: how it ended; true: the true output.
    """
    if status == RunStatus.HALTED:
        return list(said) != list(true)
    return True if status == RunStatus.LOST_WRONG or list(said) != list(true[: len(said)]) else None


def _precision(hits: list[bool], model_fails: bool) -> Rate:
    """0 of 1 where a machine foretells no failure although the model has some."""
    return Rate(0, 1) if model_fails and not hits else Rate.of(hits)
