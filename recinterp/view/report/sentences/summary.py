"""The first screen in words: accuracy, verdict, errors, prediction, evidence, mechanism, limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recinterp.divergence.regions import FeatureKind, InputCondition, Region
from recinterp.divergence.results import Cause, CauseKind, Verdict
from recinterp.view.report.sentences.kinds import kind_label, other_labels, shortcut_does
from recinterp.view.report.sentences.network import (
    continuation_sentence,
    mechanism_sentence,
    place_sentence,
)
from recinterp.view.report.sentences.numbers import (
    counts_text,
    grouped_percent,
    percent_text,
    range_text,
    rate_text,
)

if TYPE_CHECKING:
    from recinterp.divergence import Accuracy, Diff, ErrorCell
    from recinterp.explanation import Explanation
    from recinterp.judge import Fidelity
    from recinterp.tasks import Domain
    from recinterp.view.report.data import CaseView


@dataclass(frozen=True, kw_only=True)
class SummaryLine:
    """One labelled paragraph of the first screen.

    Attributes:
        label: Its label.
        term: The glossary's slug of the label; empty where there is none.
        text: Its sentences.
    """

    label: str
    term: str
    text: str


def headline(diff: Diff) -> str:
    """The verdict with its counts, as one sentence."""
    count = f"{diff.divergent:,} of {diff.total:,} inputs"
    match diff.verdict:
        case Verdict.EXACT:
            scope = "inputs" if diff.exhaustive else "sampled inputs"
            return f"The model is correct on all {diff.total:,} {scope}."
        case Verdict.SHORTCUT:
            left = diff.exact_recall.total - diff.exact_recall.hits
            rest = f", {left:,} of them unexplained" if left else ""
            return f"The model {_ways(diff)}; it is wrong on {count}{rest}."
        case Verdict.BOUNDED:
            return f"The model is correct {region_where(diff.region)}, and wrong on {count}."
        case Verdict.SPORADIC:
            return f"The model is correct except on {count}, by no rule that was found."
        case _ if diff.shortcuts:
            return f"No faithful machine was found. The best one {_ways(diff)} ({count} are wrong)."
        case _:
            return f"No machine explains this model, which is wrong on {count}."


def summary_lines(ex: Explanation) -> tuple[SummaryLine, ...]:
    """The first screen, in the order in which it is read."""
    return (
        SummaryLine(label="Accuracy", term="", text=_accuracy_text(ex)),
        SummaryLine(label="Verdict", term="verdict", text=_verdict_text(ex)),
        SummaryLine(label="Errors", term="ground-truth", text=_errors_text(ex.diff)),
        SummaryLine(label="Predicted", term="exact-recall", text=_predicted_text(ex.diff)),
        SummaryLine(
            label="Evidence", term="held-out", text=_evidence_text(ex.fidelity, ex.query_count)
        ),
        SummaryLine(label="Mechanism", term="mechanism", text=_mechanism_text(ex)),
        SummaryLine(label="Limits", term="domain", text=_limits_text(ex)),
    )


def _accuracy_text(ex: Explanation) -> str:
    """The sanity line; it begins with what the checkpoint records otherwise than the task."""
    text = accuracy_text(ex.accuracy)
    if not ex.contradiction:
        return text
    return f"{ex.contradiction[:1].upper()}{ex.contradiction[1:]}. {text}"


def accuracy_text(accuracy: Accuracy) -> str:
    """The sanity line: the model's own accuracy, overall and by length."""
    overall = accuracy.overall
    if overall.total and not overall.hits:
        return (
            f"0 of {overall.total:,} outputs are correct: check the token order, the token ids, "
            "the prompt template and EOS."
        )
    text = f"{percent_text(overall)} of the model's outputs are correct ({counts_text(overall)})."
    groups = grouped_percent(accuracy.by_length)
    if len(groups) == 1:
        return text
    if len(groups) <= 10:
        parts = (f"{percent} at length {lengths}" for percent, lengths in groups)
        return f"{text} By input length: {', '.join(parts)}."
    worst = min(accuracy.by_length, key=lambda n: accuracy.by_length[n].value)
    best = max(accuracy.by_length, key=lambda n: accuracy.by_length[n].value)
    low, high = (percent_text(accuracy.by_length[n]) for n in (worst, best))
    return f"{text} By input length: from {low} at length {worst} to {high} at length {best}."


