"""`explain(model, task)`: which algorithm a trained model runs, and how far to trust the answer.

Search, freeze, judge, then enumerate: the machine is made from queries that are not held out; only
then is it judged on held-out inputs, and compared with the model and the ground truth on the whole
domain. What enumeration finds goes into `diff.unexplained`, never into the machine.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, wraps
from itertools import islice
from typing import TYPE_CHECKING, ParamSpec, TypeAlias

from recinterp.config import DEFAULTS, ExplainConfig
from recinterp.divergence.verdict import ComparedOutputs, judge_divergence
from recinterp.errors import DomainError, NotDerivableError
from recinterp.explanation import Explanation
from recinterp.judge.cached_model import CachedModel
from recinterp.judge.cut_outputs import predict_outputs
from recinterp.judge.measurement import Fidelity, resolve_domain, training_domain
from recinterp.judge.measurement import fidelity as measure_fidelity
from recinterp.synthesis.oracle import Oracle
from recinterp.synthesis.search import queries_and_answers, synthesize
from recinterp.tasks import Domain, Task
from recinterp.tasks.arguments import (
    check_domain_argument,
    check_kind,
    check_model,
    check_seed,
    check_task,
)
from recinterp.tokens import Tokens

if TYPE_CHECKING:
    from recinterp.causal.pipeline import NetworkFindings
    from recinterp.machine import Machine

Progress: TypeAlias = Callable[[str], None]
P = ParamSpec("P")


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Switch Python's cyclic garbage collector off, and on again at the end.

    The search allocates millions of objects, none of them in a cycle. The collector would look
    through all of them again and again, and would free nothing.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def hold_first_argument(function: Callable[P, Explanation]) -> Callable[P, Explanation]:
    """The function, for which a second thread with the same model waits until the first is done."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Explanation:
        model = args[0] if args else kwargs.get("model")
        if callable(model) and not hasattr(model, "parameters"):
            return function(*args, **kwargs)  # a plain function, which needs no torch
        from recinterp.models.model_lock import hold_model

        with hold_model(model):
            return function(*args, **kwargs)

    return run


@hold_first_argument
@without_garbage_collection()
def explain(
    model: object,
    task: Task,
    *,
    domain: Domain | None = None,
    seed: int = 0,
    config: ExplainConfig = DEFAULTS,
    progress: Progress | None = None,
) -> Explanation:
    """Find the machine that a trained model runs, and where it differs from the ground truth.

    Args:
        model: A hooked TransformerLens model, or any function from a list of inputs to the list of
            their outputs, both in tokens. A function is explained by its behaviour only: heads,
            sites and mechanism stay empty.
        task: The function that the model was meant to learn.
        domain: The inputs in question. By default, those of the lengths that the checkpoint
            records; required for a model without a checkpoint of this library.
        seed: Seeds everything that is drawn: the same seed gives the same explanation.
        config: Every threshold; it is recorded with the explanation.
        progress: Called with the name of each stage as it begins.

    Returns:
        The machine, its evidence, and what was found inside the network.

    Raises:
        DomainError: If there is no domain, or it holds no input or has no `max_length`.
        IncompatibleModelError: If the model does not fit the task, or is no model.
        MalformedArgumentError: If seed or config is of another kind.
        TaskError: If the task is none.
    """
    from recinterp.causal.continuations.alternatives import continuation_alternatives
    from recinterp.causal.pipeline import analyse_network
    from recinterp.models.checkpoint import check_recorded_order, find_contradiction
    from recinterp.models.fingerprint import fingerprint_weights

    check_explain_arguments(model, task, domain, seed, config)
    check_recorded_order(model, task, operation="explain a model")
    began = time.perf_counter()
    begin_stage = progress or (lambda stage: None)
    domain = check_domain(resolve_domain(model, domain), task)
    longest = domain.max_length or 0
    cached_model = CachedModel.of(model, task)
    task = with_ground_truth_machine(task, domain)

    begin_stage("querying the model and searching for its machine")
    search = synthesize(Oracle(cached_model), task, domain, seed=seed, config=config.search)

    begin_stage("analysing the network: heads, sites, mechanism")
    network = analyse_network(model, task, search, seed, config.causal, config.heads)
    machine = search.chosen.machine.with_continuation(*network.continuation.chosen)

    begin_stage("judging the frozen machine on held-out inputs")
    judge = partial(
        measure_fidelity,
        cached_model,
        task,
        domain=domain,
        seed=seed,
        queries=queries_and_answers(search.dataset),
        config=config.fidelity,
    )
    fidelity = judge(machine)

    begin_stage("comparing model, machine and ground truth on the domain")
    compared = compare_outputs(cached_model, task, machine, domain, seed, config)
    diff = judge_divergence(
        compared,
        search.truth,
        network.mechanism.kind,
        queried=search.dataset,
        training=training_domain(model)[0],
        config=config.divergence,
    )
    return Explanation(
        model_name=name_model(model),
        task=task,
        domain=domain,
        machine=machine,
        truth=search.truth,
        diff=diff,
        fidelity=add_interventional_rates(fidelity, network),
        heads=network.heads,
        layers=network.layers,
        sites=network.sites,
        mechanism=network.mechanism,
        continuation=network.continuation,
        forced_prefix_rules=network.forced_prefix_rules,
        predictor=search.predictor,
        predictor_fidelity=judge(search.predictor) if search.predictor else None,
        rejected_hypotheses=search.rejected_hypotheses,
        equivalent_machines=(
            *continuation_alternatives(task, machine, network.continuation, longest),
            *search.equivalent_machines,
        ),
        contradiction=find_contradiction(model, task),
        query_count=len(search.dataset.inputs),
        seconds=time.perf_counter() - began,
        config=config,
        fingerprint=fingerprint_weights(model),
        model=model,
    )


