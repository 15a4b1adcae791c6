"""Sentences that are the same in the text, on the page and in the JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recinterp.divergence.results import Verdict
from recinterp.view.report.sentences.kinds import shortcut_does

if TYPE_CHECKING:
    from recinterp.divergence import Diff
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


SUBSPACES = (
    "Directions: a learned subspace, in which this variable alone is interchanged; judged on pairs "
    "it was not learned on, where the source writes a third token if such pairs are enough."
)
FORCED = (
    "Outputs were forced on the model. On inputs that nothing was learned from: how often it does "
    "that, and how often what the machine alone says. No run looked at meets such a state."
)


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
        case Verdict.SPORADIC:
            return f"The model is correct except on {count}, all of which are listed."
        case _ if diff.shortcuts:
            return f"No faithful machine was found. The best one {_ways(diff)} ({count} are wrong)."
        case _:
            return f"No machine explains this model, which is wrong on {count}."


def _ways(diff: Diff) -> str:
    """What the model does, by the first two shortcuts that are worded differently."""
    texts = list(dict.fromkeys(map(shortcut_does, diff.shortcuts)))
    return "; it ".join(texts[:2])


def sentence(ex: Explanation) -> str:
    """What the model does, in one sentence."""
    return headline(ex.diff)


def region_text(diff: Diff) -> str:
    """Where the machine makes claims, and how many of them are correct."""
    region = diff.region
    where = f" ({'; or '.join(region.conditions)})" if region.conditions else ""
    covered = f"The machine covers {region.covered.hits:,} of {region.covered.total:,} inputs"
    return f"{covered}{where}; it is correct on {region.correct.hits:,} of these."


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
        f"The machine was built from {ex.query_count:,} inputs and frozen, then judged on "
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