def _verdict_text(ex: Explanation) -> str:
    diff = ex.diff
    match diff.verdict:
        case Verdict.EXACT:
            return f"The model computes {ex.task.name} on every input that was compared."
        case Verdict.BOUNDED:
            return _bounded_text(ex)
        case Verdict.SPORADIC:
            return f"The model computes {ex.task.name} except for a few errors without a rule."
        case _ if not diff.shortcuts:
            return "No machine that was found describes what the model does."
    labels = ", ".join(dict.fromkeys(kind_label(s.kind, s.bound) for s in diff.shortcuts))
    if diff.verdict is Verdict.SHORTCUT:
        return f"{labels}. The model {_ways(diff)}."
    return f"No faithful machine was found. The best one shows {labels}: it {_ways(diff)}."


def _ways(diff: Diff) -> str:
    """What the model does, by the first two shortcuts that are worded differently."""
    texts = list(dict.fromkeys(map(shortcut_does, diff.shortcuts)))
    more = f" (and {len(texts) - 2} more ways)" if len(texts) > 2 else ""
    return "; it ".join(texts[:2]) + more


def _errors_text(diff: Diff) -> str:
    scope = "every input of the domain was compared" if diff.exhaustive else "a sample"
    if not diff.divergent:
        return f"None on {diff.total:,} inputs ({scope})."
    from recinterp.stats import Rate

    rate = Rate(diff.divergent, diff.total)
    share = percent_text(rate) if diff.exhaustive else rate_text(rate)
    return f"{diff.divergent:,} of {diff.total:,} inputs are wrong, {share} ({scope})."


def _predicted_text(diff: Diff) -> str:
    recall, precision = diff.exact_recall, diff.exact_precision
    false = precision.total - precision.hits
    if not recall.total:
        also = f"predicts {false:,} that the model does not make" if false else "predicts none"
        return f"There is no error to predict, and the learned machine {also}."
    text = (
        f"The learned machine predicts {counts_text(recall)} errors token for token "
        f"({percent_text(recall)})"
    )
    text += f", and {false:,} outputs that the model does not write." if false else "."
    left = len(diff.unexplained)
    if not left:
        return f"{text} No input is unexplained."
    text += f" {left:,} unexplained {'inputs are' if left > 1 else 'input is'} listed below."
    return f"{text}{_hint_text(diff)}"


def _evidence_text(found: Fidelity, queries: int) -> str:
    held = found.overall
    text = (
        f"On held-out inputs, none of which was among the {queries:,} queries: match "
        f"{rate_text(held.match)}"
    )
    if held.failure_recall.total:
        text += f"; errors predicted token for token {rate_text(held.failure_recall)}."
    else:
        text += "; none of them is an error, so no error could be predicted."
    return f"{text} {_interventions_text(found)}"


def _interventions_text(found: Fidelity) -> str:
    rate = found.interventional
    if rate is None or not rate.total:
        return "No intervention was tested: this is evidence on outputs only."
    parts = [f"interventional match {rate_text(rate)}"]
    contrast = found.carried_state_contrast
    if contrast is not None and contrast.total:
        parts.append(f"carried-state contrast {rate_text(contrast)}")
    if found.unpredicted_changes is not None:
        parts.append(f"unpredicted changes {rate_text(found.unpredicted_changes)}")
    return f"Under intervention: {'; '.join(parts)}."


def _mechanism_text(ex: Explanation) -> str:
    found = continuation_sentence(ex.continuation, ex.config.causal.continuations.min_trials)
    if ex.continuation.decided:
        return f"{ex.mechanism.kind}: {found} {place_sentence(ex.mechanism)}".rstrip()
    return f"{_state_mechanism_text(ex)} {found}".rstrip()


def _state_mechanism_text(ex: Explanation) -> str:
    text = mechanism_sentence(ex.mechanism, ex.config.causal.mechanism.min_trials)
    if not ex.mechanism.was_tested:
        return f"{text[:1].upper()}{text[1:]}"
    return f"{ex.mechanism.kind}: {text}"


