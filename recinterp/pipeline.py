"""`explain(model, task)`: a trained model's machine, its departures, how far to trust them.

Build, freeze, judge, then enumerate: the machine is made from probes that are not held out; only
then is it judged on held-out inputs and compared with model and truth on the whole domain. What
enumeration finds goes into `diff.unexplained`, never into the machine.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from recinterp.config import DEFAULTS, ExplainConfig
from recinterp.divergence.results import Diff
from recinterp.divergence.verdict import ComparedOutputs, judge_divergence
from recinterp.errors import DomainError, NotDerivableError
from recinterp.explanation import Explanation
from recinterp.judge.cached_model import CachedModel
from recinterp.judge.fidelity import Fidelity, fidelity, resolve_domain, training_domain
from recinterp.synthesis.oracle import Oracle
from recinterp.synthesis.search import SynthesisResult, queries_and_answers, synthesize
from recinterp.tasks import Domain, Task

if TYPE_CHECKING:
    from recinterp.causal.pipeline import NetworkFindings

Progress: TypeAlias = Callable[[str], None]


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside, no search for cycles: millions of runs and atoms are kept, and none is in a cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@uncollected()
def explain(
    model: object,
    task: Task,
    *,
    domain: Domain | None = None,
    seed: int = 0,
    config: ExplainConfig = DEFAULTS,
    progress: Progress | None = None,
) -> Explanation:
    """Explain a trained model: its machine, where that leaves the recursion, and where it lives.

    model: a hooked TransformerLens model, or any function from inputs to outputs (then only the
    behavioural half); task: what it was meant to learn; domain: what is asked about, by default the
    lengths a checkpoint of ours was trained on; seed: same seed, same explanation; config: every
    threshold; progress: told each stage's name. Errors: DomainError without a domain,
    IncompatibleModelError for one that does not fit.
    """
    from recinterp.causal.pipeline import analyse_network

    began, told = time.perf_counter(), progress or (lambda _: None)
    asked = resolve_domain(model, domain)
    if asked.max_length is None:
        raise DomainError("explain a model", "the domain has no max_length", "Domain(max_length=…)")
    if next(asked.inputs(task), None) is None:
        raise DomainError("explain a model", f"{asked} holds no input", "a larger domain")
    seen = CachedModel.of(model, task)
    task = with_truth(task, asked)
    told("asking the model and searching for its machine")
    built = synthesize(Oracle(seen), task, asked, seed=seed)
    told("looking inside: heads, sites, mechanism")
    inside = analyse_network(model, task, built, seed, config.causal, config.heads)
    told("judging the frozen machine")
    found = _judged(model, seen, task, built, asked, seed, inside)
    told("comparing on the whole domain")
    diff = _compared(model, seen, task, built, asked, seed, inside, config)
    return Explanation(
        name_of(model), task, asked, built.chosen.machine, built.truth, diff, found,
        inside.heads, inside.layers, inside.sites, inside.mechanism, inside.forced_prefix_rules,
        tuple(map(str, built.rejected_hypotheses)), len(built.dataset.inputs),
        time.perf_counter() - began, built.equivalent_machines, config, model,
    )  # fmt: skip


def with_truth(task: Task, domain: Domain) -> Task:
    """The task, with a true machine for the domain where it has none for every input."""
    try:
        task.machine  # noqa: B018  (derived here, and kept)
    except NotDerivableError:
        return task.within(domain.max_length)
    return task


def name_of(model: object) -> str:
    """The checkpoint's name, or the type's."""
    checkpoint = getattr(model, "checkpoint", None)
    return str(checkpoint.name) if checkpoint is not None else type(model).__name__


def _judged(
    model: object,
    seen: CachedModel,
    task: Task,
    built: SynthesisResult,
    asked: Domain,
    seed: int,
    inside: NetworkFindings,
) -> Fidelity:
    judged = fidelity(
        seen,
        task, built.chosen.machine, asked, seed=seed, queries=queries_and_answers(built.dataset),
    )  # fmt: skip
    return replace(
        judged,
        interventional=inside.interventional,
        unpredicted_changes=inside.unpredicted_changes,
        carried_state_contrast=inside.carried_state_contrast,
    )


def _compared(
    model: object,
    seen: CachedModel,
    task: Task,
    built: SynthesisResult,
    asked: Domain,
    seed: int,
    inside: NetworkFindings,
    config: ExplainConfig,
) -> Diff:
    most, size = config.max_enumerated, config.sample_size
    inputs = list(islice(asked.inputs(task), most + 1))
    exhaustive = len(inputs) <= most
    if not exhaustive:
        drawn = asked.sample(task, size, seed=seed)
        inputs = [list(x) for x in dict.fromkeys(tuple(x) for x in [*inputs[: size // 4], *drawn])]
    machine = built.chosen.machine
    expected, claimed = task.apply_many(inputs), machine.run_many(inputs)
    compared = ComparedOutputs(
        task=task,
        machine=machine,
        inputs=inputs,
        outputs=seen(inputs),
        expected=expected,
        claimed=claimed,
        exhaustive=exhaustive,
    )
    trained, _ = training_domain(model)
    trained_length = None if trained is None else trained.max_length
    return judge_divergence(
        compared,
        built.truth,
        inside.mechanism.kind,
        trained_length=trained_length,
        config=config.divergence,
    )
