"""An explanation as plain numbers and sentences: what the text, the page and the JSON all show.

Whatever a renderer prints is a field here, so that all three agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import TYPE_CHECKING

from recinterp.divergence.regions import Region
from recinterp.divergence.results import Accuracy, Coverage, ErrorCell, Verdict
from recinterp.stats import Rate
from recinterp.tokens import first_difference
from recinterp.view.diagram.graph import MachineGraph, NodeKind, RuleStatus, is_drawable
from recinterp.view.diagram.labels import continuation_text
from recinterp.view.diagram.outline import render_outline
from recinterp.view.diagram.side_by_side import align_machines, are_comparable
from recinterp.view.report.sentences.heads import head_note, layer_sentence
from recinterp.view.report.sentences.hypotheses import equivalent_machine, rejected_hypothesis
from recinterp.view.report.sentences.kinds import kind_does, kind_label, shortcut_does
from recinterp.view.report.sentences.network import (
    condition_text,
    effect_text,
    location_text,
    pull_text,
    site_note,
)
from recinterp.view.report.sentences.summary import (
    SummaryLine,
    domain_text,
    error_pattern,
    headline,
    summary_lines,
)

if TYPE_CHECKING:
    from recinterp.causal.results import Site
    from recinterp.divergence import Divergence, Shortcut
    from recinterp.explanation import Explanation
    from recinterp.judge import Fidelity, Stratum
    from recinterp.probe import Head


@dataclass(frozen=True, kw_only=True)
class RateView:
    """A rate as numbers.

    Attributes:
        hits: Counted as true.
        total: Counted at all.
        value: The share in [0, 1]; None where nothing was counted.
        low: Lower end of the Wilson 95 % interval.
        high: Upper end of it.
    """

    hits: int
    total: int
    value: float | None
    low: float
    high: float

    @classmethod
    def of(cls, rate: Rate) -> RateView:
        """From a Rate."""
        low, high = rate.interval
        value = rate.value if rate.total else None
        return cls(hits=rate.hits, total=rate.total, value=value, low=low, high=high)

    @property
    def rate(self) -> Rate:
        """The counts as a Rate."""
        return Rate(self.hits, self.total)


@dataclass(frozen=True, kw_only=True)
class CaseView:
    """One input with its outputs.

    Attributes:
        input: The input's tokens.
        expected: The correct output.
        output: The model's output.
        first: The first index at which these two differ.
        claimed: The learned machine's output; None where it abstains.
    """

    input: tuple[str, ...]
    expected: tuple[str, ...]
    output: tuple[str, ...]
    first: int
    claimed: tuple[str, ...] | None

    @classmethod
    def of(cls, d: Divergence) -> CaseView:
        """From a divergence."""
        return cls(
            input=d.input,
            expected=d.expected,
            output=d.model_output,
            first=_first_error(d.expected, d.model_output),
            claimed=d.machine_output,
        )


@dataclass(frozen=True, kw_only=True)
class ShortcutView:
    """One way in which the learned machine diverges from the ground truth.

    Attributes:
        kinds: Every kind that fits, with its bound, as in `bounded-depth 3`.
        meanings: Each kind in words.
        text: What the model does, by the first kind.
        rule: The learned rule that writes the first wrong token.
        step: The ι-step that writes the correct one.
        input: A shortest input, confirmed on the model.
        expected: The correct output for it.
        output: The model's output for it.
        inputs: On how many of the compared inputs the machine diverges in this way.
        cells: These inputs by length and depth.
    """

    kinds: tuple[str, ...]
    meanings: tuple[str, ...]
    text: str
    rule: str
    step: str
    input: tuple[str, ...]
    expected: tuple[str, ...]
    output: tuple[str, ...]
    inputs: RateView
    cells: tuple[ErrorCell, ...]


@dataclass(frozen=True, kw_only=True)
class RuleRow:
    """One rule of the learned machine beside the ground truth, or one of the ground truth only.

    Attributes:
        mode: The mode to which it belongs.
        rule: Guard and what is written.
        next: The next mode, or halt.
        status: same, changed, added or missing.
        note: The difference in words; empty where there is none.
    """

    mode: str
    rule: str
    next: str
    status: RuleStatus
    note: str


@dataclass(frozen=True, kw_only=True)
class FidelityRow:
    """One stratum of held-out inputs.

    Attributes:
        stratum: Its name.
        n: Its inputs.
        columns: Match, exact recall and precision, flag recall and precision, coverage, by name.
        baselines: Predictions that need no explanation, by name.
    """

    stratum: str
    n: int
    columns: dict[str, RateView]
    baselines: dict[str, RateView]

    @property
    def match(self) -> RateView:
        """Inputs on which the machine's output is the model's."""
        return self.columns["match"]

    @property
    def coverage(self) -> RateView:
        """Inputs on which the machine does not abstain."""
        return self.columns["coverage"]

    @property
    def failures(self) -> dict[str, RateView]:
        """How well errors are predicted, by name."""
        return {k: v for k, v in self.columns.items() if k not in ("match", "coverage")}


@dataclass(frozen=True, kw_only=True)
class HeadRow:
    """A head and its evidence.

    Attributes:
        name: As in L1H0.
        role: Its role.
        score: Share of steps at which its attention's peak follows its landmark.
        effect: Its share of the effect of a transplant.
        controls: What these have to exceed, by name.
        recursion: Whether it is a recursion head.
        note: The evidence in words.
    """

    name: str
    role: str
    score: float
    effect: float
    controls: dict[str, float]
    recursion: bool
    note: str


@dataclass(frozen=True, kw_only=True)
class SiteRow:
    """A variable of the machine and the activations that store it.

    Attributes:
        variable: Its name.
        where: The activations.
        accuracy: Interchange accuracy; None where it was not measured.
        interval: Its 95 % interval.
        control: Accuracy of a norm-matched random direction; None where it was not measured.
        pairs: Pairs of runs it was measured on.
        accepted: Whether accuracy and control pass.
        single: Whether it is one place.
        note: The evidence in words.
        dims: Dimensions of the subspace at each place; 0: all that is there.
    """

    variable: str
    where: tuple[str, ...]
    accuracy: float | None
    interval: tuple[float, float]
    control: float | None
    pairs: int
    accepted: bool
    single: bool
    note: str
    dims: int = 0

    @property
    def directions(self) -> str:
        """How many directions at each place are interchanged; empty: all."""
        return f"{self.dims} directions each" if self.dims else ""


@dataclass(frozen=True, kw_only=True)
class ForcedPrefixRow:
    """What the model does after a forced output prefix.

    Attributes:
        condition: On which state and prefix.
        effect: What the model does.
        with_rule: How often it does that.
        without_rule: How often the machine without this rule predicts its token.
    """

    condition: str
    effect: str
    with_rule: RateView
    without_rule: RateView


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything a reader is shown.

    Attributes:
        model: The model's name.
        task: The task's name.
        order: natural or reverse.
        domain: The domain in words.
        verdict: The verdict.
        headline: The verdict with its counts, as one sentence.
        summary: The first screen.
        accuracy: The model's own accuracy, overall, by length and by depth.
        mechanism: The mechanism's kind.
        divergent: Inputs on which the model is wrong.
        inputs: Inputs that were compared.
        exhaustive: Whether these are all inputs of the domain.
        exact_recall: Of the model's errors on them, those that the machine predicts.
        exact_precision: Of the errors it predicts, those that the model makes.
        coverage: The inputs about which the machine makes a claim.
        region: Where the model is right, in words, and how well that holds.
        trained_length: Longest input of the model's training; None where unknown.
        counterexample: A shortest input on which the model is wrong.
        shortcuts: The ways in which the machine diverges from the ground truth.
        errors: The model's errors by length and depth.
        error_pattern: Where the errors are, in one line; empty where it takes a grid.
        unexplained: The first unexplained inputs.
        unexplained_total: How many there are.
        learned: The learned machine as text.
        outline: The learned machine as a tree, where it has too many rules for a table.
        learned_size: Its size.
        continuation: How it finds the next token, in words; empty where it carries its position.
        learned_modes: Its number of modes.
        truth: The ground-truth machine as text.
        same_machine: Whether the learned machine is the ground truth's, rule by rule.
        comparable: Whether enough rules agree for a comparison rule by rule.
        drawn: Both machines as pictures, differences marked.
        rules: Both machines as one table; empty where there are too many rules.
        fidelity: One row a stratum of held-out inputs, all of them last.
        interventional: Interventional match; None where not measured.
        unpredicted_changes: Unpredicted changes; None where not measured.
        carried_state_contrast: Carried-state contrast; None where not measured.
        heads: Every head.
        sites: Every localised variable.
        pulls: What draws the next token after a forced output, and how strongly, in logits, where
            the model mixes several ways to go on.
        forced_prefix_rules: Behaviour after forced output prefixes.
        layers: What whole layers do, in words.
        rejected_hypotheses: Machines that were not chosen, and why.
        equivalent_machines: Machines equal on the domain, and where they would differ.
        queries: Inputs whose output the search requested.
        seconds: How long the explanation took.
    """

    model: str
    task: str
    order: str
    domain: str
    verdict: Verdict
    headline: str
    summary: tuple[SummaryLine, ...]
    accuracy: Accuracy
    mechanism: str
    divergent: int
    inputs: int
    exhaustive: bool
    exact_recall: RateView
    exact_precision: RateView
    coverage: Coverage
    region: Region
    trained_length: int | None
    counterexample: CaseView | None
    shortcuts: tuple[ShortcutView, ...]
    errors: tuple[ErrorCell, ...]
    error_pattern: str
    unexplained: tuple[CaseView, ...]
    unexplained_total: int
    learned: str
    outline: str
    learned_size: int
    continuation: str
    learned_modes: int
    truth: str
    same_machine: bool
    comparable: bool
    drawn: tuple[MachineGraph, MachineGraph]
    rules: tuple[RuleRow, ...]
    fidelity: tuple[FidelityRow, ...]
    interventional: RateView | None
    unpredicted_changes: RateView | None
    carried_state_contrast: RateView | None
    heads: tuple[HeadRow, ...]
    sites: tuple[SiteRow, ...]
    pulls: tuple[tuple[str, float], ...]
    forced_prefix_rules: tuple[ForcedPrefixRow, ...]
    layers: tuple[str, ...]
    rejected_hypotheses: tuple[str, ...]
    equivalent_machines: tuple[str, ...]
    queries: int
    seconds: float

    def to_json(self) -> dict[str, object]:
        """Every field as plain data."""
        return asdict(self)