def _limits_text(ex: Explanation) -> str:
    diff = ex.diff
    parts = []
    if diff.trained_length is not None:
        parts.append(f"The model was trained on inputs of at most {diff.trained_length} tokens.")
    parts.append("The explanation makes no statement beyond its domain.")
    if diff.total < ex.config.divergence.min_inputs:
        parts.append(f"With {diff.total} inputs the domain is too small to tell machines apart.")
    parts += [cause_text(cause) for cause in diff.causes[:1]]
    if ex.predictor is not None:
        parts.append(_predictor_text(ex))
    if diff.coverage.covered.hits < diff.coverage.covered.total:
        parts.append(coverage_text(diff))
    parts += _indistinguishable_kinds(diff)
    parts += _outside_prediction(ex)
    same = len(ex.equivalent_machines)
    if same:
        parts.append(f"{same} other machine{'s are' if same > 1 else ' is'} equivalent on it.")
    return " ".join(parts)


def _outside_prediction(ex: Explanation) -> list[str]:
    """What the machine predicts on an input just outside the domain, where others part from it."""
    if not ex.continuation.decided:
        return []
    other = next((m for m in ex.equivalent_machines if m.input and m.followed.total), None)
    if other is None:
        return []
    output = other.chosen_output
    writes = "an output without end" if output is None else " ".join(output) or "nothing"
    return [
        f"Outside it the machine predicts {writes} for {' '.join(other.input)}; "
        "ex.check(domain) compares such predictions with the model."
    ]


def _indistinguishable_kinds(diff: Diff) -> list[str]:
    """That other kinds fit the first shortcut as well, if the verdict does not name them."""
    if not diff.shortcuts:
        return []
    first, *_ = named = [kind_label(s.kind, s.bound) for s in diff.shortcuts]
    others = [label for label in other_labels(diff.shortcuts[0]) if label not in named]
    if not others:
        return []
    fit = "fits" if len(others) == 1 else "fit"
    return [f"On this domain {' and '.join(others)} {fit} as well as {first}."]


def condition_text(condition: InputCondition) -> str:
    """A comparison in words: `the recursion is at most 3 deep`."""
    bound = f"at {'least' if condition.at_least else 'most'} {condition.bound}"
    names = {
        FeatureKind.DEPTH: f"the recursion is {bound} deep",
        FeatureKind.LENGTH: f"the input has {bound} tokens",
        FeatureKind.OUTPUT_LENGTH: f"the correct output has {bound} tokens",
        FeatureKind.STACK: f"the ground truth's stack holds {bound} frames",
        FeatureKind.COUNT: f"the input has {condition.token} {bound} times",
        FeatureKind.OUTPUT_COUNT: f"the correct output has {condition.token} {bound} times",
        FeatureKind.RUN: f"the longest run of {condition.token} has {bound} tokens",
        FeatureKind.FIRST: f"the first {condition.token} of the input is {bound} tokens in",
        FeatureKind.LAST: f"the last {condition.token} of the input is {bound} tokens in",
    }
    return names[condition.kind]


def region_where(region: Region) -> str:
    """Where the model is right, as the rest of a sentence."""
    if not region.wrong_where:
        return "everywhere"
    return f"except where {wrong_where_text(region)}"


def wrong_where_text(region: Region) -> str:
    """Where a region predicts that the model is wrong."""
    return ", or ".join(" and ".join(map(condition_text, some)) for some in region.wrong_where)


def _bounded_text(ex: Explanation) -> str:
    region = ex.diff.region
    return (
        f"The model computes {ex.task.name} except where {wrong_where_text(region)}. Within this "
        f"bound {rate_text(region.right)} of its outputs are correct; {rate_text(region.recall)} "
        f"of its errors lie beyond it, where {rate_text(region.precision)} of the outputs are "
        "wrong. No readable machine says what it writes there."
    )


def _hint_text(diff: Diff) -> str:
    """The comparison that describes most errors, without a claim on their form."""
    if diff.hint is None or not diff.hint.recall.hits:
        return ""
    return (
        f" {percent_text(diff.hint.recall)} of the errors are inputs where "
        f"{wrong_where_text(diff.hint)}; of those inputs {percent_text(diff.hint.precision)} are "
        "wrong. This is a hint, not a rule."
    )


