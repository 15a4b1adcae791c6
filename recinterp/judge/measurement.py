"""How well a machine predicts what a model does, on inputs its builder never saw.

    match               the machine's output is exactly the model's
    failure recall      of the inputs the model gets wrong: the machine gives that wrong output
    failure precision   of the inputs where the machine's output is not the true one: the model
                        gives that output
    flag recall         of the inputs the model gets wrong: the machine flags a failure
    flag precision      of the inputs that the machine flags: the model gets them wrong
    coverage            the machine does not abstain (an abstention counts as a miss above)

Beside them stand baselines that need no machine: the model is right; it is wrong beyond the deepest
trained depth; it does what it did on the nearest of the builder's own queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from recinterp.errors import DomainError, MachineError
from recinterp.judge.cached_model import CachedModel
from recinterp.judge.config import DEFAULTS, FidelityConfig
from recinterp.judge.cut_outputs import predict_outputs
from recinterp.judge.nearest import NearestQuery
from recinterp.judge.strata import build_strata
from recinterp.machine import Machine
from recinterp.machine.execution.batch import RunStatus, run_batch
from recinterp.stats import Rate
from recinterp.tasks import Domain, Task
from recinterp.tasks.arguments import (
    check_domain_argument,
    check_kind,
    check_model,
    check_seed,
    check_task,
)
from recinterp.tokens import Tokens

Pairs = Sequence[tuple[Tokens, Tokens]]


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """How well a machine predicts the model on one stratum of held-out inputs.

    Attributes:
        name: Name of the stratum: "in distribution", "depth 3", "full depth", "longer than
            training", or "all held out".
        n: Number of inputs.
        match: The machine's output is exactly the model's, over all inputs.
        failure_recall: The machine gives exactly the model's wrong output, over the inputs that the
            model gets wrong.
        failure_precision: The model gives the machine's output, over the inputs where that is not
            the true output; 0 of 1 where the machine predicts no failure and the model has some.
        flagged_recall: The machine flags a failure, whatever the output, over the inputs that the
            model gets wrong.
        flagged_precision: The model gets the input wrong, over the inputs that the machine flags;
            0 of 1 where it flags none and the model has failures.
        coverage: The machine does not abstain, over all inputs.
        baselines: Matches of what needs no machine, over all inputs: "model is right", "wrong
            beyond trained depth" and "nearest neighbour".
    """

    name: str
    n: int
    match: Rate
    failure_recall: Rate
    failure_precision: Rate
    flagged_recall: Rate
    flagged_precision: Rate
    coverage: Rate
    baselines: Mapping[str, Rate]


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How well a machine predicts the model, on held-out inputs and under interventions.

    Attributes:
        strata: One entry for each stratum of held-out inputs.
        overall: All strata together, each input counted once.
        interventional: The model's token is the one the machine predicts, over the interventions
            for which the machine predicts a changed token. Interventions of all kinds are pooled:
            tokens forced into the output, swapped input tokens, transplants of all heads at the
            prediction position, and interchanges at accepted sites. None where none was made.
        unpredicted_changes: The model's token changes, over the interventions of all those kinds
            for which the machine predicts no change. None where none was made.
        carried_state_contrast: The part of `interventional` in which an equivalent machine that
            carries its state in the output predicts another token. None where none was made.
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


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """Model, truth and machine on one input."""

    model: Tokens
    true: Tokens
    machine: Tokens | None  # None where it abstains
    flags: bool
    beyond_trained_depth: bool
    nearest: Tokens

    @property
    def fails(self) -> bool:
        """Whether the model's output is wrong."""
        return self.model != self.true

    @property
    def predicts_failure(self) -> bool:
        """Whether the machine gives an output that is not the true one."""
        return self.machine is not None and self.machine != self.true


_Predicate = Callable[[_Comparison], bool]


def _matches(row: _Comparison) -> bool:
    return row.machine == row.model


def _fails(row: _Comparison) -> bool:
    return row.fails


# Rate -> (what is counted, among which inputs; None: all).
_RATES: dict[str, tuple[_Predicate, _Predicate | None]] = {
    "match": (_matches, None),
    "failure_recall": (_matches, _fails),
    "failure_precision": (_matches, lambda row: row.predicts_failure),
    "flagged_recall": (lambda row: row.flags, _fails),
    "flagged_precision": (_fails, lambda row: row.flags),
    "coverage": (lambda row: row.machine is not None, None),
}
_BASELINES: dict[str, _Predicate] = {
    "model is right": lambda row: not row.fails,
    "wrong beyond trained depth": lambda row: row.fails == row.beyond_trained_depth,
    "nearest neighbour": lambda row: row.nearest == row.model,
}


