"""`explain(model, task)`: a trained model's machine, its departures, how far to trust them.

Build, freeze, judge, then enumerate: the machine is made from probes that are not held out; only
then is it judged on held-out inputs and compared with model and truth on the whole domain. What
enumeration finds goes into `diff.unexplained`, never into the machine.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from recinterp.derivation import NoMachine
from recinterp.divergence.results import Diff
from recinterp.divergence.verdict import Census, judge_departures
from recinterp.errors import CheckpointError, DomainError
from recinterp.judge.cached_model import Answers
from recinterp.judge.fidelity import Fidelity, domain_of, fidelity, trained_on, will_fail
from recinterp.machine import Machine
from recinterp.machine.execution.batch import run_batch
from recinterp.synthesis.alternatives import Rival
from recinterp.synthesis.oracle import Oracle
from recinterp.synthesis.search import Reconstruction, answers, reconstruct
from recinterp.tasks import Domain, Task

if TYPE_CHECKING:
    from recinterp.causal.forced_prefixes import Override
    from recinterp.causal.mechanism import Mechanism
    from recinterp.causal.pipeline import Network
    from recinterp.causal.sites import Site
    from recinterp.probe.heads import Head, LayerFinding
    from recinterp.view.notebook.ablation import AblationWidget
    from recinterp.view.notebook.plots import Plots
    from recinterp.view.notebook.standalone import StandAlone
    from recinterp.view.notebook.stepper import StepWidget

Progress: TypeAlias = Callable[[str], None]
EVERY = 70_000  # a domain with no more inputs than this is enumerated
SAMPLED = 20_000
FORMAT = "recinterp-explanation/1"


@dataclass(frozen=True)
class Explanation:
    """What `explain` found.

    Of behaviour: machine, diff, fidelity; rivals: machines that nothing in the domain tells from
    this one, with a longer input that would. Of the network: heads, layers, sites, mechanism;
    overrides: what it does behind outputs that it would not have written.
    """

    model_name: str
    task: Task
    domain: Domain
    machine: Machine
    truth: Machine
    diff: Diff
    fidelity: Fidelity
    heads: tuple[Head, ...]
    layers: tuple[LayerFinding, ...]
    sites: tuple[Site, ...]
    mechanism: Mechanism
    overrides: tuple[Override, ...]
    runners_up: tuple[str, ...]
    probes: int
    seconds: float
    rivals: tuple[Rival, ...] = ()
    model: object = field(default=None, repr=False, compare=False)

    @property
    def recursion_heads(self) -> tuple[Head, ...]:
        """The heads that carry the recursion; none where only a whole layer does."""
        return tuple(h for h in self.heads if h.recursion)

    def will_fail(self, inputs: Sequence[Sequence[str]]) -> list[bool | None]:
        """Whether the model gets each input wrong; None where the machine does not say.

        True where it foretells another output than the true one; also where it foretells none, but
        at least 95 % of the outputs seen there were wrong.
        """
        words = [list(x) for x in inputs]
        batch = run_batch(self.machine, words)
        truth = self.task.apply_many(words)
        rows = zip(batch.prefixes(), batch.status, truth, strict=True)
        return [will_fail(said, int(status), true) for said, status, true in rows]

    def foretell(self, tokens: Sequence[str], prefix: Sequence[str]) -> str | None:
        """The next token on an input behind any output, as machine and overrides have it.

        "EOS" where the output ends; None where the machine is lost, or would have ended before.
        Errors: IllFormed for what is no input.
        """
        from recinterp.causal.forced_prefixes import next_token

        self.task.well_formed(tokens)
        return next_token(self.machine, tuple(tokens), tuple(prefix), self.overrides)

    def save(self, path: str | Path) -> None:
        """Write everything but the model to one JSON file, whole or not at all."""
        from recinterp.io import to_plain
        from recinterp.view import write_text

        kept = {
            k: to_plain(v) for k, v in vars(self).items() if k not in ("model", "task", "domain")
        }
        said = {
            "format": FORMAT,
            "task": self.task.to_json(),
            "domain": self.domain.to_json(),
            **kept,
        }
        write_text(path, json.dumps(said, ensure_ascii=False, indent=1))

    @classmethod
    def load(cls, path: str | Path, model: object = None) -> Explanation:
        """Read one back. Errors: CheckpointError if the file is missing, truncated or foreign."""
        try:
            said = json.loads(Path(path).read_text(encoding="utf-8"))
            if said.pop("format") != FORMAT:
                raise ValueError("another format")
            return cls(**_read(said), model=model)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise CheckpointError(
                f"load {path}", f"not an explanation ({e})", "a file from ex.save(path)"
            ) from None

    def to_html(self, path: str | Path) -> None:
        """Write the report as one HTML page that needs nothing else."""
        from recinterp.view import explanation_html

        explanation_html(self, path)

    def ablate(self, *, warm: bool = True) -> AblationWidget:
        """A widget: switch heads off and watch output, machine, accuracy and attention change.

        warm: run now what every click needs once. Errors: NoModel where the model is not at hand.
        """
        from recinterp.view.notebook.ablation import ablation

        return ablation(self, warm=warm)

    def step(self, tokens: Sequence[str]) -> StepWidget:
        """A widget: true reduction, learned machine and attention on one input, in lockstep.

        Errors: IllFormed for what is no input; without the model it leaves its part out.
        """
        from recinterp.view.notebook.stepper import stepper

        return stepper(self, tokens)

    def attention(self, tokens: Sequence[str]) -> StandAlone:
        """Every head's attention on one input and the model's own output, as one page.

        Errors: NoModel, IllFormed.
        """
        from recinterp.view.notebook.attention import attention_page

        return attention_page(self, tokens)

    @property
    def plot(self) -> Plots:
        """Figures: `.heads()`, `.fidelity()`, `.depth()`."""
        from recinterp.view.notebook.plots import Plots

        return Plots(self)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from recinterp.view import explanation_mimebundle

        return explanation_mimebundle(self)

    def __str__(self) -> str:
        from recinterp.view import explanation_text

        return explanation_text(self)


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
    progress: Progress | None = None,
) -> Explanation:
    """Explain a trained model: its machine, where that leaves the recursion, and where it lives.

    model: a hooked TransformerLens model, or any function from inputs to outputs (then only the
    behavioural half); task: what it was meant to learn; domain: what is asked about, by default the
    lengths a checkpoint of ours was trained on; seed: same seed, same explanation; progress: told
    each stage's name. Errors: DomainError without a domain, MisfitModel for one that does not fit.
    """
    from recinterp.causal.pipeline import look_inside

    began, told = time.perf_counter(), progress or (lambda _: None)
    asked = domain_of(model, domain)
    if asked.max_length is None:
        raise DomainError("explain a model", "the domain has no max_length", "Domain(max_length=…)")
    if next(asked.inputs(task), None) is None:
        raise DomainError("explain a model", f"{asked} holds no input", "a larger domain")
    seen = Answers.of(model, task)
    task = with_truth(task, asked)
    told("asking the model and searching for its machine")
    built = reconstruct(Oracle(seen), task, asked, seed=seed)
    told("looking inside: heads, sites, mechanism")
    inside = look_inside(model, task, built, seed)
    told("judging the frozen machine")
    found = _judged(model, seen, task, built, asked, seed, inside)
    told("comparing on the whole domain")
    diff = _compared(model, seen, task, built, asked, seed, inside)
    return Explanation(
        name_of(model), task, asked, built.chosen.machine, built.truth, diff, found,
        inside.heads, inside.layers, inside.sites, inside.mechanism, inside.overrides,
        tuple(map(str, built.runners_up)), len(built.logs.inputs),
        time.perf_counter() - began, built.rivals, model,
    )  # fmt: skip


def with_truth(task: Task, domain: Domain) -> Task:
    """The task, with a true machine for the domain where it has none for every input."""
    try:
        task.machine  # noqa: B018  (derived here, and kept)
    except NoMachine:
        return task.within(domain.max_length)
    return task


def name_of(model: object) -> str:
    """The checkpoint's name, or the type's."""
    checkpoint = getattr(model, "checkpoint", None)
    return str(checkpoint.name) if checkpoint is not None else type(model).__name__


def _judged(
    model: object,
    seen: Answers,
    task: Task,
    built: Reconstruction,
    asked: Domain,
    seed: int,
    inside: Network,
) -> Fidelity:
    judged = fidelity(
        _Remembered(seen, getattr(model, "checkpoint", None)),
        task, built.chosen.machine, asked, seed=seed, queries=answers(built.logs),
    )  # fmt: skip
    return replace(
        judged,
        interventional=inside.interventional,
        false_effects=inside.false_effects,
        rivals_apart=inside.rivals_apart,
    )


class _Remembered(Answers):
    """A model's answers with the checkpoint it came from, so that nothing is asked twice."""

    def __init__(self, seen: Answers, checkpoint: object) -> None:
        super().__init__(seen)
        self.checkpoint = checkpoint