def cause_text(cause: Cause) -> str:
    """A hypothesis on why the model fails, with its two rates; no intervention tests it."""
    names = {
        CauseKind.LONGER: f"inputs of more than {cause.bound} tokens, the longest in training",
        CauseKind.DEEPER: f"inputs deeper than {cause.bound}, the deepest in training",
        CauseKind.EXCLUDED: "inputs that were left out of training",
    }
    text = (
        f"{percent_text(cause.recall)} of the errors are {names[cause.kind]}, and "
        f"{percent_text(cause.precision)} of those inputs are wrong"
    )
    return f"{text}; no intervention was made to test this as the cause."


def _predictor_text(ex: Explanation) -> str:
    assert ex.predictor is not None
    text = f"A larger machine of size {ex.predictor.size:,}, which is a table rather than an "
    text += "algorithm, predicts more (ex.predictor)"
    if ex.predictor_fidelity is None:
        return f"{text}."
    return f"{text}: match {rate_text(ex.predictor_fidelity.overall.match)} on held-out inputs."


def coverage_text(diff: Diff) -> str:
    """Where the machine makes claims, and how many of them are correct."""
    region = diff.coverage
    where = f" ({'; or '.join(region.conditions)})" if region.conditions else ""
    covered = f"The machine covers {region.covered.hits:,} of {region.covered.total:,} inputs"
    return f"{covered}{where} and abstains on the others; it is correct on {region.correct.hits:,}."


def error_pattern(cells: Sequence[ErrorCell]) -> str:
    """Where the errors are, in one line, if depth or length decides it; otherwise empty."""
    keys = {
        "recursion depth": [c.depth for c in cells],
        "length": [c.length for c in cells],
    }
    for name, places in keys.items():
        rates: dict[int, set[float]] = {}
        for place, cell in zip(places, cells, strict=True):
            rates.setdefault(place, set()).add(cell.errors.value)
        if any(len(found) > 1 or not found <= {0.0, 1.0} for found in rates.values()):
            continue
        wrong = [k for k, found in rates.items() if found == {1.0}]
        right = [k for k, found in rates.items() if found == {0.0}]
        other = "length" if name != "length" else "depth"
        text = f"{name} {range_text(wrong)}: 100% of the inputs are wrong"
        rest = f"; {name} {range_text(right)}: none" if right else ""
        return f"{text[:1].upper()}{text[1:]}{rest} (independent of {other})."
    return ""


def first_error_text(case: CaseView) -> str:
    """Where an output first differs from the correct one, in words."""
    at, end = case.first, "the end of the output"
    wrote = case.output[at] if at < len(case.output) else end
    true = case.expected[at] if at < len(case.expected) else end
    return f"output token {at + 1}: {wrote} instead of {true}"


def same_machine_text(continuation: str) -> str:
    """That the learned machine has the ground truth's rules, and how it goes on, if otherwise."""
    if not continuation:
        return "The learned machine is the ground-truth machine, rule by rule."
    return (
        "The learned machine has the ground truth's rules, and does not carry its position: "
        f"next it writes {continuation}."
    )


def claim_text(case: CaseView) -> str:
    """How the machine's claim relates to the model's output on one input."""
    if case.claimed is None:
        return "The learned machine abstains on this input."
    if case.claimed == case.output:
        return "The learned machine predicts the model's output."
    if case.claimed == case.expected:
        return "The learned machine predicts the correct output."
    return f"The learned machine predicts {' '.join(case.claimed) or 'the empty output'}."


def domain_text(domain: Domain) -> str:
    """A domain in words."""
    parts = [f"up to {domain.max_length} tokens"] if domain.max_length is not None else []
    if domain.min_length:
        parts = [
            f"of {domain.min_length} tokens"
            if domain.min_length == domain.max_length
            else f"of at least {domain.min_length} tokens",
            *(parts if domain.min_length != domain.max_length else []),
        ]
    parts += [f"depth at most {domain.max_depth}"] if domain.max_depth is not None else []
    parts += ["some excluded"] if domain.exclude is not None else []
    parts += ["drawn by a sampler"] if domain.is_sampled else []
    return "inputs of " + ", ".join(parts) if parts else "all inputs"
