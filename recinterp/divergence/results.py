"""What a comparison of model, machine and ground truth finds: enums, rates, tokens; no prose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from recinterp.divergence.regions import Region
from recinterp.stats import Rate


class Verdict(StrEnum):
    """The summary of a comparison.

    EXACT: model and ground truth agree on every input that was compared. SHORTCUT: they do not, and
    a readable machine predicts at least 90 % of the model's errors token for token. BOUNDED: the
    model is right on a region that one readable condition gives, and wrong outside it, where no
    readable machine says what it writes. SPORADIC: they differ on at most 1 % of the inputs, by no
    rule that was found. UNDETERMINED: none of the above.
    """

    EXACT = "exact"
    SHORTCUT = "shortcut"
    BOUNDED = "bounded"
    SPORADIC = "sporadic"
    UNDETERMINED = "undetermined"


class ShortcutKind(StrEnum):
    """A named property of the inputs on which a machine differs from the ground truth.

    `docs/kinds.md` defines each; `recinterp.view.report.sentences.kinds` words each.
    """

    BOUNDED_STACK = "bounded-stack"
    BOUNDED_DEPTH = "bounded-depth"
    DEEP_BASE_CASE = "deep-base-case"
    POSITION_KEYED = "position-keyed"
    LENGTH_KEYED = "length-keyed"
    MISSING_RULE = "missing-rule"
    PREMATURE_END = "premature-end"
    OVERRUN = "overrun"
    COPIED_PATTERN = "copied-pattern"
    BOUNDED_RUN = "bounded-run"
    DROPPED_REPEATS = "dropped-repeats"
    DOES_NOT_END = "does-not-end"
    DEGENERATE = "degenerate"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """One input on which model and ground truth, or model and machine, differ.

    Attributes:
        input: The input's tokens.
        expected: The correct output, by the ground truth.
        model_output: What the model writes.
        machine_output: What the learned machine writes; None where it abstains.
    """

    input: tuple[str, ...]
    expected: tuple[str, ...]
    model_output: tuple[str, ...]
    machine_output: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class ErrorCell:
    """The errors among all compared inputs of one length and depth.

    Attributes:
        length: Tokens of the inputs.
        depth: Recursion depth of the inputs.
        errors: Wrong outputs, of the inputs of this length and depth.
    """

    length: int
    depth: int
    errors: Rate


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How often the model's own output is correct, on the inputs that were compared.

    Attributes:
        overall: Correct outputs, of all inputs.
        by_length: Correct outputs by the input's length in tokens.
        by_depth: Correct outputs by the recursion depth.
    """

    overall: Rate
    by_length: Mapping[int, Rate]
    by_depth: Mapping[int, Rate]

    @classmethod
    def of(cls, cells: Iterable[ErrorCell]) -> Accuracy:
        """Add up a table of errors by length and depth, its `cells` in any order."""
        known = tuple(cells)
        everything = _correct_by(known, lambda _: 0)
        return cls(
            overall=everything.get(0, Rate(0, 0)),
            by_length=_correct_by(known, lambda c: c.length),
            by_depth=_correct_by(known, lambda c: c.depth),
        )


