"""What a rule could have done instead: words that stand in the outputs there, and a goto."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recinterp.machine.nodes import Add, Const, Copy, Emit, Lost, Reg, Rule, Set, add_constant
from recinterp.synthesis.edits.guards import Mask

if TYPE_CHECKING:
    from recinterp.machine import Machine, Update
    from recinterp.machine.execution.batch import EventView
    from recinterp.machine.nodes import Expr
    from recinterp.synthesis.config import EditConfig
    from recinterp.synthesis.dataset import Outcome

EmittedWord: TypeAlias = tuple[str | Copy, ...]


@dataclass(frozen=True)
class Action:
    """What a rule does instead: its updates, and the control state it goes to (None: halt)."""

    updates: tuple[Update, ...]
    goto: str | None


def propose_actions(
    machine: Machine, rule: Rule, view: EventView, bad: Mask, outcome: Outcome, config: EditConfig
) -> Iterator[tuple[Action, Mask]]:
    """What could have happened instead, with the events whose next outputs agree with it.

    Args:
        machine: the machine that is edited.
        rule: its rule that is to act otherwise.
        view: the rule's events.
        bad: the events that went wrong; only what explains some of them is proposed.
        outcome: the machine's runs beside the outputs.
        config: bounds on words and places.
    """
    others = tuple(u for u in rule.updates if not isinstance(u, Emit | Lost))
    gotos = dict.fromkeys([rule.goto, *machine.modes])
    moves = _usual_move(machine) if rule.goto is None else ()
    for word, fits, ends in _output_words(machine, rule, view, bad, outcome, config):
        emit = (Emit(word),) if word else ()
        if (fits & ends & bad).any():
            yield Action(emit, None), fits & ends
        on = fits & ~ends
        for goto in gotos:
            agrees = _continues(fits, ends, bad) if goto == rule.goto else on
            if goto is not None and (agrees & bad).any():
                yield Action((*emit, *(others or moves)), goto), agrees


def pointer_shifts(rule: Rule, view: EventView) -> Iterator[tuple[Action, Mask]]:
    """The rule with a pointer that moves one place further, or not at all.

    With the events at which that need not show, as an equal token is read next.
    """
    for i, update in enumerate(rule.updates):
        if isinstance(update, Set):
            before, after = rule.updates[:i], rule.updates[i + 1 :]
            onward = update.to.sign if isinstance(update.to, Add) else 1
            further = replace(update, to=add_constant(update.to, onward))
            due = view.read_tokens(update.to)
            yield Action((*before, further, *after), rule.goto), view.read_tokens(further.to) == due
            yield Action((*before, *after), rule.goto), view.read_tokens(Reg(update.reg)) == due


def update_deletions(rule: Rule) -> Iterator[Action]:
    """The rule without one of its updates (a push, a token, a step), or halting at once."""
    for left_out in rule.updates:
        yield Action(tuple(u for u in rule.updates if u is not left_out), rule.goto)
    if rule.goto is not None and not rule.word:
        yield Action((), None)


def goto_changes(machine: Machine, rule: Rule, config: EditConfig) -> Iterator[Action]:
    """A rule that writes nothing, continued in another control state of a small machine."""
    if rule.word or rule.goto is None or len(machine.modes) > config.max_modes_for_gotos:
        return
    for mode in machine.modes:
        if mode != rule.goto:
            yield Action(rule.updates, mode)


def _continues(fits: Mask, ends: Mask, bad: Mask) -> Mask:
    """Events that agree with a rule which goes on where the true one does.

    An output that ends here may also end one step on, as it does where the true rule was right;
    of the bad events those are not counted on unless all of them end.
    """
    counted = fits & ~(ends & bad)
    return counted if (counted & bad).any() else fits


def _usual_move(machine: Machine) -> tuple[Update, ...]:
    """How the machine's rules usually move their registers (a halting rule moves none)."""
    moves = [
        u for r in machine.rules for u in r.updates if isinstance(u, Set) and isinstance(u.to, Add)
    ]
    return (max(moves, key=moves.count),) if moves else ()


def _copy_places(machine: Machine, rule: Rule, end_places: int) -> list[Expr]:
    """Where a written token may be copied from: around what is read, and near both ends."""
    names = [*(name for name, _ in machine.registers), *(["top"] if machine.frames else [])]
    read: list[Expr] = [*map(Reg, names), *(x.at for x in rule.word if isinstance(x, Copy))]
    around = [add_constant(at, k) for at in read for k in (0, 1, -1)]
    ends = [e for k in range(end_places) for e in (Const(k), add_constant(Reg("n"), -1 - k))]
    return [*dict.fromkeys(around), *ends]


def _output_words(
    machine: Machine, rule: Rule, view: EventView, bad: Mask, outcome: Outcome, config: EditConfig
) -> list[tuple[EmittedWord, Mask, Mask]]:
    """Words that stand in the outputs at the bad events, most frequent first.

    Each with the events at which the outputs continue so, and those at which they then end.
    """
    ids, length = outcome.dataset.output_ids[view.rows], outcome.dataset.output_lengths[view.rows]
    here = np.arange(len(view.rows))

    def due(offset: int) -> np.ndarray:
        """The output's token so many places on, -1 after its end."""
        at = view.t + offset
        return np.where(at < length, ids[here, np.minimum(at, ids.shape[1] - 1)], -1)

    copies = {
        Copy(at): view.read_tokens(at) for at in _copy_places(machine, rule, config.end_places)
    }
    options: dict[EmittedWord, Mask] = {(): np.ones(len(here), dtype=bool)}
    for size in range(config.max_word_length):
        for word, fits in list(options.items()):
            if len(word) != size:
                continue
            token = due(size)
            for copy, read in copies.items():
                options[(*word, copy)] = fits & (read == token)
            for number in np.unique(token[bad & fits & (token >= 0)]).tolist():
                options[(*word, machine.vocab[number])] = fits & (token == number)
        ranked = sorted(options.items(), key=lambda kv: -int((kv[1] & bad).sum()))
        options = dict(ranked[: config.max_words * (size + 2)])
    if rule.word and () in options:  # where a rule's own word stands, it wrote something
        own = [view.piece_tokens(piece) == due(i) for i, piece in enumerate(rule.word)]
        options[()] = ~np.logical_and.reduce(own)
    return [
        (word, fits, length == view.t + len(word))
        for word, fits in options.items()
        if (fits & bad).sum() >= config.min_fault_events
    ]
