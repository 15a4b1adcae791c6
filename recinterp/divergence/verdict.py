"""The verdict: exact, shortcut, bounded, sporadic or undetermined, and the shortcuts.

exact          model and ground truth agree on every input that was compared
shortcut       they do not, and of the errors that the readable machine predicts at least 90 % are
               the model's, token for token; it predicts at least 90 % of the model's errors, or all
               but a rest that is listed; and both hold on the held-out inputs too
bounded        the model is right on a region that one readable condition gives, and wrong outside
               it, and no readable machine says what it writes there (`regions.py`)
sporadic       they differ on at most 1 % of the inputs, by no rule that was found
undetermined   anything else, with the region that is correct; also a model that is right nowhere,
               unless a readable edit of the ground truth says how
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from recinterp.divergence.config import DEFAULTS, DivergenceConfig
from recinterp.divergence.groups import DivergenceGroup, RunPair, group_divergences, run_both
from recinterp.divergence.kinds import GroupFacts, InputMeasures, collect_facts, fitting_kinds
from recinterp.divergence.regions import (
    Conjunction,
    Region,
    find_conditions,
    find_hint,
    holds_any,
    judge_region,
    list_features,
    measure_features,
)
from recinterp.divergence.results import (
    Cause,
    CauseKind,
    Coverage,
    Diff,
    Divergence,
    ErrorCell,
    Shortcut,
    ShortcutKind,
    Verdict,
)
from recinterp.splits import held_out
from recinterp.stats import Rate
from recinterp.synthesis.abstention import entry_rules
from recinterp.synthesis.config import DEFAULTS as SEARCH

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.synthesis.dataset import Dataset
    from recinterp.tasks import Domain, Task

Tokens = list[str]


@dataclass(frozen=True, kw_only=True)
class ComparedOutputs:
    """Model, ground truth and machine on the same inputs.

    Attributes:
        task: The task whose function is the ground truth.
        machine: The learned machine.
        inputs: The inputs: all of a domain, or a sample.
        outputs: What the model writes for each.
        expected: The correct output of each.
        claimed: What the machine writes for each; None where it abstains.
        exhaustive: Whether the inputs are all of the domain.
    """

    task: Task
    machine: Machine
    inputs: Sequence[Tokens]
    outputs: Sequence[Tokens]
    expected: Sequence[Tokens]
    claimed: Sequence[Tokens | None]
    exhaustive: bool

    @cached_property
    def measures(self) -> InputMeasures:
        """Depth and length of every input."""
        return InputMeasures.of(self.task, self.inputs)

    @cached_property
    def model_errors(self) -> list[int]:
        """Rows on which model and ground truth differ."""
        return [
            i for i, (y, z) in enumerate(zip(self.outputs, self.expected, strict=True)) if y != z
        ]

    @cached_property
    def predicted_errors(self) -> list[int]:
        """Rows on which the machine claims a wrong output."""
        pairs = zip(self.claimed, self.expected, strict=True)
        return [i for i, (m, z) in enumerate(pairs) if m is not None and m != z]

    def matches(self, rows: Sequence[int]) -> int:
        """On how many of some rows the machine writes exactly what the model writes."""
        return sum(self.claimed[i] == self.outputs[i] for i in rows)

    def is_confirmed(self, i: int) -> bool:
        """Whether the model errs on a row as the machine claims, or where it claims only that."""
        claim, output = self.claimed[i], self.outputs[i]
        return claim == output if claim is not None else output != self.expected[i]

    def divergence(self, i: int) -> Divergence:
        """One row as a result."""
        claim = self.claimed[i]
        return Divergence(
            input=tuple(self.inputs[i]),
            expected=tuple(self.expected[i]),
            model_output=tuple(self.outputs[i]),
            machine_output=None if claim is None else tuple(claim),
        )

    def count_cells(self, rows: np.ndarray) -> tuple[ErrorCell, ...]:
        """Of the inputs of each length and depth: how many are among some rows."""
        keys = np.stack([self.measures.length, self.measures.depth], axis=1)
        found, cell = np.unique(keys, axis=0, return_inverse=True)
        total, hits = np.bincount(cell.ravel()), np.bincount(cell.ravel(), weights=rows)
        return tuple(
            ErrorCell(length=n, depth=d, errors=Rate(int(k), of))
            for (n, d), k, of in zip(found.tolist(), hits, total.tolist(), strict=True)
        )


def judge_divergence(
    compared: ComparedOutputs,
    truth: Machine,
    mechanism: str,
    *,
    queried: Dataset | None = None,
    training: Domain | None = None,
    config: DivergenceConfig = DEFAULTS,
) -> Diff:
    """Verdict and shortcuts.

    Args:
        compared: The three outputs of every input.
        truth: The ground-truth machine.
        mechanism: The mechanism's kind.
        queried: The queries that the machine was made from: the region is chosen on them.
        training: The inputs of the model's training; None where unknown.
        config: Thresholds.
    """
    errors, predicted = compared.model_errors, compared.predicted_errors
    degenerate = _ignores_input(compared, config)
    hopeless = degenerate or _is_right_nowhere(compared, truth, config)
    region, hint = _regions(compared, truth, queried, config)
    verdict = Verdict.UNDETERMINED if hopeless else _verdict(compared, region, config)
    found = [_degenerate(compared)] if degenerate else _shortcuts(compared, truth, config)
    unexplained = [i for i in range(len(compared.inputs)) if _is_unexplained(compared, i)]
    shortest = min(errors, key=lambda i: len(compared.inputs[i]), default=None)
    return Diff(
        verdict=verdict,
        mechanism=mechanism,
        shortcuts=tuple(found),
        unexplained=tuple(map(compared.divergence, unexplained)),
        coverage=_coverage(compared),
        region=region,
        hint=hint if verdict in (Verdict.SPORADIC, Verdict.UNDETERMINED) else None,
        causes=_causes(compared, training),
        divergent=len(errors),
        total=len(compared.inputs),
        exhaustive=compared.exhaustive,
        errors=_error_cells(compared),
        exact_recall=Rate(compared.matches(errors), len(errors)),
        exact_precision=Rate(compared.matches(predicted), len(predicted)),
        counterexample=None if shortest is None else compared.divergence(shortest),
        trained_length=None if training is None else training.max_length,
    )


def _verdict(compared: ComparedOutputs, region: Region, config: DivergenceConfig) -> Verdict:
    errors, predicted = compared.model_errors, compared.predicted_errors
    if not errors:
        return Verdict.EXACT
    apart = [held_out(x) for x in compared.inputs]
    unseen_errors = [i for i in errors if apart[i]]
    unseen_predicted = [i for i in predicted if apart[i]]
    enough = compared.matches(errors) >= config.min_predicted_errors
    if (
        enough
        and _predicts(compared, errors, predicted, len(compared.inputs), config)
        and _predicts(compared, unseen_errors, unseen_predicted, sum(apart), config, spared=1)
    ):
        return Verdict.SHORTCUT
    if region.is_bounded(config):
        return Verdict.BOUNDED
    rare = len(errors) <= config.max_sporadic_share * len(compared.inputs)
    return Verdict.SPORADIC if rare else Verdict.UNDETERMINED


def _regions(
    compared: ComparedOutputs, truth: Machine, queried: Dataset | None, config: DivergenceConfig
) -> tuple[Region, Region | None]:
    """Where the model is right, chosen on the queries; and the best single comparison, as a hint.

    Without queries, nothing is chosen.
    """
    conditions: tuple[Conjunction, ...] = ()
    hint: Conjunction | None = None
    if queried is not None and queried.failures.any() and compared.model_errors:
        step = 1 + len(queried.inputs) // config.max_queried
        inputs, failed = queried.inputs[::step], queried.failures[::step]
        expected = compared.task.apply_many(inputs)
        keys = list_features(compared.task, truth)
        features = measure_features(compared.task, truth, inputs, expected, keys)
        conditions = find_conditions(features, failed, config)
        hint = find_hint(features, failed)
    region = _judge_region(compared, truth, conditions)
    return region, None if hint is None else _judge_region(compared, truth, (hint,))


def _judge_region(
    compared: ComparedOutputs, truth: Machine, conditions: tuple[Conjunction, ...]
) -> Region:
    failed = np.zeros(len(compared.inputs), dtype=bool)
    failed[compared.model_errors] = True
    apart = np.array([held_out(x) for x in compared.inputs], dtype=bool)
    keys = [(c.kind, c.token) for conjunction in conditions for c in conjunction]
    flagged = np.zeros(len(failed), dtype=bool)
    if keys:
        measures = (compared.task, truth, compared.inputs, compared.expected, keys)
        flagged = holds_any(conditions, measure_features(*measures))
    return judge_region(conditions, flagged, failed, apart)


def _causes(compared: ComparedOutputs, training: Domain | None) -> tuple[Cause, ...]:
    """Hypotheses on why the model fails, from what it was trained on, the best first."""
    if training is None or not compared.model_errors:
        return ()
    errors = np.zeros(len(compared.inputs), dtype=bool)
    errors[compared.model_errors] = True
    conditions: list[tuple[CauseKind, int | None, np.ndarray]] = []
    if training.max_length is not None:
        longer = compared.measures.length > training.max_length
        conditions.append((CauseKind.LONGER, training.max_length, longer))
    if training.max_depth is not None:
        deeper = compared.measures.depth > training.max_depth
        conditions.append((CauseKind.DEEPER, training.max_depth, deeper))
    if training.exclude is not None:
        excluded = np.array([bool(training.exclude(x)) for x in compared.inputs])
        conditions.append((CauseKind.EXCLUDED, None, excluded))
    causes = [
        Cause(
            kind=kind,
            bound=bound,
            recall=Rate(int((errors & held).sum()), int(errors.sum())),
            precision=Rate(int((errors & held).sum()), int(held.sum())),
        )
        for kind, bound, held in conditions
        if (errors & held).any()
    ]
    return tuple(sorted(causes, key=lambda c: -c.recall.value * c.precision.value))


def _predicts(
    compared: ComparedOutputs,
    errors: list[int],
    predicted: list[int],
    among: int,
    config: DivergenceConfig,
    spared: int = 0,
) -> bool:
    """Whether the errors that the machine predicts are the model's, and leave few of them out.

    spared: errors of either sort that are forgiven however few there are.
    """
    hits, slack = compared.matches(errors), 1 - config.min_predicted_share
    false, missed = len(predicted) - hits, len(errors) - hits
    precise = false <= max(slack * len(predicted), spared)
    forgiven = max(slack * len(errors), spared)
    return precise and (missed <= forgiven or missed < config.max_listed_share * among)


def _is_unexplained(compared: ComparedOutputs, i: int) -> bool:
    """An error on which the machine abstains, or a claim that is not what the model writes."""
    claim, model = compared.claimed[i], compared.outputs[i]
    return claim != model if claim is not None else model != compared.expected[i]


def _ignores_input(compared: ComparedOutputs, config: DivergenceConfig) -> bool:
    """Whether inputs of a length all get one output, where their correct outputs differ.

    Not where two inputs of a length get two outputs that are correct: there the input is read.
    """
    given, true, right = (defaultdict[int, set[tuple[str, ...]]](set) for _ in range(3))
    for x, y, z in zip(compared.inputs, compared.outputs, compared.expected, strict=True):
        given[len(x)].add(tuple(y))
        true[len(x)].add(tuple(z))
        if y == z:
            right[len(x)].add(tuple(z))
    varied = [n for n, outputs in true.items() if len(outputs) >= config.min_distinct_outputs]
    reads = any(len(outputs) > 1 for outputs in right.values())
    return bool(varied) and not reads and all(len(given[n]) == 1 for n in varied)


def _is_right_nowhere(compared: ComparedOutputs, truth: Machine, config: DivergenceConfig) -> bool:
    """Whether hardly any output is right, nor most tokens, and no readable edit says why.

    A network as it was initialised is a simple function too, and no shortcut of this one.
    """
    rows = list(zip(compared.outputs, compared.expected, strict=True))
    right = {tuple(z) for y, z in rows if y == z}
    enough = min(config.min_distinct_outputs, len({tuple(z) for z in compared.expected}) / 2)
    if len(right) >= enough or compared.machine.size <= truth.size + SEARCH.edits.readable_size:
        return False
    same = sum(a == b for y, z in rows for a, b in zip(y, z, strict=False))
    return same < config.min_token_agreement * sum(max(len(y), len(z)) for y, z in rows)


def _error_cells(compared: ComparedOutputs) -> tuple[ErrorCell, ...]:
    """The model's errors by length and depth."""
    wrong = np.zeros(len(compared.inputs), dtype=bool)
    wrong[compared.model_errors] = True
    return compared.count_cells(wrong)