def check_explain_arguments(
    model: object, task: object, domain: object, seed: object, config: object
) -> None:
    """Raise the error that names an argument of another kind than `explain` takes."""
    operation = "explain a model"
    if isinstance(model, Task):
        check_model(model, operation)  # swapped: the first fault to name
    check_task(task, operation)
    check_model(model, operation)
    check_domain_argument(domain, operation)
    check_seed(seed, operation)
    hint = "pass config=ri.ExplainConfig(…)"
    check_kind(config, ExplainConfig, operation, "the config", hint)


def check_domain(domain: Domain, task: Task) -> Domain:
    """The domain itself. Raises DomainError if it cannot be enumerated or holds no input."""
    if domain.max_length is None and domain.is_sampled:
        lengths = [task.length(x) for x in domain.inputs(task)]
        domain = replace(domain, max_length=max(lengths, default=0))
    if domain.max_length is None:
        raise DomainError(
            "explain a model", "the domain has no max_length", "pass Domain(max_length=…)"
        )
    if next(domain.inputs(task), None) is None:
        raise DomainError("explain a model", f"{domain} holds no input", "pass a larger domain")
    return domain


def with_ground_truth_machine(task: Task, domain: Domain) -> Task:
    """The task; restricted to the domain's lengths where no machine is right on every input."""
    try:
        task.machine  # noqa: B018  (derived here, and cached)
    except NotDerivableError:
        return task.within(domain.max_length)
    return task


def compare_outputs(
    cached_model: CachedModel,
    task: Task,
    machine: Machine,
    domain: Domain,
    seed: int,
    config: ExplainConfig,
) -> ComparedOutputs:
    """What model, machine and ground truth write on the domain: on all of it, or on a sample."""
    inputs, exhaustive = enumerate_or_sample(task, domain, seed, config)
    outputs = cached_model(inputs)
    return ComparedOutputs(
        task=task,
        machine=machine,
        inputs=inputs,
        outputs=outputs,
        expected=task.apply_many(inputs),
        claimed=predict_outputs(machine, inputs, outputs),
        exhaustive=exhaustive,
    )


def enumerate_or_sample(
    task: Task, domain: Domain, seed: int, config: ExplainConfig
) -> tuple[list[Tokens], bool]:
    """The inputs that are compared, and whether they are all of the domain."""
    inputs = list(islice(domain.inputs(task), config.max_enumerated + 1))
    if len(inputs) <= config.max_enumerated and not domain.is_sampled:
        return inputs, True
    shortest = inputs[: config.sample_size // 4]
    drawn = domain.sample(task, config.sample_size, seed=seed)
    return [list(x) for x in dict.fromkeys(tuple(x) for x in [*shortest, *drawn])], False


def name_model(model: object) -> str:
    """The checkpoint's name; the type's name where there is no checkpoint."""
    checkpoint = getattr(model, "checkpoint", None)
    if checkpoint is not None:
        return str(checkpoint.name)
    module = getattr(model, "wrapped_module", model)
    return type(module).__name__


def add_interventional_rates(fidelity: Fidelity, network: NetworkFindings) -> Fidelity:
    """The fidelity with the rates that were measured by interventions on the network."""
    return replace(
        fidelity,
        interventional=network.interventional,
        unpredicted_changes=network.unpredicted_changes,
        carried_state_contrast=network.carried_state_contrast,
    )
