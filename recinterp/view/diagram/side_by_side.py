"""Two machines side by side: which rules they share, and where each stands alone.

Modes are paired first (a learned machine may have several for one of the truth's: a counter spread
over c0..c3), then rules are compared case by case, a case being a rule for one token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from recinterp.machine import Machine
from recinterp.machine import nodes as asm
from recinterp.view.diagram.graph import Graph, Mark, extract

CHANGED = Mark("changed", "changed")
GUARDED = Mark("changed", "only under a further condition")
ONLY_LEARNED = Mark("added", "only in the learned machine")
DEPARTS = Mark("added", "departs from the truth here")
MISSING = Mark("missing", "missing in the learned machine")
NOT_ALWAYS = Mark("changed", "not always followed")
MOST_CASES = 64
COMPARABLE = 1 / 3


@dataclass(frozen=True)
class Case:
    """One rule for one choice of tokens: what must hold, what it does, where it goes."""

    rule: str
    mode: str
    guard: frozenset[asm.Atom]
    effect: tuple[object, ...]
    goto: str | None


def cases(rule: asm.Rule, shared: Collection[str]) -> list[Case]:
    """A rule split by the tokens it accepts, copies resolved where the token is known.

    Of registers only those both machines have (`shared`) count as part of what a rule does.
    """
    choices = [_single(a) for a in rule.guard]
    if _product(len(c) for c in choices) > MOST_CASES:
        choices = [[a] for a in rule.guard]
    return [
        Case(rule.name, rule.mode, frozenset(atoms), _effect(rule, atoms, shared), rule.goto)
        for atoms in product(*choices)
    ]


def _product(sizes: Iterable[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def _single(a: asm.Atom) -> Sequence[asm.Atom]:
    return [asm.In(a.at, (x,)) for x in a.tokens] if isinstance(a, asm.In) else [a]


def _effect(
    rule: asm.Rule, atoms: Sequence[asm.Atom], shared: Collection[str]
) -> tuple[object, ...]:
    known = {a.at: a.tokens[0] for a in atoms if isinstance(a, asm.In) and len(a.tokens) == 1}
    word = tuple(x if isinstance(x, str) else known.get(x.at, x) for x in rule.word)
    moves = () if rule.goto is None else tuple(u for u in rule.updates if _moves(u, shared))
    return (word, rule.lost, frozenset(moves))


def _moves(update: asm.Update, shared: Collection[str]) -> bool:
    if isinstance(update, asm.Set):
        return update.reg in shared
    return isinstance(update, asm.Push | asm.Pop)


def _shared(a: Machine, b: Machine) -> frozenset[str]:
    return frozenset(name for name, _ in a.registers) & frozenset(name for name, _ in b.registers)


def pair_modes(learned: Machine, truth: Machine, rounds: int = 4) -> dict[str, str]:
    """For each learned mode the mode of the truth that does most of the same, start to start."""
    both = _shared(learned, truth)
    mine = {m: [c for r in learned.rules_of(m) for c in cases(r, both)] for m in learned.modes}
    theirs = {m: [c for r in truth.rules_of(m) for c in cases(r, both)] for m in truth.modes}
    pairs: dict[str, str] = {learned.start: truth.start}
    for _ in range(rounds):
        pairs = {
            m: max(
                truth.modes, key=lambda t: (_alike(mine[m], theirs[t], pairs), t == pairs.get(m))
            )
            for m in learned.modes
        } | {learned.start: truth.start}
    return pairs


def _alike(mine: Sequence[Case], theirs: Sequence[Case], pairs: dict[str, str]) -> float:
    score = 0.0
    for a in mine:
        for b in theirs:
            if a.guard >= b.guard and a.effect == b.effect:
                exact = 1.0 if a.guard == b.guard else 0.75
                score += exact + 0.5 * _same_target(a, b, pairs)
            elif a.guard == b.guard:
                score += 0.25
    return score


def _same_target(a: Case, b: Case, pairs: dict[str, str]) -> bool:
    return (None if a.goto is None else pairs.get(a.goto)) == b.goto


def compare(learned: Machine, truth: Machine, departs: Collection[str] = ()) -> tuple[Graph, Graph]:
    """Both machines as graphs, what differs marked; `departs`: learned rules known to err."""
    pairs = pair_modes(learned, truth)
    both = _shared(learned, truth)
    mine = [c for r in learned.rules for c in cases(r, both)]
    theirs = [c for r in truth.rules for c in cases(r, both)]
    statuses = {
        id(c): _judge(c, [t for t in theirs if t.mode == pairs[c.mode]], pairs) for c in mine
    }
    shared = sum(mark is not ONLY_LEARNED for mark in statuses.values())
    titles = ("learned", "truth")
    if mine and shared < COMPARABLE * len(mine):
        marks = dict.fromkeys(departs, DEPARTS)
        return extract(learned, marks, title=titles[0]), extract(truth, title=titles[1])
    left = _marks(learned, mine, [statuses[id(c)] for c in mine])
    left |= {name: Mark("added", _joined(left.get(name))) for name in departs}
    right = _marks(truth, theirs, [_missed(t, mine, statuses, pairs) for t in theirs])
    return extract(learned, left, title=titles[0]), extract(truth, right, title=titles[1])


def _joined(mark: Mark | None) -> str:
    return DEPARTS.tag if mark is None else f"{mark.tag}: {DEPARTS.tag}"


def _judge(case: Case, theirs: Sequence[Case], pairs: dict[str, str]) -> Mark | None:
    """None: the truth does the same. Otherwise how this case differs."""
    same = [t for t in theirs if t.effect == case.effect and _same_target(case, t, pairs)]
    if any(t.guard == case.guard for t in same):
        return None
    if any(t.guard < case.guard for t in same):
        return GUARDED
    if any(t.guard == case.guard for t in theirs):
        return CHANGED
    return ONLY_LEARNED


def _missed(
    case: Case, mine: Sequence[Case], statuses: dict[int, Mark | None], pairs: dict[str, str]
) -> Mark | None:
    """None: every learned mode in this place does the same. Otherwise what became of it."""
    modes = [m for m, t in pairs.items() if t == case.mode]
    keeps = [
        any(c.mode == m and c.guard == case.guard and statuses[id(c)] is None for c in mine)
        for m in modes
    ]
    narrowed = any(
        c.mode in modes and case.guard < c.guard and statuses[id(c)] == GUARDED for c in mine
    )
    if keeps and all(keeps):
        return None
    return NOT_ALWAYS if any(keeps) or narrowed else MISSING


def _marks(
    machine: Machine, parts: Sequence[Case], found: Sequence[Mark | None]
) -> dict[str, Mark]:
    """One mark per rule: the strongest of its cases'."""
    order = [ONLY_LEARNED, MISSING, CHANGED, NOT_ALWAYS, GUARDED]
    marks: dict[str, Mark] = {}
    for rule in machine.rules:
        mine = [
            m
            for c, m in zip(parts, found, strict=True)
            if c.rule == rule.name and c.mode == rule.mode
        ]
        worst = [m for m in order if m in mine]
        if worst:
            marks[rule.name] = worst[0]
    return marks
