"""Rejected hypotheses and equivalent machines in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recinterp.synthesis.hypothesis import RejectionReason, StrategyKind

if TYPE_CHECKING:
    from recinterp.synthesis.alternatives import EquivalentMachine
    from recinterp.synthesis.hypothesis import RejectedHypothesis, Strategy
    from recinterp.synthesis.state_merging.views import Reading


def rejected_hypothesis(found: RejectedHypothesis) -> str:
    """One rejected hypothesis: how it was found, what it leaves unexplained, why it lost."""
    claims = f"{found.wrong} wrong and {found.abstained} unclaimed of {found.queried}"
    return f"{strategy_text(found.strategy)}, size {found.size}: {claims}; {rejection_text(found)}"


def strategy_text(strategy: Strategy) -> str:
    """How a machine was found."""
    if strategy.kind == StrategyKind.STATE_MERGING:
        assert strategy.reading is not None
        reading = reading_text(strategy.reading)
        return f"learned from logs, read {reading}: {strategy.states} control states"
    edits = strategy.kind == StrategyKind.EDITS
    text = "edits of the true machine" if edits else "guard trees on the true machine's control"
    text += ", edited" if strategy.on_edited else ""
    return text + (", read from the right" if strategy.from_right else "")


def reading_text(reading: Reading) -> str:
    """In which direction a merged machine reads, and what it knows ahead."""
    known = ["the next token"] if reading.ahead else []
    if reading.rest:
        known.append(f"whether the rest is all {' or '.join(reading.rest)}")
    if reading.bound:
        on, bound = reading.bound
        known.append(f"whether the {on} is {bound} or more")
    text = f"from the {'right' if reading.backwards else 'left'}"
    text += " and written from there" if reading.mirrored else ""
    return text + (f", knowing {' and '.join(known)}" if known else "")


def rejection_text(found: RejectedHypothesis) -> str:
    """Why a hypothesis was rejected."""
    match found.reason:
        case RejectionReason.MORE_WRONG:
            return f"{found.difference} more wrong claims"
        case RejectionReason.MORE_ABSTENTIONS:
            return f"claims {found.difference} inputs fewer"
        case RejectionReason.TOO_LARGE:
            sizes = f"too few for size {found.size} instead of {found.chosen_size}"
            return f"{found.difference} fewer wrong claims, {sizes}"
        case RejectionReason.LARGER:
            return f"explains no more and is larger than {found.chosen_size}"
        case RejectionReason.NO_BETTER:
            return "explains no more"


def equivalent_machine(found: EquivalentMachine) -> str:
    """One equivalent machine: its other guards, and the shortest input where the two differ."""
    outputs = [
        "nothing" if x is None else " ".join(x) or "ε" for x in (found.output, found.chosen_output)
    ]
    return (
        f"{'; '.join(found.rules)}: the same on this domain; on {' '.join(found.input)}"
        f" it would write {outputs[0]} instead of {outputs[1]}"
    )