def _compared(
    model: object,
    seen: Answers,
    task: Task,
    built: Reconstruction,
    asked: Domain,
    seed: int,
    inside: Network,
) -> Diff:
    inputs = list(islice(asked.inputs(task), EVERY + 1))
    exhaustive = len(inputs) <= EVERY
    if not exhaustive:
        drawn = asked.sample(task, SAMPLED, seed=seed)
        inputs = [
            list(x) for x in dict.fromkeys(tuple(x) for x in [*inputs[: SAMPLED // 4], *drawn])
        ]
    machine = built.chosen.machine
    expected, claimed = task.apply_many(inputs), machine.run_many(inputs)
    census = Census(task, machine, inputs, seen(inputs), expected, claimed, exhaustive)
    trained, _ = trained_on(model)
    beyond = ""
    if trained is not None and trained.max_length is not None:
        beyond = f"It was trained on inputs of at most {trained.max_length} tokens."
    return judge_departures(census, built.truth, inside.mechanism.sentence, beyond)


def _read(said: dict[str, Any]) -> dict[str, Any]:
    """An explanation's fields from its JSON."""
    from recinterp.causal.pipeline import Network
    from recinterp.io import from_plain

    task = Task.from_json(said["task"])
    parts = dict(_parts(Network))
    plain = {k: from_plain(hint, said[k]) for k, hint in parts.items()}
    rest = {k: said[k] for k in ("model_name", "probes", "seconds")}
    return {**plain, **rest, "task": task, "domain": Domain.from_json(said["domain"], task)}


def _parts(network: type) -> Iterator[tuple[str, Any]]:
    from typing import get_type_hints

    hints = get_type_hints(network)
    yield from ((k, hints[k]) for k in ("heads", "layers", "sites", "mechanism", "overrides"))
    yield from (("machine", Machine), ("truth", Machine), ("diff", Diff), ("fidelity", Fidelity))
    yield from (("runners_up", tuple[str, ...]), ("rivals", tuple[Rival, ...]))