def fidelity(
    model: object,
    task: Task,
    machine: Machine,
    domain: Domain | None = None,
    *,
    seed: int = 0,
    queries: Pairs = (),
    config: FidelityConfig = DEFAULTS,
) -> Fidelity:
    """Judge how well a machine predicts a model: a learned machine, the truth's, a user's own.

    Args:
        model: A hooked model, or a function from a list of inputs to their outputs.
        task: The ground truth.
        machine: The machine to judge.
        domain: The inputs to judge on; None: the lengths that the model's checkpoint records.
        seed: Seed of the held-out draws.
        queries: Input and output of each query the builder made, for the nearest-neighbour
            baseline.
        config: Sizes of the held-out sets.

    Returns:
        Rates for each stratum and for all of them together.

    Raises:
        DomainError: No domain is given and the model records none.
        IncompatibleModelError: Model and task do not fit, or the model is none.
        MachineError: The machine is none.
        MalformedArgumentError: The seed is no whole number.
        TaskError: The task is none.
    """
    check_task(task, "judge a machine")
    if not isinstance(model, CachedModel):
        check_model(model, "judge a machine")
    check_domain_argument(domain, "judge a machine")
    check_seed(seed, "judge a machine")
    hint = "pass task.machine, ex.machine or ri.Machine.parse(text)"
    check_kind(machine, Machine, "judge a machine", "the machine", hint, MachineError)
    trained, distribution = training_domain(model)
    queried = resolve_domain(model, domain)
    answers = CachedModel.of(model, task)
    sets = build_strata(
        task, queried, trained=trained, distribution=distribution, seed=seed, config=config
    )
    max_depth = trained.max_depth if trained else None
    nearest = NearestQuery(queries, task)

    def judge(name: str, inputs: list[Tokens]) -> Stratum:
        rows = _compare(inputs, answers(inputs), task, machine, max_depth, nearest)
        return _summarise(name, rows)

    every = [list(x) for x in dict.fromkeys(tuple(x) for xs in sets.values() for x in xs)]
    return Fidelity(
        strata=tuple(judge(name, inputs) for name, inputs in sets.items()),
        overall=judge("all held out", every),
    )


def resolve_domain(model: object, domain: Domain | None) -> Domain:
    """Return the domain given, or the lengths that a checkpoint records.

    Raises:
        DomainError: There is neither.
    """
    if domain is not None:
        return domain
    trained, _ = training_domain(model)
    if trained is None:
        raise DomainError(
            "choose inputs to query",
            "no domain was given and the model records none",
            "pass domain=ri.Domain(max_length=…)",
        )
    return Domain(
        max_length=trained.max_length, min_length=trained.min_length, sampler=trained.sampler
    )


def training_domain(model: object) -> tuple[Domain | None, str]:
    """The domain and the distribution that a checkpoint records."""
    checkpoint = getattr(model, "checkpoint", None)
    if checkpoint is None:
        return None, "balanced"
    return checkpoint.domain, str(checkpoint.recipe.get("distribution", "balanced"))


def _compare(
    inputs: list[Tokens],
    outputs: list[Tokens],
    task: Task,
    machine: Machine,
    max_depth: int | None,
    nearest: NearestQuery,
) -> list[_Comparison]:
    truth = task.apply_many(inputs)
    batch = run_batch(machine, inputs)
    near = nearest(inputs, truth)
    predicted = predict_outputs(machine, inputs, outputs)
    runs = zip(predicted, batch.prefixes(), batch.status.tolist(), strict=True)
    return [
        _Comparison(
            model=output,
            true=true,
            machine=halted_output,
            flags=predict_failure(written, status, true) is True,
            beyond_trained_depth=max_depth is not None and task.depth(tokens) > max_depth,
            nearest=neighbour,
        )
        for tokens, output, true, (halted_output, written, status), neighbour in zip(
            inputs, outputs, truth, runs, near, strict=True
        )
    ]


def _summarise(name: str, rows: Sequence[_Comparison]) -> Stratum:
    rates = {key: _count(counted, among, rows) for key, (counted, among) in _RATES.items()}
    if any(row.fails for row in rows):  # a machine that predicts no failure has no precision
        for key in ("failure_precision", "flagged_precision"):
            rates[key] = rates[key] if rates[key].total else Rate(0, 1)
    baselines = {key: Rate.of(map(counted, rows)) for key, counted in _BASELINES.items()}
    return Stratum(name=name, n=len(rows), baselines=baselines, **rates)


def _count(counted: _Predicate, among: _Predicate | None, rows: Iterable[_Comparison]) -> Rate:
    return Rate.of(counted(row) for row in rows if among is None or among(row))


def predict_failure(written: Sequence[str], status: int, true: Sequence[str]) -> bool | None:
    """Whether a machine's run predicts that the model is wrong; None where it makes no prediction.

    Args:
        written: What the run wrote.
        status: How the run ended, a status of `machine.execution.batch`.
        true: The true output.
    """
    if status == RunStatus.HALTED:
        return list(written) != list(true)
    differs = list(written) != list(true[: len(written)])
    wrong = status in (RunStatus.LOST_WRONG, RunStatus.ENDLESS)
    return True if wrong or differs else None