def _correct_by(cells: Iterable[ErrorCell], key: Callable[[ErrorCell], int]) -> dict[int, Rate]:
    found: dict[int, Rate] = {}
    for cell in sorted(cells, key=key):
        before = found.get(key(cell), Rate(0, 0))
        correct = cell.errors.total - cell.errors.hits
        found[key(cell)] = Rate(before.hits + correct, before.total + cell.errors.total)
    return found


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The inputs about which the learned machine makes a claim.

    Attributes:
        conditions: Guards of which an input must satisfy one, as machine text; empty where the
            machine has no such condition.
        covered: Inputs on which the machine does not abstain, of all inputs.
        correct: Of the covered inputs, those on which the machine writes what the model writes.
    """

    conditions: tuple[str, ...]
    covered: Rate
    correct: Rate


class CauseKind(StrEnum):
    """A hypothesis on why a model fails, from what it was trained on.

    LONGER: inputs longer than any in training. DEEPER: inputs deeper than any in training.
    EXCLUDED: inputs that were left out of training on purpose.
    """

    LONGER = "longer-than-trained"
    DEEPER = "deeper-than-trained"
    EXCLUDED = "excluded-from-training"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A hypothesis on why a model fails, and how well its condition gives the failing inputs.

    No intervention tests it: the condition describes the errors, and does not name their cause.

    Attributes:
        kind: The hypothesis.
        bound: The largest length or depth in training; None for the other kinds.
        recall: Of the model's errors, those on inputs that satisfy the condition.
        precision: Of the inputs that satisfy it, those on which the model errs.
    """

    kind: CauseKind
    bound: int | None = None
    recall: Rate
    precision: Rate


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """One way in which the learned machine diverges from the ground truth.

    Attributes:
        bounds: Every kind that fits on the domain, the most specific first, with its bound.
        counterexample: A shortest input of this shortcut, confirmed on the model.
        expected: The correct output for it.
        model_output: The model's output for it.
        share: By length and depth, the inputs on which the machine diverges in this way.
        rule: The learned rule that writes the first wrong token.
        step: The ι-step that writes the correct token there.
    """

    bounds: tuple[tuple[ShortcutKind, int | None], ...]
    counterexample: list[str]
    expected: list[str]
    model_output: list[str]
    share: tuple[ErrorCell, ...]
    rule: str
    step: str

    @property
    def kinds(self) -> tuple[ShortcutKind, ...]:
        """Every kind that fits, the most specific first."""
        return tuple(kind for kind, _ in self.bounds)

    @property
    def kind(self) -> ShortcutKind:
        """The first of the kinds."""
        return self.bounds[0][0]

    @property
    def bound(self) -> int | None:
        """The first kind's bound; None where that kind has none."""
        return self.bounds[0][1]


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Where a model, its learned machine and the ground truth differ.

    Attributes:
        verdict: The summary.
        mechanism: How the model obtains the machine's state: the kind that
            `Explanation.mechanism` reports with its evidence.
        shortcuts: The ways in which the machine diverges from the ground truth, as far as the model
            confirms them, by the length of their counterexamples.
        unexplained: Inputs on which the model is wrong and the machine abstains, or on which the
            machine's claim is not what the model writes.
        coverage: The inputs about which the machine makes a claim.
        region: Where the model is right, by a condition that people read, chosen on the queries;
            without a condition where none describes the errors, or there are none.
        hint: For errors that nothing explains, the one comparison that covers most of them; it
            claims no form.
        divergent: Inputs on which model and ground truth differ.
        total: Inputs that were compared.
        exhaustive: Whether these are all inputs of the domain; otherwise they are a sample.
        errors: The model's errors by length and depth, of all compared inputs.
        exact_recall: Of the model's errors, those that the machine predicts token for token.
        exact_precision: Of the errors that the machine predicts, those that the model makes.
        counterexample: A shortest input on which model and ground truth differ; None if none does.
        trained_length: Longest input of the model's training, in tokens; None where unknown.
        causes: Hypotheses on why the model fails, the one that gives the failing inputs best first.
    """

    verdict: Verdict
    mechanism: str
    shortcuts: tuple[Shortcut, ...]
    unexplained: tuple[Divergence, ...]
    coverage: Coverage
    divergent: int
    total: int
    exhaustive: bool
    errors: tuple[ErrorCell, ...]
    exact_recall: Rate
    exact_precision: Rate
    counterexample: Divergence | None = None
    region: Region
    trained_length: int | None = None
    hint: Region | None = None
    causes: tuple[Cause, ...] = ()

    @property
    def headline(self) -> str:
        """The verdict with its counts, as one English sentence."""
        from recinterp.view.report.sentences.summary import headline

        return headline(self)

    def __str__(self) -> str:
        return self.headline