def _degenerate(compared: ComparedOutputs) -> Shortcut:
    i = min(compared.model_errors, key=lambda i: len(compared.inputs[i]))
    return Shortcut(
        bounds=((ShortcutKind.DEGENERATE, None),),
        counterexample=compared.inputs[i],
        expected=compared.expected[i],
        model_output=compared.outputs[i],
        share=_error_cells(compared),
        rule="",
        step="",
    )


def _shortcuts(
    compared: ComparedOutputs, truth: Machine, config: DivergenceConfig
) -> list[Shortcut]:
    """One shortcut per fault that the model confirms, shortest first.

    A fault is a group of divergences, or several that one kind describes together: a machine may
    need two rules for what is one fault (the last step within a bound, and those beyond it).
    """
    search = _FaultSearch(
        compared, truth, run_both(compared.machine, truth, compared.inputs), config
    )
    faults: list[_Fault] = []
    for group in group_divergences(search.runs):
        fault = search.fault(group)
        at = next((i for i, f in enumerate(faults) if search.is_one(fault, f)), len(faults))
        faults[at : at + 1] = [search.join(fault, f) for f in faults[at : at + 1]] or [fault]
    found = [s for f in faults if (s := search.shortcut(f)) is not None]
    return sorted(found, key=lambda s: len(s.counterexample))


