"""Sentences that are the same in the text, on the page and in the JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recinterp.explain import Explanation
    from recinterp.tasks import Domain
    from recinterp.view.report import Case

VERDICTS = {
    "exact": "the model computes the function on all of the domain",
    "shortcut": "the model runs another algorithm; the machine below says where it goes wrong",
    "sporadic": "the model errs on a handful of inputs; what no rule tells is listed",
    "undetermined": "no faithful machine was found; only the region that holds is claimed",
}


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
    rate, false = ex.fidelity.interventional, ex.fidelity.false_effects
    if rate is None or not rate.total:
        return "It was not tested under intervention: it says what the model does, not how."
    said = f"Under intervention on the network it foretells {rate}"
    return said + (f"; effects where it foretells none: {false}." if false is not None else ".")


def _alone(ex: Explanation) -> str:
    left = len(ex.diff.unexplained)
    if not left:
        return ""
    return f"On {left:,} inputs of the domain it does not tell what the model does; see the list."
