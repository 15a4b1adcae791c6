"""Two machines side by side: which rules they share, and which only one of them has.

Modes are paired first (a learned machine may have several for one of the truth's: a counter spread
over c0..c3), then rules are compared case by case, a case being a rule for one token.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product
from math import prod

from recinterp.machine import Machine
from recinterp.machine import nodes as asm
from recinterp.view.diagram.graph import MachineGraph, RuleMark, RuleStatus, extract_graph


class RuleDifference(Enum):
    """How a rule differs from those of the other machine, the strongest difference first."""

    ONLY_LEARNED = RuleMark(RuleStatus.ADDED, "only in the learned machine")
    MISSING = RuleMark(RuleStatus.MISSING, "missing in the learned machine")
    CHANGED = RuleMark(RuleStatus.CHANGED, "changed")
    NOT_ALWAYS = RuleMark(RuleStatus.CHANGED, "not always followed")
    GUARDED = RuleMark(RuleStatus.CHANGED, "only under a further condition")
    ERRS = RuleMark(RuleStatus.ADDED, "differs from the ground truth here")


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig:
    """Thresholds of the comparison.

    Attributes:
        max_cases: cases that one rule is split into. Beyond, a rule that reads many tokens at many
            positions is compared as a whole.
        min_shared: share of the learned machine's cases that the other machine must have in some
            form. Below, nearly every rule would be marked, and none is.
        pairing_rounds: rounds in which the modes are paired; each takes the last one's pairs into
            account. Four are enough for machines of a dozen modes.
    """

    max_cases: int = 64
    min_shared: float = 1 / 3
    pairing_rounds: int = 4


DEFAULTS = AlignmentConfig()


@dataclass(frozen=True, kw_only=True)
class RuleCase:
    """One rule for one choice of the tokens it reads.

    Attributes:
        rule: the rule's name.
        mode: its mode.
        guard: what must hold, a single token at each position it reads.
        effect: what it writes, and the updates it makes.
        goto: the next mode; None where it halts.
    """

    rule: str
    mode: str
    guard: frozenset[asm.Atom]
    effect: tuple[object, ...]
    goto: str | None


def split_into_cases(rule: asm.Rule, shared: Collection[str]) -> list[RuleCase]:
    """A rule split by the tokens it accepts, copies resolved where the token is known.

    Args:
        rule: the rule.
        shared: the registers that both machines have; only those count in what a rule does.
    """
    choices = [_single_tokens(a) for a in rule.guard]
    if prod(len(c) for c in choices) > DEFAULTS.max_cases:
        choices = [[a] for a in rule.guard]
    return [
        RuleCase(
            rule=rule.name,
            mode=rule.mode,
            guard=frozenset(atoms),
            effect=_effect(rule, atoms, shared),
            goto=rule.goto,
        )
        for atoms in product(*choices)
    ]


def _single_tokens(a: asm.Atom) -> Sequence[asm.Atom]:
    return [asm.In(a.at, (x,)) for x in a.tokens] if isinstance(a, asm.In) else [a]


def _effect(
    rule: asm.Rule, atoms: Sequence[asm.Atom], shared: Collection[str]
) -> tuple[object, ...]:
    known = {a.at: a.tokens[0] for a in atoms if isinstance(a, asm.In) and len(a.tokens) == 1}
    word = tuple(x if isinstance(x, str) else known.get(x.at, x) for x in rule.word)
    updates = () if rule.goto is None else (u for u in rule.updates if _counts(u, shared))
    return (word, rule.lost, frozenset(updates))


def _counts(update: asm.Update, shared: Collection[str]) -> bool:
    if isinstance(update, asm.Set):
        return update.reg in shared
    return isinstance(update, asm.Push | asm.Pop)


def _shared_registers(a: Machine, b: Machine) -> frozenset[str]:
    return frozenset(name for name, _ in a.registers) & frozenset(name for name, _ in b.registers)


def _cases_by_mode(machine: Machine, shared: Collection[str]) -> dict[str, list[RuleCase]]:
    return {
        mode: [case for rule in machine.rules_of(mode) for case in split_into_cases(rule, shared)]
        for mode in machine.modes
    }


def pair_modes(learned: Machine, truth: Machine) -> dict[str, str]:
    """For each learned mode the mode of the truth that has most in common, start with start."""
    shared = _shared_registers(learned, truth)
    mine, theirs = _cases_by_mode(learned, shared), _cases_by_mode(truth, shared)
    pairs: dict[str, str] = {learned.start: truth.start}

    def score(mode: str, other: str) -> tuple[float, bool]:
        return _similarity(mine[mode], theirs[other], pairs), other == pairs.get(mode)

    for _ in range(DEFAULTS.pairing_rounds):
        best = {m: max(truth.modes, key=lambda t, m=m: score(m, t)) for m in learned.modes}  # type: ignore[misc]
        pairs = best | {learned.start: truth.start}
    return pairs


def _similarity(
    mine: Sequence[RuleCase], theirs: Sequence[RuleCase], pairs: dict[str, str]
) -> float:
    score = 0.0
    for a in mine:
        for b in theirs:
            if a.guard >= b.guard and a.effect == b.effect:
                exact = 1.0 if a.guard == b.guard else 0.75
                score += exact + 0.5 * _same_target(a, b, pairs)
            elif a.guard == b.guard:
                score += 0.25
    return score


def _same_target(a: RuleCase, b: RuleCase, pairs: dict[str, str]) -> bool:
    return (None if a.goto is None else pairs.get(a.goto)) == b.goto


def align_machines(
    learned: Machine, truth: Machine, erring: Collection[str] = ()
) -> tuple[MachineGraph, MachineGraph]:
    """Both machines as graphs, with what differs marked.

    Args:
        learned: the learned machine.
        truth: the machine it is compared with.
        erring: names of learned rules that are known to lead to errors.

    Returns:
        The graph of the learned machine and that of the truth. Where the machines have too little
        in common, only the erring rules are marked.
    """
    pairs = pair_modes(learned, truth)
    shared = _shared_registers(learned, truth)
    mine = [case for rule in learned.rules for case in split_into_cases(rule, shared)]
    theirs = [case for rule in truth.rules for case in split_into_cases(rule, shared)]
    by_case = {
        id(case): _compare_case(case, [t for t in theirs if t.mode == pairs[case.mode]], pairs)
        for case in mine
    }
    if not _have_enough_in_common(by_case.values()):
        errors = dict.fromkeys(erring, RuleDifference.ERRS.value)
        return (
            extract_graph(learned, errors, title="learned"),
            extract_graph(truth, title="truth"),
        )
    left = _mark_rules(learned, mine, [by_case[id(case)] for case in mine])
    left |= {name: _mark_error(left.get(name)) for name in erring}
    right = _mark_rules(truth, theirs, [_find_missed(t, mine, by_case, pairs) for t in theirs])
    return (
        extract_graph(learned, left, title="learned"),
        extract_graph(truth, right, title="truth"),
    )


def are_comparable(learned: Machine, truth: Machine) -> bool:
    """Whether enough of the learned machine's cases have a counterpart for rules to be marked."""
    pairs = pair_modes(learned, truth)
    shared = _shared_registers(learned, truth)
    theirs = _cases_by_mode(truth, shared)
    mine = [case for rule in learned.rules for case in split_into_cases(rule, shared)]
    return _have_enough_in_common(
        [_compare_case(case, theirs[pairs[case.mode]], pairs) for case in mine]
    )


