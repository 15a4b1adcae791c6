"""What a rule could have done instead: words that stand in the outputs there, and a goto."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from recinterp.machine.nodes import Add, Const, Copy, Emit, Lost, Reg, Rule, Set, add_constant
from recinterp.synthesis.edits.guards import Mask

if TYPE_CHECKING:
    from recinterp.machine import Machine, Update
    from recinterp.machine.execution.batch import EventView
    from recinterp.machine.nodes import Expr
    from recinterp.synthesis.dataset import Outcome

ENDS = 6  # places at either end of the input that a token may be copied from
FEW_MODES = 8  # in machines of more, no other mode is tried without a token that shows it
WORDS = 6  # words tried per rule and round


@dataclass(frozen=True)
class Action:
    """What a rule does instead: its updates, and where it goes."""

    updates: tuple[Update, ...]
    goto: str | None


def actions(
    machine: Machine, rule: Rule, view: EventView, bad: Mask, outcome: Outcome
) -> Iterator[tuple[Action, Mask]]:
    """What could have happened instead, with the events whose next outputs agree with it."""
    others = tuple(u for u in rule.updates if not isinstance(u, Emit | Lost))
    gotos = dict.fromkeys([rule.goto, *(m for m in machine.modes)])
    moves = _advance(machine) if rule.goto is None else ()
    for word, fits, ends in _words(machine, rule, view, bad, outcome):
        emit = (Emit(word),) if word else ()
        if (fits & ends & bad).any():
            yield Action(emit, None), fits & ends
        on = fits & ~ends
        for goto in gotos:
            agrees = _goes_on(fits, ends, bad) if goto == rule.goto else on
            if goto is not None and (agrees & bad).any():
                yield Action((*emit, *(others or moves)), goto), agrees


def pointer_shifts(rule: Rule, view: EventView) -> Iterator[tuple[Action, Mask]]:
    """The same rule, but a pointer moves a place further, or not at all.

    With the events at which that need not show, as the same token is read next.
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
    """The same rule with something left out (a push, a token, a step), or all that comes after."""
    for left_out in rule.updates:
        yield Action(tuple(u for u in rule.updates if u is not left_out), rule.goto)
    if rule.goto is not None and not rule.word:
        yield Action((), None)


def goto_changes(machine: Machine, rule: Rule) -> Iterator[Action]:
    """A rule that writes nothing, gone on from in another of a few modes."""
    if rule.word or rule.goto is None or len(machine.modes) > FEW_MODES:
        return
    for mode in machine.modes:
        if mode != rule.goto:
            yield Action(rule.updates, mode)


def _goes_on(fits: Mask, ends: Mask, bad: Mask) -> Mask:
    """Events that agree with a rule which goes on where the true one does.

    An output that ends here may also end one step on, as it does where the true rule was right;
    of the bad events those are not counted on unless all of them end.
    """
    counted = fits & ~(ends & bad)
    return counted if (counted & bad).any() else fits


def _advance(machine: Machine) -> tuple[Update, ...]:
    """How the machine's rules usually move their registers (a halting rule moves none)."""
    moves = [
        u for r in machine.rules for u in r.updates if isinstance(u, Set) and isinstance(u.to, Add)
    ]
    return (max(moves, key=moves.count),) if moves else ()


def _readable(machine: Machine, rule: Rule) -> list[Expr]:
    """Where a token that is written may be copied from: around what is read, and near both ends."""
    names = [*(name for name, _ in machine.registers), *(["top"] if machine.frames else [])]
    read: list[Expr] = [*map(Reg, names), *(x.at for x in rule.word if isinstance(x, Copy))]
    around = [add_constant(at, k) for at in read for k in (0, 1, -1)]
    ends = [e for k in range(ENDS) for e in (Const(k), add_constant(Reg("n"), -1 - k))]
    return [*dict.fromkeys(around), *ends]


def _words(
    machine: Machine, rule: Rule, view: EventView, bad: Mask, outcome: Outcome
) -> list[tuple[tuple[str | Copy, ...], Mask, Mask]]:
    """Words that stand in the outputs at the bad events, most frequent first.

    Each with the events at which the outputs continue so, and those at which they then end.
    """
    y, size = outcome.dataset.y[view.rows], outcome.dataset.size[view.rows]
    here = np.arange(len(view.rows))

    def seen(offset: int) -> np.ndarray:
        at = view.t + offset
        return np.where(at < size, y[here, np.minimum(at, y.shape[1] - 1)], -1)

    copies = {Copy(at): view.read_tokens(at) for at in _readable(machine, rule)}
    options: dict[tuple[str | Copy, ...], Mask] = {(): np.ones(len(here), dtype=bool)}
    for depth in range(3):
        for word, fits in list(options.items()):
            if len(word) != depth:
                continue
            token = seen(depth)
            for copy, read in copies.items():
                options[(*word, copy)] = fits & (read == token)
            for number in np.unique(token[bad & fits & (token >= 0)]).tolist():
                options[(*word, machine.vocab[number])] = fits & (token == number)
        ranked = sorted(options.items(), key=lambda kv: -int((kv[1] & bad).sum()))
        options = dict(ranked[: WORDS * (depth + 2)])
    if rule.word and () in options:  # where a rule's own word stands, it wrote something
        own = [view.piece_tokens(piece) == seen(i) for i, piece in enumerate(rule.word)]
        options[()] = ~np.logical_and.reduce(own)
    return [(w, m, size == view.t + len(w)) for w, m in options.items() if (m & bad).sum() >= 2]