def build_report(ex: Explanation, max_listed: int = 100) -> Report:
    """The report of an explanation; max_listed: unexplained inputs that are listed one by one."""
    diff = ex.diff
    drawn = align_machines(ex.machine, ex.truth, {s.rule for s in diff.shortcuts})
    comparable = are_comparable(ex.machine, ex.truth)
    rows = _rule_rows(drawn, diff.shortcuts) if is_drawable(ex.machine) else ()
    return Report(
        model=ex.model_name,
        task=ex.task.name,
        order=ex.task.order,
        domain=domain_text(ex.domain),
        verdict=diff.verdict,
        headline=headline(diff),
        summary=summary_lines(ex),
        accuracy=ex.accuracy,
        mechanism=str(diff.mechanism),
        divergent=diff.divergent,
        inputs=diff.total,
        exhaustive=diff.exhaustive,
        exact_recall=RateView.of(diff.exact_recall),
        exact_precision=RateView.of(diff.exact_precision),
        coverage=diff.coverage,
        region=diff.region,
        trained_length=diff.trained_length,
        counterexample=None if diff.counterexample is None else CaseView.of(diff.counterexample),
        shortcuts=tuple(map(_shortcut, diff.shortcuts)),
        errors=diff.errors if diff.divergent else (),
        error_pattern=error_pattern(diff.errors) if diff.divergent else "",
        unexplained=tuple(map(CaseView.of, diff.unexplained[:max_listed])),
        unexplained_total=len(diff.unexplained),
        learned=str(ex.machine),
        outline=render_outline(ex.machine),
        learned_size=ex.machine.size,
        continuation=continuation_text(ex.machine.continuation) if ex.machine.continuation else "",
        learned_modes=len(ex.machine.modes),
        truth=str(ex.truth),
        same_machine=comparable and all(r.status == RuleStatus.SAME for r in _rule_rows(drawn, ())),
        comparable=comparable,
        drawn=drawn,
        rules=rows,
        fidelity=fidelity_rows(ex.fidelity),
        interventional=_optional(ex.fidelity.interventional),
        unpredicted_changes=_optional(ex.fidelity.unpredicted_changes),
        carried_state_contrast=_optional(ex.fidelity.carried_state_contrast),
        heads=tuple(map(_head, ex.heads)),
        sites=tuple(map(_site, ex.sites)),
        pulls=tuple((pull_text(p), p.weight) for p in ex.continuation.pulls),
        forced_prefix_rules=tuple(
            ForcedPrefixRow(
                condition=condition_text(rule),
                effect=effect_text(rule),
                with_rule=RateView.of(rule.observed),
                without_rule=RateView.of(rule.without_rule),
            )
            for rule in ex.forced_prefix_rules
        ),
        layers=tuple(map(layer_sentence, ex.layers)),
        rejected_hypotheses=tuple(dict.fromkeys(map(rejected_hypothesis, ex.rejected_hypotheses))),
        equivalent_machines=tuple(map(equivalent_machine, ex.equivalent_machines)),
        queries=ex.query_count,
        seconds=ex.seconds,
    )


