"""Explanation: what `explain` found, how it is saved and loaded, and the doors to its views."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recinterp.config import DEFAULTS, ExplainConfig
from recinterp.divergence.results import Accuracy, Diff
from recinterp.errors import CheckpointError
from recinterp.io import from_plain, to_plain, write_text
from recinterp.judge.fidelity import Fidelity, will_fail
from recinterp.machine import Machine
from recinterp.machine.execution.batch import run_batch
from recinterp.synthesis.alternatives import EquivalentMachine
from recinterp.tasks import Domain, Task

if TYPE_CHECKING:
    from recinterp.causal.results import ForcedPrefixRule, Mechanism, Site
    from recinterp.probe.results import Head, LayerFinding
    from recinterp.view.notebook.ablation import AblationWidget
    from recinterp.view.notebook.plots import Plots
    from recinterp.view.notebook.standalone import StandalonePage
    from recinterp.view.notebook.stepper import StepWidget

FORMAT = "recinterp-explanation/2"


@dataclass(frozen=True)
class Explanation:
    """What `explain` found.

    Of behaviour: machine, diff, fidelity; rivals: machines that nothing in the domain tells from
    this one, with a longer input that would. Of the network: heads, layers, sites, mechanism;
    forced_prefix_rules: what it does behind outputs that it would not have written. config: the
    thresholds it was made with.
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
    forced_prefix_rules: tuple[ForcedPrefixRule, ...]
    rejected_hypotheses: tuple[str, ...]
    probes: int
    seconds: float
    equivalent_machines: tuple[EquivalentMachine, ...] = ()
    config: ExplainConfig = DEFAULTS
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
        Errors: InvalidInputError for what is no input.
        """
        from recinterp.causal.forced_prefixes import predict_next_token

        self.task.well_formed(tokens)
        return predict_next_token(
            self.machine, tuple(tokens), tuple(prefix), self.forced_prefix_rules
        )

    def save(self, path: str | Path) -> None:
        """Write everything but the model to one JSON file, whole or not at all."""

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

    def ablate(self, *, warm_up: bool = True) -> AblationWidget:
        """A widget: switch heads off and watch output, machine, accuracy and attention change.

        warm_up: run now what every click needs once. Errors: ModelNotLoadedError where the model is
        not at hand.
        """
        from recinterp.view.notebook.ablation import ablation_widget

        return ablation_widget(self, warm_up=warm_up)

    def step(self, tokens: Sequence[str]) -> StepWidget:
        """A widget: true reduction, learned machine and attention on one input, in lockstep.

        Errors: InvalidInputError for what is no input; without the model it leaves its part out.
        """
        from recinterp.view.notebook.stepper import step_widget

        return step_widget(self, tokens)

    def attention(self, tokens: Sequence[str]) -> StandalonePage:
        """Every head's attention on one input and the model's own output, as one page.

        Errors: ModelNotLoadedError, InvalidInputError.
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


def _read(said: dict[str, Any]) -> dict[str, Any]:
    """An explanation's fields from its JSON."""
    from recinterp.causal.pipeline import NetworkFindings

    task = Task.from_json(said["task"])
    parts = dict(_parts(NetworkFindings))
    plain = {k: from_plain(hint, said[k]) for k, hint in parts.items()}
    rest = {k: said[k] for k in ("model_name", "probes", "seconds")}
    return {**plain, **rest, "task": task, "domain": Domain.from_json(said["domain"], task)}


def _parts(network: type) -> Iterator[tuple[str, Any]]:
    from typing import get_type_hints

    hints = get_type_hints(network)
    yield from (
        (k, hints[k]) for k in ("heads", "layers", "sites", "mechanism", "forced_prefix_rules")
    )
    yield from (("machine", Machine), ("truth", Machine), ("diff", Diff), ("fidelity", Fidelity))
    yield from (
        ("rejected_hypotheses", tuple[str, ...]),
        ("equivalent_machines", tuple[EquivalentMachine, ...]),
        ("config", ExplainConfig),
    )
