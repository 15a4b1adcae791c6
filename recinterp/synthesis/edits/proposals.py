"""The edits that are tried: where a rule went wrong, what it could have done instead, and when.

To blame for a first wrong token are the rule that wrote it and the one before; for what was passed
over or left out, any rule of a failing run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from recinterp.machine.execution.batch import Ints, Variant
from recinterp.machine.nodes import Atom, Expr, Lost, walk
from recinterp.synthesis.dataset import NEVER, Dataset, Outcome, is_reliably_wrong
from recinterp.synthesis.edits.actions import (
    Action,
    actions,
    goto_changes,
    pointer_shifts,
    update_deletions,
)
from recinterp.synthesis.edits.fault_localization import locate_faults
from recinterp.synthesis.edits.guards import (
    FALSE_FIRE_WEIGHT,
    Mask,
    Pool,
    candidate_atoms,
    find_guards,
    gather,
)

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.machine.execution.batch import EventView

GUARDS, GUARDS_ELSEWHERE = 60, 12  # guards tried for what a rule leaves out, and where it goes
ALIKE = 6  # guards that fire on the same events, tried where a pointer moves otherwise
FITS = 10  # sets of events that a rule's other acts would explain, the largest
FLAGGED_FAILURE_COST = 0.1  # what it costs where the machine says at least that the model fails
GIVE_UP = Action((Lost(),), None)


@dataclass(frozen=True)
class Candidate:
    """A variant to try, with the guards that cannot be told from its own on these events.

    touched: the inputs on which it fires; the others come out as before. upper_bound_gain: how
    many of the events that are to change it changes, less those that are not to.
    """

    variant: Variant
    equals: tuple[tuple[Atom, ...], ...]
    touched: Ints
    upper_bound_gain: float

    @property
    def nodes(self) -> int:
        """What it takes to say when."""
        return sum(isinstance(x, Expr | Atom) for a in self.variant.guard for x in walk(a))


def candidates(machine: Machine, outcome: Outcome, *, allow_actions: bool) -> Iterator[Candidate]:
    """Edits of the rules that wrote the first wrong tokens, and of those that fired just before."""
    batch, order = outcome.batch, locate_faults(outcome)
    for number, rule in enumerate(machine.rules):
        events = [e for e in batch.events if e.rule == number]
        if not events:
            continue
        view = gather(events, batch.out)
        first = outcome.first_difference[view.rows]
        end = view.t + len(rule.word)
        halts = rule.goto is None
        culprit = (first < NEVER) & (view.t <= first) & ((first < end) | halts)
        last = order.last(number)
        culprit |= (first < NEVER) & (first >= end) & last
        before = (first < NEVER) & order.before(number) & ~culprit
        sound = (first >= end) & ~culprit & ~before
        if max(culprit.sum(), before.sum()) < 2:
            continue
        pool = Pool.of(machine, view)
        if allow_actions:  # what is passed over, or stood on, may show at the next step or later
            until = (first < NEVER) & (view.t <= first)
            for bad in (before, until):
                moved = [(stride, bad | same) for stride, same in pointer_shifts(rule, view)]
                right = sound & ~until
                yield from _of_rule(pool, number, view, bad, right, moved, FALSE_FIRE_WEIGHT, ALIKE)
        for bad in (culprit, before):
            if bad.sum() >= 2:
                if allow_actions:
                    options = actions(machine, rule, view, bad, outcome)
                    yield from _of_rule(pool, number, view, bad, sound, options, FALSE_FIRE_WEIGHT)
                    continue
                for harm in (FALSE_FIRE_WEIGHT, FLAGGED_FAILURE_COST):
                    for c in _of_rule(pool, number, view, bad, sound, [(GIVE_UP, bad)], harm):
                        yield _certain(c, view, outcome.dataset)


def omissions(machine: Machine, outcome: Outcome) -> Iterator[Candidate]:
    """Edits that leave something out, or go elsewhere, wherever a failing run passed.

    What is not pushed is missed long after, so the first wrong token does not say where to look.
    """
    for number, rule in enumerate(machine.rules):
        events = [e for e in outcome.batch.events if e.rule == number]
        if not events or rule.lost:
            continue
        view = gather(events, outcome.batch.out)
        sound = outcome.equal[view.rows]
        if (~sound).sum() < 2:
            continue
        gain = {(): float((~sound).sum() - FALSE_FIRE_WEIGHT * sound.sum())} | {
            (atom,): float((mask & ~sound).sum() - FALSE_FIRE_WEIGHT * (mask & sound).sum())
            for atom, mask in candidate_atoms(machine, view)
        }
        clean = sorted((g for g in gain if gain[g] > 0), key=lambda g: -gain[g])[:GUARDS]
        further = [stride for stride, _ in pointer_shifts(rule, view)]
        for place, guard in enumerate(clean):
            touched = np.unique(view.inputs[view.all_hold(guard)])
            elsewhere = goto_changes(machine, rule) if place < GUARDS_ELSEWHERE else ()
            for action in (*update_deletions(rule), *further, *elsewhere):
                variant = Variant(number, guard, action.updates, action.goto)
                yield Candidate(variant, (), touched, gain[guard])


def _of_rule(
    pool: Pool,
    number: int,
    view: EventView,
    bad: Mask,
    sound: Mask,
    options: Iterable[tuple[Action, Mask]],
    harm: float,
    alike: int = 0,
) -> Iterator[Candidate]:
    """The best guards for each action; so many are tried of those that fire on the same events.

    Once a pointer moves otherwise, they no longer do.
    """
    kept: dict[bytes, tuple[Mask, Mask, list[Action]]] = {}
    for action, fits in options:
        wanted, unwanted = bad & fits, sound & ~fits
        if wanted.sum() >= 2:
            key = wanted.tobytes() + unwanted.tobytes()
            kept.setdefault(key, (wanted, unwanted, []))[2].append(action)
    for wanted, unwanted, fitting in sorted(kept.values(), key=lambda k: -int(k[0].sum()))[:FITS]:
        for guard in find_guards(pool, wanted, unwanted, harm=harm):
            upper_bound_gain = float(
                (guard.mask & wanted).sum() - harm * (guard.mask & unwanted).sum()
            )
            for atoms in (guard.atoms, *guard.equals[:alike]):
                first = atoms is guard.atoms
                equals = guard.equals if first else ()
                touched = np.unique(view.inputs[guard.mask if first else view.all_hold(atoms)])
                for action in fitting:
                    variant = Variant(number, atoms, action.updates, action.goto)
                    yield Candidate(variant, equals, touched, upper_bound_gain)


def _certain(candidate: Candidate, view: EventView, dataset: Dataset) -> Candidate:
    """A rule that gives up, and says so if nearly every output it gives up on was not the true."""
    fired = view.inputs[view.all_hold(candidate.variant.guard)]
    if not is_reliably_wrong(dataset.failures[fired]):
        return candidate
    return replace(candidate, variant=replace(candidate.variant, updates=(Lost(wrong=True),)))
