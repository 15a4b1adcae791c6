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
    "sporadic": "the model errs on a handful of inputs; no rule was found, all are listed",
    "undetermined": "no faithful machine was found; only the region that holds is claimed",
}

KINDS = {
    "bounded-depth": "follows the recursion to a fixed depth and no further",
    "deep-base-case": "takes the wrong step at the base case once the recursion is deep",
    "position-keyed": "acts on where a token stands instead of what came before it",
    "length-keyed": "acts on how long the input is",
    "truncated": "stops writing too early",
    "lost-state": "loses its state: right up to a point, then anything",
    "degenerate": "ignores the input",
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
    n = sum(s.n for s in ex.fidelity.strata)
    return f"The machine was frozen before it was judged, on {n:,} inputs its builder never saw."


def _failures(ex: Explanation) -> str:
    hits = sum(s.failure_recall.hits for s in ex.fidelity.strata)
    total = sum(s.failure_recall.total for s in ex.fidelity.strata)
    if not total:
        return "None of those is an input the model gets wrong, so no failure was there to predict."
    return f"Of the model's {total:,} failures among them it predicts {hits:,} token for token."


def _under_intervention(ex: Explanation) -> str:
    rate = ex.fidelity.interventional
    if rate is None or not rate.total:
        return "It was not tested under intervention: it says what the model does, not how."
    return f"Under intervention on the network it predicts {rate}."


def _alone(ex: Explanation) -> str:
    left = len(ex.diff.unexplained)
    if not left:
        return ""
    return (
        f"{left:,} departures found by enumeration are not explained by any rule; they are listed."
    )
