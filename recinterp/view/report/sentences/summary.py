"""Sentences that are the same in the text, on the page and in the JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recinterp.explanation import Explanation
    from recinterp.tasks import Domain
    from recinterp.view.report.data import Case

VERDICTS = {
    "exact": "the model computes the function on all of the domain",
    "shortcut": "the model runs another algorithm; the machine below says where it goes wrong",
    "sporadic": "the model errs on a handful of inputs; what no rule tells is listed",
    "undetermined": "no faithful machine of this function was found; "
    "only the region that holds is claimed",
}


KINDS: dict[str, str] = {
    "bounded-depth": "follows the recursion correctly down to depth {k}, then stops recursing",
    "bounded-stack": "is right while at most {k} calls are pending, and forgets what lies deeper",
    "deep-base-case": "is right except where the recursion is as deep as the input is long",
    "position-keyed": "takes a step, {step}, by where it is written: wrongly at output index {k}",
    "length-keyed": "takes a step, {step}, by the length of the input: wrongly at {k} tokens",
    "missing-rule": "has no rule for one step, {step}, and is right wherever that never fires",
    "premature-end": "stops writing too early",
    "overrun": "does not stop where the recursion does",
    "copied-pattern": "copies fixed places of the input, the same ones for all inputs of a length",
    "degenerate": "writes the same whatever it reads",
    "other": "leaves the recursion in a way that no named kind describes",
}
SUBSPACES = (
    "Directions: a learned subspace, in which this variable alone is interchanged; judged on pairs "
    "it was not learned on, where the source writes a third token if such pairs are enough."
)
FORCED = (
    "Outputs were forced on the model. On inputs that nothing was learned from: how often it does "
    "that, and how often what the machine alone says. No run looked at meets such a state."
)
MIXED = "leaves the recursion in {n} ways, the first of which: it {first}"


def sentence(ex: Explanation) -> str:
    """Verdict and mechanism as one sentence: what the model does, and how it comes by it."""
    how = re.split(r" ?[;(.]", ex.mechanism.sentence, maxsplit=1)[0].strip()
    said = f"The model {_does(ex)}"
    if ex.diff.verdict == "undetermined" and ex.diff.shortcuts:
        said = f"No faithful machine was found; as far as the best one goes, the model {_does(ex)}"
        if not ex.diff.unexplained:
            said = f"This is hardly {ex.task.name} at all: the model {_does(ex)}"
    if not how or ex.mechanism.name == "neither":
        return f"{said}."
    return f"{said}; {how[0].lower()}{how[1:]}."


def _does(ex: Explanation) -> str:
    diff = ex.diff
    if diff.verdict == "exact":
        every = "every one" if diff.exhaustive else "each sampled one"
        return f"computes {ex.task.name} on {every} of {diff.total:,} inputs"
    if diff.verdict == "sporadic":
        return f"computes {ex.task.name} on all but {diff.divergent:,} of {diff.total:,} inputs"
    if not diff.shortcuts:
        return f"is wrong on {diff.divergent:,} of {diff.total:,} inputs, by no rule that was found"
    first = diff.shortcuts[0]
    does = KINDS.get(first.kind, KINDS["other"]).format(k=first.bound, step=first.step)
    several = len(diff.shortcuts)
    return does if several == 1 else MIXED.format(n=several, first=does)


def departure(case: Case) -> str:
    """Where an output leaves the truth, in words."""
    at, end = case.first, "the end"
    wrote = case.output[at] if at < len(case.output) else end
    true = case.expected[at] if at < len(case.expected) else end
    return f"at output token {at + 1}: the model writes {wrote} where {true} is true"


def domain_text(domain: Domain) -> str:
    """A domain in words."""
    said = [f"up to {domain.max_length} tokens"] if domain.max_length is not None else []
    said += [f"depth at most {domain.max_depth}"] if domain.max_depth is not None else []
    said += ["some excluded"] if domain.exclude is not None else []
    return "inputs of " + ", ".join(said) if said else "all inputs"


def trust(ex: Explanation) -> tuple[str, ...]:
    """How far to trust an explanation, in sentences that carry their counts."""
    said = [_counted(ex), _judged(ex), _failures(ex), _under_intervention(ex), _alone(ex)]
    return tuple(sentence for sentence in said if sentence)


def _counted(ex: Explanation) -> str:
    how = "every input of the domain" if ex.diff.exhaustive else "a sample of the domain"
    return f"Model and truth were compared on {how}: {ex.diff.total:,} inputs."


def _judged(ex: Explanation) -> str:
    return (
        f"The machine was built from {ex.probes:,} inputs and frozen, then judged on "
        f"{ex.fidelity.overall.n:,} that its builder never saw."
    )


def _failures(ex: Explanation) -> str:
    rate, flagged = ex.fidelity.overall.failure_recall, ex.fidelity.overall.flagged_recall
    if not rate.total:
        return "None of those is an input the model gets wrong, so no failure was there to predict."
    return (
        f"Of the model's {rate.total:,} failures among them it predicts {rate.hits:,} token for "
        f"token, and says of {flagged.hits:,} that they fail."
    )


def _under_intervention(ex: Explanation) -> str:
    rate, false = ex.fidelity.interventional, ex.fidelity.unpredicted_changes
    if rate is None or not rate.total:
        return "It was not tested under intervention: it says what the model does, not how."
    said = f"Under intervention on the network it foretells {rate}"
    apart = ex.fidelity.carried_state_contrast
    if apart is not None and apart.total:
        said += f", {apart} where a machine with its state in the output would say other"
    return said + (f"; effects where it foretells none: {false}." if false is not None else ".")


def _alone(ex: Explanation) -> str:
    left = len(ex.diff.unexplained)
    if not left:
        return ""
    return f"On {left:,} inputs of the domain it does not tell what the model does; see the list."
