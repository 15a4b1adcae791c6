"""Explanation: what `explain` found, how it is saved and loaded, and its views."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from recinterp.config import DEFAULTS, ExplainConfig
from recinterp.divergence.regions import flag_outside
from recinterp.divergence.results import Accuracy, Diff, Verdict
from recinterp.errors import CheckpointError, IncompatibleModelError
from recinterp.io import from_plain, to_plain, write_text
from recinterp.judge.domain_check import DomainCheck, check_on_domain
from recinterp.judge.measurement import Fidelity, predict_failure
from recinterp.machine import Machine
from recinterp.machine.execution.batch import run_batch
from recinterp.synthesis.alternatives import EquivalentMachine
from recinterp.synthesis.hypothesis import RejectedHypothesis
from recinterp.tasks import Domain, Task
from recinterp.tasks.arguments import check_token_lists

if TYPE_CHECKING:
    from recinterp.causal.results import ContinuationFinding, ForcedPrefixRule, Mechanism, Site
    from recinterp.probe.results import Head, LayerFinding
    from recinterp.view.notebook.ablation import AblationWidget
    from recinterp.view.notebook.plots import Plots
    from recinterp.view.notebook.standalone import StandalonePage
    from recinterp.view.notebook.stepper import StepWidget

FORMAT = "recinterp-explanation/3"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What `explain` found: a machine, the evidence for it, and where the network runs it.

    Attributes:
        model_name: The checkpoint's name; the type's name for a model without a checkpoint.
        task: The function that the model was meant to learn.
        domain: The inputs in question.
        machine: The learned machine, which predicts the model's outputs.
        truth: The ground-truth machine, derived from the task's program.
        predictor: A larger machine that predicts outputs that no readable one does; None where
            there is none. It is no explanation: `will_fail` uses it.
        predictor_fidelity: How well the predictor predicts the model; None without one.
        diff: Where the learned machine and the model differ from the ground truth; the verdict.
        fidelity: How well the machine predicts the model, on held-out inputs.
        heads: Every attention head, with its role and the evidence; empty for a plain function.
        layers: For layers whose heads carry the recursion only together, what was found.
        sites: Where the machine's variables are stored in the activations.
        mechanism: Whether the state is computed from the input or read off the output.
        continuation: How the model finds where it goes on: by position, after the last output
            token, or by what is not written yet. Where the outputs alone do not tell, outputs that
            are forced on the model decide; `machine` is the one that they single out.
        forced_prefix_rules: What the model does after output prefixes that it would not have
            written itself, where that is not what the machine does there.
        rejected_hypotheses: The other machines that were considered, each with the reason.
        equivalent_machines: Machines that agree with this one on the whole domain, each with a
            longer input on which they differ.
        contradiction: What the model's checkpoint records otherwise than the task, as a clause;
            empty where they agree or there is no checkpoint.
        query_count: The number of inputs that the machine was built from.
        seconds: How long it took.
        config: The thresholds it was made with.
        fingerprint: A hash of the model's weights, by which `load` recognises it; empty for a
            plain function.
        model: The model; None for an explanation that was loaded without it.
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
    continuation: ContinuationFinding
    forced_prefix_rules: tuple[ForcedPrefixRule, ...]
    rejected_hypotheses: tuple[RejectedHypothesis, ...]
    equivalent_machines: tuple[EquivalentMachine, ...] = ()
    predictor: Machine | None = None
    predictor_fidelity: Fidelity | None = None
    contradiction: str = ""
    query_count: int
    seconds: float
    config: ExplainConfig = DEFAULTS
    fingerprint: str = ""
    model: object = field(default=None, repr=False, compare=False)

    @property
    def recursion_heads(self) -> tuple[Head, ...]:
        """The heads that carry the recursion; none where only a whole layer does."""
        return tuple(h for h in self.heads if h.recursion)

    @property
    def accuracy(self) -> Accuracy:
        """The model's own accuracy on the compared inputs: overall, by length, by depth."""
        return Accuracy.of(self.diff.errors)

    def will_fail(self, inputs: Sequence[Sequence[str]]) -> list[bool | None]:
        """Whether the model's output is wrong, as the machine predicts it.

        Args:
            inputs: Inputs of the task, in tokens.

        Returns:
            For each input True or False; None where the machine abstains. It is True also where
            the machine predicts no output, but at least 95 % of the outputs observed in that
            region were wrong. Where the verdict is `bounded`, it says whether the input lies
            outside the region on which the model is right.
        """
        given = check_token_lists(inputs, "predict failures", self.task.ids)
        truth = self.task.apply_many(given)
        if self.diff.verdict is Verdict.BOUNDED:
            flags = flag_outside(self.task, self.truth, self.diff.region, given, truth)
            return [bool(flag) for flag in flags]
        batch = run_batch(self.predictor or self.machine, given)
        rows = zip(batch.prefixes(), batch.status, truth, strict=True)
        return [predict_failure(predicted, int(status), true) for predicted, status, true in rows]

    def predict_next(self, tokens: Sequence[str], prefix: Sequence[str]) -> str | None:
        """The model's next token after any output prefix, as machine and rules predict it.

        Args:
            tokens: An input of the task.
            prefix: The output so far, which the model need not have written itself.

        Returns:
            The token; "EOS" where the output ends; None where the machine abstains, or would have
            ended before.

        Raises:
            InvalidInputError: If the tokens are not an input of the task.
        """
        from recinterp.causal.forced_prefixes import predict_next_token

        self.task.well_formed(tokens)
        (prefix,) = check_token_lists([prefix], "predict the next token", None, "prefix")
        return predict_next_token(
            self.machine,
            tuple(tokens),
            tuple(prefix),
            self.forced_prefix_rules,
            self.continuation.pulls,
        )

    def check(self, domain: Domain, *, sample_size: int = 2_000, seed: int = 0) -> DomainCheck:
        """Compare what the machine predicts on another domain with what the model does there.

        The machine was made without that domain: longer inputs, repeated labels or deeper terms
        test whether it is the algorithm that the network runs.

        Args:
            domain: The inputs, which may lie outside the explanation's own domain.
            sample_size: The number of inputs to which a larger domain is sampled.
            seed: Seeds the sample.

        Returns:
            How many outputs the machine predicts token for token, beside the ground truth and the
            equivalent machines, and the inputs on which it is wrong.

        Raises:
            DomainError: If the domain has no `max_length` or holds no input.
            IncompatibleModelError: If the explanation was loaded without its model.
        """
        return check_on_domain(
            self.model,
            self.task,
            self.machine,
            domain,
            others=[other.machine for other in self.equivalent_machines],
            sample_size=sample_size,
            seed=seed,
        )

    def save(self, path: str | Path) -> None:
        """Write everything but the model to one JSON file, whole or not at all.

        Of a domain that a function of the user's own bounds or draws, its inputs are written.

        Args:
            path: The file to write.

        Raises:
            UnwritableFileError: If the file cannot be written.
            TaskError: If the task's `output_length` is a function, which JSON cannot hold.
        """
        data = {
            "format": FORMAT,
            "task": self.task.to_json(),
            "domain": self.domain.to_json(self.task),
            **{name: to_plain(getattr(self, name)) for name in _plain_fields()},
        }
        write_text(path, json.dumps(data, ensure_ascii=False, indent=1))

    @classmethod
    def load(cls, path: str | Path, model: object = None) -> Explanation:
        """Read an explanation that `save` wrote.

        Args:
            path: The file to read.
            model: The model that was explained, which the notebook views query.

        Returns:
            The explanation.

        Raises:
            CheckpointError: If the file is missing, truncated, or not an explanation.
            IncompatibleModelError: If the model is not the one that was explained.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise ValueError("another format")
            task = Task.from_json(data["task"])
            domain = Domain.from_json(data["domain"], task)
            rest = {name: from_plain(hint, data[name]) for name, hint in _plain_fields().items()}
            loaded = cls(task=task, domain=domain, model=model, **rest)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise CheckpointError(
                f"load {path}", f"it is not an explanation ({e})", "pass a file from ex.save(path)"
            ) from None
        if model is not None:
            _check_fingerprint(loaded, path)
        return loaded

    def to_html(self, path: str | Path) -> None:
        """Write the report as one HTML page that needs nothing else.

        Args:
            path: The file to write.

        Raises:
            UnwritableFileError: If the file cannot be written.
        """
        from recinterp.view import explanation_html

        explanation_html(self, path)

    def ablate(self, *, warm_up: bool = True) -> AblationWidget:
        """A widget: switch heads off and watch output, machine, accuracy and attention change.

        Args:
            warm_up: Whether to run now what every click needs once, so that the first is quick.

        Returns:
            The widget, to be shown in a notebook; its `static()` needs no kernel.

        Raises:
            ModelNotLoadedError: If the explanation has no hooked model.
        """
        from recinterp.view.notebook.ablation import ablation_widget

        return ablation_widget(self, warm_up=warm_up)

    def step(self, tokens: Sequence[str]) -> StepWidget:
        """A widget: true reduction, learned machine and attention on one input, in lockstep.

        Args:
            tokens: An input of the task.

        Returns:
            The widget; without a hooked model it leaves the model's part out.

        Raises:
            InvalidInputError: If the tokens are not an input of the task.
        """
        from recinterp.view.notebook.stepper import step_widget

        return step_widget(self, tokens)

    def attention(self, tokens: Sequence[str]) -> StandalonePage:
        """Every head's attention on one input and the model's own output.

        Args:
            tokens: An input of the task.

        Returns:
            An HTML page, which a notebook shows in a frame.

        Raises:
            ModelNotLoadedError: If the explanation has no hooked model.
            InvalidInputError: If the tokens are not an input of the task.
        """
        from recinterp.view.notebook.attention import build_attention_page

        return build_attention_page(self, tokens)

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


def _check_fingerprint(ex: Explanation, path: str | Path) -> None:
    """Raise IncompatibleModelError where an explanation is given another model than its own."""
    from recinterp.models.fingerprint import fingerprint_weights

    if ex.fingerprint and fingerprint_weights(ex.model) != ex.fingerprint:
        problem = f"the model's weights are not those of {ex.model_name}, which was explained"
        hint = "pass the model that was explained, or explain this one"
        raise IncompatibleModelError(f"load {path} with this model", problem, hint)


def _plain_fields() -> dict[str, Any]:
    """The type of each field that is saved as plain data: all but task, domain and model."""
    from recinterp.causal.results import ContinuationFinding, ForcedPrefixRule, Mechanism, Site
    from recinterp.probe.results import Head, LayerFinding

    types = (ContinuationFinding, ForcedPrefixRule, Head, LayerFinding, Mechanism, Site)
    hints = get_type_hints(Explanation, localns={t.__name__: t for t in types})
    other_forms = ("task", "domain", "model")  # the model is not saved
    return {f.name: hints[f.name] for f in fields(Explanation) if f.name not in other_forms}
