"""A machine's predictions on another domain than its own, compared with the model there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from recinterp.errors import DomainError, IncompatibleModelError
from recinterp.judge.cached_model import CachedModel
from recinterp.judge.cut_outputs import predict_outputs
from recinterp.stats import Rate
from recinterp.tokens import Tokens

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.tasks import Domain, Task


@dataclass(frozen=True, kw_only=True)
class WrongPrediction:
    """An input whose output the machine does not predict.

    Attributes:
        input: The tokens of the input.
        output: What the model writes; it ends in "…" where it was cut.
        predicted: What the machine writes; None where it abstains.
    """

    input: tuple[str, ...]
    output: tuple[str, ...]
    predicted: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class DomainCheck:
    """What a machine predicts on a domain, beside what the model does there.

    Attributes:
        domain: The inputs, in words.
        exhaustive: Whether every input of the domain was compared, or a sample.
        predicted: Share of the outputs that the machine gives token for token. An output that was
            cut counts where the machine writes all its tokens and goes on.
        correct: Share of the outputs that are right: what the ground truth predicts.
        others: The same share for every equivalent machine, in their order.
        wrong: The shortest inputs on which the machine is wrong, at most twenty.
    """

    domain: str
    exhaustive: bool
    predicted: Rate
    correct: Rate
    others: tuple[Rate, ...] = ()
    wrong: tuple[WrongPrediction, ...] = ()

    def __str__(self) -> str:
        scope = "every input" if self.exhaustive else "a sample"
        lines = [
            f"{self.domain} ({scope}):",
            f"  the machine predicts {self.predicted} of the outputs token for token;",
            f"  the ground truth predicts {self.correct} of them.",
        ]
        lines += [f"  An equivalent machine predicts {rate}." for rate in self.others]
        lines += [
            f"  {' '.join(w.input)}: the model writes {' '.join(w.output)}, the machine "
            f"{'abstains' if w.predicted is None else 'writes ' + ' '.join(w.predicted)}"
            for w in self.wrong[:5]
        ]
        return "\n".join(lines)


def check_on_domain(
    model: object,
    task: Task,
    machine: Machine,
    domain: Domain,
    *,
    others: Sequence[Machine] = (),
    sample_size: int = 2_000,
    seed: int = 0,
) -> DomainCheck:
    """Compare a machine with a model on a domain.

    Args:
        model: A hooked model, or a function from inputs to outputs; None is refused.
        task: The task whose inputs the domain holds.
        machine: The machine whose predictions are counted.
        domain: The inputs.
        others: Machines whose predictions are counted beside them.
        sample_size: The number of inputs to which a larger domain is sampled.
        seed: Seeds the sample.

    Returns:
        How many outputs are predicted token for token.

    Raises:
        DomainError: If the domain has no `max_length` or holds no input.
        IncompatibleModelError: If there is no model.
    """
    operation = f"check the machine on {domain}"
    if model is None:
        hint = "load it with Explanation.load(path, model=…)"
        raise IncompatibleModelError(operation, "this explanation has no model", hint)
    if domain.max_length is None and not domain.is_sampled:
        raise DomainError(operation, "the domain has no max_length", "pass Domain(max_length=…)")
    inputs = list(islice(domain.inputs(task), sample_size + 1))
    fits = len(inputs) <= sample_size
    exhaustive = fits and not domain.is_sampled
    if not fits:
        inputs = domain.sample(task, sample_size, seed=seed)
    if not inputs:
        raise DomainError(operation, "the domain holds no input", "pass a larger domain")
    outputs = CachedModel.of(model, task)(inputs)
    predicted = predict_outputs(machine, inputs, outputs)
    wrong = [i for i, (a, b) in enumerate(zip(predicted, outputs, strict=True)) if a != list(b)]
    wrong.sort(key=lambda i: len(inputs[i]))
    return DomainCheck(
        domain=str(domain),
        exhaustive=exhaustive,
        predicted=Rate(len(inputs) - len(wrong), len(inputs)),
        correct=_share_equal(task.apply_many(inputs), outputs),
        others=tuple(
            _share_equal(predict_outputs(other, inputs, outputs), outputs) for other in others
        ),
        wrong=tuple(
            WrongPrediction(
                input=tuple(inputs[i]),
                output=tuple(outputs[i]),
                predicted=None if (y := predicted[i]) is None else tuple(y),
            )
            for i in wrong[:20]
        ),
    )


def _share_equal(predicted: Sequence[Sequence[str] | None], outputs: Sequence[Tokens]) -> Rate:
    return Rate.of(
        y is not None and list(y) == list(z) for y, z in zip(predicted, outputs, strict=True)
    )
