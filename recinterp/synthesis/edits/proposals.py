"""The edits that are tried: where a rule went wrong, what it could have done instead, and when.

At fault for a first wrong token are the rule that wrote it and the one before; for what was passed
over or left out, any rule of a failing run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recinterp.machine.execution.batch import Ints, Variant
from recinterp.machine.nodes import Atom, Expr, Lost, walk
from recinterp.synthesis.dataset import is_reliably_wrong
from recinterp.synthesis.edits.actions import (
    Action,
    goto_changes,
    pointer_shifts,
    propose_actions,
    update_deletions,
)
from recinterp.synthesis.edits.fault_localization import RuleEvents, locate_faults
from recinterp.synthesis.edits.guards import Guard, Mask, Pool, candidate_atoms, find_guards, gather

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.machine.execution.batch import EventView
    from recinterp.machine.nodes import Rule
    from recinterp.synthesis.config import SearchConfig
    from recinterp.synthesis.dataset import Outcome

ABSTAIN = Action((Lost(),), None)
Options: TypeAlias = "Iterable[tuple[Action, Mask]]"


@dataclass(frozen=True)
class Candidate:
    """A variant of a machine to try.

    Attributes:
        variant: the rule that is split, the guard of the new rule, and what it does.
        equals: guards that fire on the same events as the variant's own.
        touched: the inputs on which it fires; the outputs of the others stay as they are.
        upper_bound_gain: events that should change and do, less the weighed events that should not.
    """

    variant: Variant
    equals: tuple[tuple[Atom, ...], ...]
    touched: Ints
    upper_bound_gain: float

    @property
    def nodes(self) -> int:
        """Size of the guard, in nodes."""
        return sum(isinstance(x, Expr | Atom) for a in self.variant.guard for x in walk(a))


def propose_edits(machine: Machine, outcome: Outcome, config: SearchConfig) -> Iterator[Candidate]:
    """Edits of the rules that wrote the first wrong tokens, and of those that fired just before."""
    for place, events in _faulty_rules(machine, outcome, config):
        # What is passed over, or stood on, may show at the next step or later.
        for bad in (events.before, events.until):
            shifts = [(shift, bad | same) for shift, same in pointer_shifts(place.rule, place.view)]
            sound = events.sound & ~events.until
            equals = config.edits.max_equal_guards
            yield from place.candidates(bad, sound, shifts, max_equal_guards=equals)
        for bad in _large_enough(events, config):
            options = propose_actions(machine, place.rule, place.view, bad, outcome, config.edits)
            yield from place.candidates(bad, events.sound, options)


def propose_abstentions(
    machine: Machine, outcome: Outcome, config: SearchConfig
) -> Iterator[Candidate]:
    """Edits by which the rules at fault make no claim, or flag the failure where it is certain."""
    weights = (config.guards.false_fire_weight, config.flagged_failure_cost)
    for place, events in _faulty_rules(machine, outcome, config):
        for bad in _large_enough(events, config):
            for weight in weights:
                for c in place.candidates(
                    bad, events.sound, [(ABSTAIN, bad)], false_fire_weight=weight
                ):
                    yield _flag_if_reliably_wrong(c, place.view, outcome, config)


def propose_omissions(
    machine: Machine, outcome: Outcome, config: SearchConfig
) -> Iterator[Candidate]:
    """Edits that leave something out, or go elsewhere, wherever a failing run passed.

    What is not pushed is missed long after, so the first wrong token does not say where to look.
    """
    for number, rule in enumerate(machine.rules):
        view = _events_of(number, outcome)
        if view is None or rule.lost:
            continue
        sound = outcome.equal[view.rows]
        if (~sound).sum() < config.edits.min_fault_events:
            continue
        gain = _single_guard_gains(machine, view, sound, config)
        guards = sorted((g for g in gain if gain[g] > 0), key=lambda g: -gain[g])
        shifts = [shift for shift, _ in pointer_shifts(rule, view)]
        for rank, guard in enumerate(guards[: config.edits.max_omission_guards]):
            touched = np.unique(view.inputs[view.all_hold(guard)])
            try_gotos = rank < config.edits.max_goto_guards
            gotos = goto_changes(machine, rule, config.edits) if try_gotos else ()
            for action in (*update_deletions(rule), *shifts, *gotos):
                variant = Variant(number, guard, action.updates, action.goto)
                yield Candidate(variant, (), touched, gain[guard])


def _single_guard_gains(
    machine: Machine, view: EventView, sound: Mask, config: SearchConfig
) -> dict[tuple[Atom, ...], float]:
    """Failing events less weighed sound ones, for no guard and for each single atom."""
    weight = config.guards.false_fire_weight
    gain: dict[tuple[Atom, ...], float] = {(): float((~sound).sum() - weight * sound.sum())}
    for atom, mask in candidate_atoms(machine, view, config.guards):
        gain[(atom,)] = float((mask & ~sound).sum() - weight * (mask & sound).sum())
    return gain


def _faulty_rules(
    machine: Machine, outcome: Outcome, config: SearchConfig
) -> Iterator[tuple[_EditedRule, RuleEvents]]:
    """Each rule that is at fault for enough events, with those events."""
    last = locate_faults(outcome)
    for number, rule in enumerate(machine.rules):
        view = _events_of(number, outcome)
        if view is None:
            continue
        events = RuleEvents.of(number, rule, view, last)
        if _large_enough(events, config):
            pool = Pool.of(machine, view, config.guards)
            yield _EditedRule(number, rule, view, pool, config), events


def _large_enough(events: RuleEvents, config: SearchConfig) -> list[Mask]:
    least = config.edits.min_fault_events
    return [bad for bad in (events.culprit, events.before) if bad.sum() >= least]


def _events_of(number: int, outcome: Outcome) -> EventView | None:
    events = [e for e in outcome.batch.events if e.rule == number]
    return gather(events, outcome.batch.out) if events else None


@dataclass(frozen=True)
class _EditedRule:
    """A rule that is to be split, its events, and the atoms that may guard the new rule."""

    number: int
    rule: Rule
    view: EventView
    pool: Pool
    config: SearchConfig

    def candidates(
        self,
        bad: Mask,
        sound: Mask,
        options: Options,
        *,
        false_fire_weight: float | None = None,
        max_equal_guards: int = 0,
    ) -> Iterator[Candidate]:
        """The best guards for each action.

        Args:
            bad: events that should change.
            sound: events that should stay as they are.
            options: actions, each with the events that it explains.
            false_fire_weight: bad events that a sound one weighs; by default the configured.
            max_equal_guards: guards with equal events that are tried as well. Once a pointer moves
                otherwise, their events are no longer equal.
        """
        weight = false_fire_weight
        if weight is None:
            weight = self.config.guards.false_fire_weight
        for wanted, unwanted, actions in self._event_sets(bad, sound, options):
            for guard in find_guards(self.pool, wanted, unwanted, weight, self.config.guards):
                hits, misfires = (guard.mask & wanted).sum(), (guard.mask & unwanted).sum()
                gain = float(hits - weight * misfires)
                for atoms, equals, touched in self._guards(guard, max_equal_guards):
                    for action in actions:
                        variant = Variant(self.number, atoms, action.updates, action.goto)
                        yield Candidate(variant, equals, touched, gain)

    def _event_sets(
        self, bad: Mask, sound: Mask, options: Options
    ) -> list[tuple[Mask, Mask, list[Action]]]:
        """Actions that explain the same events together, those that explain most first."""
        sets: dict[bytes, tuple[Mask, Mask, list[Action]]] = {}
        for action, fits in options:
            wanted, unwanted = bad & fits, sound & ~fits
            if wanted.sum() >= self.config.edits.min_fault_events:
                key = wanted.tobytes() + unwanted.tobytes()
                sets.setdefault(key, (wanted, unwanted, []))[2].append(action)
        largest = sorted(sets.values(), key=lambda s: -int(s[0].sum()))
        return largest[: self.config.edits.max_event_sets]

    def _guards(
        self, guard: Guard, max_equal_guards: int
    ) -> Iterator[tuple[tuple[Atom, ...], tuple[tuple[Atom, ...], ...], Ints]]:
        """A guard and some of its equals: atoms, the equals to remember, the inputs it touches."""
        yield guard.atoms, guard.equals, np.unique(self.view.inputs[guard.mask])
        for atoms in guard.equals[:max_equal_guards]:
            yield atoms, (), np.unique(self.view.inputs[self.view.all_hold(atoms)])


def _flag_if_reliably_wrong(
    candidate: Candidate, view: EventView, outcome: Outcome, config: SearchConfig
) -> Candidate:
    """Let an abstaining rule flag the failure if nearly every output it abstains on is wrong."""
    fired = view.inputs[view.all_hold(candidate.variant.guard)]
    if not is_reliably_wrong(outcome.dataset.failures[fired], config.reliably_wrong_rate):
        return candidate
    return replace(candidate, variant=replace(candidate.variant, updates=(Lost(wrong=True),)))