@dataclass(frozen=True, kw_only=True)
class _Fault:
    """Divergences that are reported as one: the inputs, the rules and the kinds that fit."""

    group: DivergenceGroup
    known: GroupFacts
    kinds: tuple[tuple[ShortcutKind, int | None], ...]


@dataclass(frozen=True)
class _FaultSearch:
    """What every fault of one comparison has in common."""

    compared: ComparedOutputs
    truth: Machine
    runs: RunPair
    config: DivergenceConfig

    def kinds(
        self, rows: np.ndarray, known: GroupFacts
    ) -> tuple[tuple[ShortcutKind, int | None], ...]:
        """The kinds that fit some rows."""
        return tuple(fitting_kinds(rows, self.runs.deviates, known, self.config))

    def fault(self, group: DivergenceGroup) -> _Fault:
        """A group as a fault of its own."""
        step = self.truth.rules[group.step]
        owners = (
            {k for k, r in enumerate(self.truth.rules) if r.origin == step.origin}
            if step.origin
            else {group.step}
        )
        known = collect_facts(self.compared.measures, self.runs.truth, self.runs.learned, owners)
        return _Fault(group=group, known=known, kinds=self.kinds(group.rows, known))

    def is_one(self, fault: _Fault, other: _Fault) -> bool:
        """Whether a kind with a bound, or one of outputs, describes both faults together."""
        whole = (ShortcutKind.DOES_NOT_END, ShortcutKind.DROPPED_REPEATS)
        bounded = {k for k, bound in fault.kinds if bound is not None or k in whole}
        shared = bounded & {k for k, _ in other.kinds}
        together = self.kinds(fault.group.rows | other.group.rows, other.known)
        return bool(shared & {kind for kind, _ in together})

    def join(self, fault: _Fault, first: _Fault) -> _Fault:
        """Two faults as one, under the rule and step of the first, which is the larger."""
        rows = first.group.rows | fault.group.rows
        group = replace(first.group, rows=rows)
        return _Fault(group=group, known=first.known, kinds=self.kinds(rows, first.known))

    def shortcut(self, fault: _Fault) -> Shortcut | None:
        """The fault as a result, or None where the model confirms none of its inputs."""
        compared, group, step = self.compared, fault.group, self.truth.rules[fault.group.step]
        confirmed = [i for i in np.flatnonzero(group.rows).tolist() if compared.is_confirmed(i)]
        if not confirmed:
            return None
        shortest = min(confirmed, key=lambda i: len(compared.inputs[i]))
        return Shortcut(
            bounds=fault.kinds or ((ShortcutKind.OTHER, None),),
            counterexample=list(compared.inputs[shortest]),
            expected=list(compared.expected[shortest]),
            model_output=list(compared.outputs[shortest]),
            share=compared.count_cells(group.rows),
            rule=compared.machine.rules[group.rule].name,
            step=step.origin or step.name,
        )


def _coverage(compared: ComparedOutputs) -> Coverage:
    """Where the machine makes claims, and how many of them are correct."""
    from recinterp.machine.formats.writer import guard_text

    claims = [i for i, m in enumerate(compared.claimed) if m is not None]
    return Coverage(
        conditions=tuple(guard_text(rule.guard) for rule in entry_rules(compared.machine)),
        covered=Rate(len(claims), len(compared.inputs)),
        correct=Rate(compared.matches(claims), len(claims)),
    )