def _first_error(expected: Sequence[str], output: Sequence[str]) -> int:
    """The index of the first wrong output token; the output's length where none is wrong."""
    index = first_difference(expected, output)
    return len(output) if index is None else index


def _shortcut(s: Shortcut) -> ShortcutView:
    hits = Rate(sum(c.errors.hits for c in s.share), sum(c.errors.total for c in s.share))
    return ShortcutView(
        kinds=tuple(kind_label(kind, bound) for kind, bound in s.bounds),
        meanings=tuple(kind_does(kind, bound, s.step) for kind, bound in s.bounds),
        text=shortcut_does(s),
        rule=s.rule,
        step=s.step,
        input=tuple(s.counterexample),
        expected=tuple(s.expected),
        output=tuple(s.model_output),
        inputs=RateView.of(hits),
        cells=s.share,
    )


def _rule_rows(
    drawn: tuple[MachineGraph, MachineGraph], shortcuts: Sequence[Shortcut]
) -> tuple[RuleRow, ...]:
    """The learned machine's rules, then those of the ground truth that it does not follow."""
    learned, truth = drawn
    diverging: dict[str, list[str]] = {}
    for s in shortcuts:
        hits = sum(c.errors.hits for c in s.share)
        name = kind_label(s.kind, s.bound)
        diverging.setdefault(s.rule, []).append(f"{hits:,} inputs, {name}, {s.step}")
    rows = []
    for edge in learned.edges:
        target = _target(edge.target)
        for label in edge.labels:
            found = diverging.get(label.rule, [])
            note = "; ".join(filter(None, (label.tag, *found)))
            rows.append(_row(edge.source, label.text, target, label.status, note))
    for edge in truth.edges:
        target = _target(edge.target)
        rows += [
            _row(edge.source, label.text, target, RuleStatus.MISSING, f"ground truth: {label.tag}")
            for label in edge.labels
            if label.status != RuleStatus.SAME
        ]
    return tuple(rows)


