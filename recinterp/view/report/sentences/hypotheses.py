"""Rejected hypotheses and equivalent machines in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recinterp.synthesis.hypothesis import RejectionReason, StrategyKind
from recinterp.view.diagram.labels import continuation_text

if TYPE_CHECKING:
    from recinterp.synthesis.alternatives import EquivalentMachine
    from recinterp.synthesis.hypothesis import RejectedHypothesis, Strategy
    from recinterp.synthesis.state_merging.views import Reading


def rejected_hypothesis(found: RejectedHypothesis) -> str:
    """One rejected hypothesis: its strategy, what it leaves unexplained, the reason."""
    counts = f"wrong on {found.wrong} and abstains on {found.abstained} of {found.queried} queries"
    return f"{strategy_text(found.strategy)}, size {found.size}: {counts}; {rejection_text(found)}"


def strategy_text(strategy: Strategy) -> str:
    """How a machine was found."""
    if strategy.kind == StrategyKind.STATE_MERGING:
        assert strategy.reading is not None
        text = f"state merging, read {reading_text(strategy.reading)}"
        return f"{text}: {strategy.states} control states"
    if strategy.kind == StrategyKind.EDITS:
        text = "edits of the ground-truth machine"
    else:
        machine = "edited machine" if strategy.on_edited else "ground-truth machine"
        text = f"guard trees on the {machine}"
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
    """Why a hypothesis was rejected, compared with the chosen machine."""
    inputs = "1 input" if found.difference == 1 else f"{found.difference} inputs"
    match found.reason:
        case RejectionReason.MORE_WRONG:
            return f"it is wrong on {inputs} more than the chosen machine"
        case RejectionReason.MORE_ABSTENTIONS:
            return f"it abstains on {inputs} more than the chosen machine"
        case RejectionReason.TOO_LARGE:
            size = f"its size is {found.size} instead of {found.chosen_size}"
            return f"it is wrong on {inputs} fewer, but {size}"
        case RejectionReason.LARGER:
            return f"it explains no more, and is larger than {found.chosen_size}"
        case RejectionReason.NO_BETTER:
            return "it explains no more"


def equivalent_machine(found: EquivalentMachine) -> str:
    """One equivalent machine: its other guards, and the shortest input where the two differ."""
    if found.followed.total:
        return _other_continuation(found)
    return (
        f"{'; '.join(found.rules)}: it has the same outputs on this domain; on the longer input"
        f" {' '.join(found.input)} it {_does(found.output)}, and the chosen machine"
        f" {_does(found.chosen_output)}"
    )


def _other_continuation(found: EquivalentMachine) -> str:
    name = continuation_text(found.machine.continuation)
    text = f"Next {name}: it has the same outputs on this domain; the model follows it after "
    text += f"{found.followed} of the forced outputs that tell"
    if not found.input:
        return text
    return (
        f"{text}; on {' '.join(found.input)} it {_does(found.output)}, and the chosen machine"
        f" {_does(found.chosen_output)}"
    )


def _does(output: tuple[str, ...] | None) -> str:
    """What a machine does on an input; the empty output is written ε."""
    return "abstains" if output is None else f"writes {' '.join(output) or 'ε'}"