def _have_enough_in_common(differences: Collection[RuleDifference | None]) -> bool:
    in_common = sum(found is not RuleDifference.ONLY_LEARNED for found in differences)
    return not differences or in_common >= DEFAULTS.min_shared * len(differences)


def _mark_error(mark: RuleMark | None) -> RuleMark:
    error = RuleDifference.ERRS.value
    return error if mark is None else RuleMark(error.status, f"{mark.tag}: {error.tag}")


def _compare_case(
    case: RuleCase, theirs: Sequence[RuleCase], pairs: dict[str, str]
) -> RuleDifference | None:
    """None where the truth does the same, otherwise how this case differs."""
    same = [t for t in theirs if t.effect == case.effect and _same_target(case, t, pairs)]
    if any(t.guard == case.guard for t in same):
        return None
    if any(t.guard < case.guard for t in same):
        return RuleDifference.GUARDED
    if any(t.guard == case.guard for t in theirs):
        return RuleDifference.CHANGED
    return RuleDifference.ONLY_LEARNED


def _find_missed(
    case: RuleCase,
    mine: Sequence[RuleCase],
    by_case: dict[int, RuleDifference | None],
    pairs: dict[str, str],
) -> RuleDifference | None:
    """None where every learned mode in this place does the same, otherwise what became of it."""
    modes = [m for m, t in pairs.items() if t == case.mode]
    followed = [
        any(c.mode == m and c.guard == case.guard and by_case[id(c)] is None for c in mine)
        for m in modes
    ]
    narrowed = any(
        c.mode in modes and case.guard < c.guard and by_case[id(c)] is RuleDifference.GUARDED
        for c in mine
    )
    if followed and all(followed):
        return None
    return RuleDifference.NOT_ALWAYS if any(followed) or narrowed else RuleDifference.MISSING


def _mark_rules(
    machine: Machine, cases: Sequence[RuleCase], differences: Sequence[RuleDifference | None]
) -> dict[str, RuleMark]:
    """One mark for each rule: the strongest difference of its cases."""
    marks: dict[str, RuleMark] = {}
    for rule in machine.rules:
        found = {
            difference
            for case, difference in zip(cases, differences, strict=True)
            if case.rule == rule.name and case.mode == rule.mode
        }
        strongest = next((difference for difference in RuleDifference if difference in found), None)
        if strongest is not None:
            marks[rule.name] = strongest.value
    return marks