def _target(name: str) -> str:
    return NodeKind.HALT if name.endswith(f" {NodeKind.HALT}") else name


def _row(mode: str, rule: str, target: str, status: RuleStatus, note: str) -> RuleRow:
    return RuleRow(mode=mode, rule=rule, next=target, status=status, note=note)


def fidelity_rows(found: Fidelity) -> tuple[FidelityRow, ...]:
    """One row a stratum, all of them together last."""
    return tuple(map(_stratum, (*found.strata, found.overall)))


def shown_strata(rows: Sequence[FidelityRow]) -> tuple[FidelityRow, ...]:
    """What a terminal shows: in distribution, full depth, the worst stratum, and all of them."""
    if not rows:
        return ()
    *strata, overall = rows
    worst = min((r for r in strata if r.n), key=_quality, default=None)
    shown = [r for r in strata if r.stratum in ("in distribution", "full depth") or r is worst]
    return (*shown, overall)


def _quality(row: FidelityRow) -> tuple[float, ...]:
    rates = (row.match, *row.failures.values())
    return tuple(2.0 if rate.value is None else rate.value for rate in rates)


def _stratum(s: Stratum) -> FidelityRow:
    columns = {
        "match": s.match,
        "exact recall": s.failure_recall,
        "exact precision": s.failure_precision,
        "flag recall": s.flagged_recall,
        "flag precision": s.flagged_precision,
        "coverage": s.coverage,
    }
    return FidelityRow(
        stratum=s.name,
        n=s.n,
        columns={name: RateView.of(rate) for name, rate in columns.items()},
        baselines={name: RateView.of(rate) for name, rate in s.baselines.items()},
    )


def _optional(rate: Rate | None) -> RateView | None:
    return None if rate is None else RateView.of(rate)


def _head(h: Head) -> HeadRow:
    return HeadRow(
        name=h.name,
        role=h.role.value,
        score=h.score,
        effect=h.effect,
        controls={k: float(v) for k, v in h.controls.items()},
        recursion=h.recursion,
        note=head_note(h),
    )


def _site(s: Site) -> SiteRow:
    return SiteRow(
        variable=s.variable,
        where=tuple(map(location_text, s.patch)),
        accuracy=_number(s.accuracy),
        interval=s.interval,
        control=_number(s.control),
        pairs=s.pairs,
        accepted=s.accepted,
        single=s.single,
        note=site_note(s),
        dims=s.dims,
    )


def _number(value: float) -> float | None:
    return None if isnan(value) else value


def shows_ways(found: Report) -> bool:
    """Whether the shortcuts need a table: there are several, or none has the shortest input."""
    case = found.counterexample
    own = case is not None and any(len(s.input) == len(case.input) for s in found.shortcuts)
    return bool(found.shortcuts) and (len(found.shortcuts) > 1 or not own)


def split_case(case: CaseView, width: int) -> Iterable[tuple[int, int]]:
    """(first, end) column blocks of a case's tokens that fit a width in characters."""
    rows = (case.input, case.expected, case.output)
    columns = max(len(row) for row in rows)
    widest = max((len(token) for row in rows for token in row), default=1)
    each = max(1, width // (widest + 1))
    return [(at, min(at + each, columns)) for at in range(0, columns, each)]
