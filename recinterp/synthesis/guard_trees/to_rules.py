"""Trees as rules: one for each leaf that a rule of the machine reaches, and nothing else said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from recinterp.machine.machine import Machine
from recinterp.machine.nodes import AtLeast, Copy, Emit, In, Lost, Rule
from recinterp.machine.validate import negate_atom, simplify_guard
from recinterp.synthesis.guard_trees.events import (
    LOST,
    OWN,
    STOP,
    TAIL,
    THEN,
    Act,
    ControlStateData,
    shifted,
)
from recinterp.tokens import END_OF_INPUT

if TYPE_CHECKING:
    from recinterp.machine.nodes import Atom, Expr
    from recinterp.synthesis.guard_trees.split import Node, Question


@dataclass(frozen=True)
class Branch:
    """A question as atoms that say yes, and as atoms that say no, and what follows from either."""

    asked: tuple[Atom, ...]
    denied: tuple[Atom, ...]
    yes: Branch | Act
    no: Branch | Act


def machine_of(
    machine: Machine, stages: Sequence[ControlStateData], roots: Sequence[Node]
) -> Machine:
    """The machine that writes one by one, each of its rules split as the trees say."""
    trees = {stage.mode: (stage, root) for stage, root in zip(stages, roots, strict=True)}
    rules = list[Rule]()
    for number, rule in enumerate(machine.rules):
        if rule.mode not in trees or not (rule.word or rule.mode == TAIL):
            rules.append(replace(rule, guard=simplify_guard(rule.guard)))
            continue
        stage, root = trees[rule.mode]
        events = np.flatnonzero(stage.rules == number)
        kept = _projected(stage, root, events, machine.vocab) if len(events) else (OWN, "")
        paths = list(_paths(kept, ()))
        for i, (guard, act) in enumerate(paths):
            name = rule.name if len(paths) == 1 else f"{rule.name}.{i + 1}"
            split = replace(rule, name=name, guard=simplify_guard((*rule.guard, *guard)))
            rules.append(_acting(split, act))
    return machine.with_rules(_merged(_whole(rules, machine.start), machine.vocab))


def _projected(
    stage: ControlStateData, node: Node, events: np.ndarray, vocab: tuple[str, ...]
) -> Branch | Act:
    """What the tree says of some events, questions with only one answer among them left out."""
    if node.question is None or node.yes is None or node.no is None:
        return stage.acts[node.act]
    held = node.question.held(stage.scene, events)
    if held.all():
        return _projected(stage, node.yes, events, vocab)
    if not held.any():
        return _projected(stage, node.no, events, vocab)
    yes = _projected(stage, node.yes, events[held], vocab)
    no = _projected(stage, node.no, events[~held], vocab)
    return yes if yes == no else Branch(*_said(stage, node.question, vocab), yes, no)


def _said(
    stage: ControlStateData, question: Question, vocab: tuple[str, ...]
) -> tuple[tuple[Atom, ...], tuple[Atom, ...]]:
    """A question and its opposite as atoms that hold together: votes only where they are needed."""
    atoms = tuple(
        stage.atoms[k] if so else negate_atom(stage.atoms[k], vocab) for k, so in question.atoms
    )
    against = tuple(negate_atom(a, vocab) for a in atoms)
    return _voted(question.least, atoms), _voted(len(atoms) - question.least + 1, against)


def _voted(least: int, atoms: tuple[Atom, ...]) -> tuple[Atom, ...]:
    return atoms if least == len(atoms) else (AtLeast(least, atoms),)


def _paths(tree: Branch | Act, guard: tuple[Atom, ...]) -> Iterator[tuple[tuple[Atom, ...], Act]]:
    if not isinstance(tree, Branch):
        yield guard, tree
        return
    yield from _paths(tree.yes, (*guard, *tree.asked))
    yield from _paths(tree.no, (*guard, *tree.denied))


def _acting(rule: Rule, act: Act) -> Rule:
    kind, what = act
    if kind == OWN:
        return rule
    if kind == STOP:
        return replace(rule, updates=(), goto=None)
    if kind == LOST:
        return replace(rule, updates=(Lost(wrong=what == "wrong"),), goto=None)
    others = tuple(u for u in rule.updates if not isinstance(u, Emit))
    known = {
        a.at: a.tokens[0]
        for a in rule.guard
        if isinstance(a, In) and len(a.tokens) == 1 and END_OF_INPUT not in a.tokens
    }
    if isinstance(what, Copy):
        what = known.get(what.at, what)
    return replace(rule, updates=(Emit((what,)), *others), goto=rule.goto or TAIL)


def _whole(rules: Sequence[Rule], start: str) -> list[Rule]:
    """The same rules without the modes that writing one by one added and nothing needed."""
    while (idle := _idle(rules, start)) is not None:
        rules = [_joined(r, idle) for r in rules if r is not idle]
    reached = _reached(rules, start)
    return [r for r in rules if r.mode in reached]


def _idle(rules: Sequence[Rule], start: str) -> Rule | None:
    """A rule that always follows, whose mode is there for it alone."""
    for rule in rules:
        alone = sum(r.mode == rule.mode for r in rules) == 1
        added = rule.mode == TAIL or THEN in rule.mode
        if alone and added and not rule.guard and rule.mode not in (start, rule.goto):
            return rule
    return None


def _joined(rule: Rule, then: Rule) -> Rule:
    """A rule with what always follows it: it has moved nothing itself, or nothing is read then."""
    if rule.goto != then.mode:
        return rule
    after = replace(then, updates=shifted(then.updates, len(rule.word)))
    others = [u for r in (rule, after) for u in r.updates if not isinstance(u, Emit)]
    word = (*rule.word, *after.word)
    emit = (Emit(word),) if word else ()
    return replace(rule, updates=(*emit, *others), goto=then.goto)


def _reached(rules: Sequence[Rule], start: str) -> set[str]:
    found, ahead = set[str](), [start]
    while ahead:
        mode = ahead.pop()
        if mode not in found:
            found.add(mode)
            ahead += [r.goto for r in rules if r.mode == mode and r.goto is not None]
    return found


def _merged(rules: Sequence[Rule], vocab: tuple[str, ...]) -> list[Rule]:
    """The same rules, those that differ only in the tokens read at one place said as one."""
    kept = dict.fromkeys(rules)
    while (pair := _alike(kept)) is not None:
        one, other, at = pair
        tokens = {x for r in (one, other) for a in r.guard if _reads(a, at) for x in a.tokens}
        rest = tuple(a for a in one.guard if not _reads(a, at))
        both = In(at, tuple(x for x in (*vocab, END_OF_INPUT) if x in tokens))
        everything = len(tokens) == len(vocab) + 1
        new = replace(one, guard=rest if everything else (both, *rest))
        kept = {new if r is one else r: None for r in kept if r is not other}
    return list(kept)


def _alike(rules: Iterable[Rule]) -> tuple[Rule, Rule, Expr] | None:
    """Two rules that do the same where one place reads one thing or another."""
    seen = dict[tuple[object, ...], Rule]()
    for rule in rules:
        for atom in rule.guard:
            if isinstance(atom, In):
                rest = frozenset(a for a in rule.guard if a is not atom)
                key = (rule.mode, rule.updates, rule.goto, rest, atom.at)
                if key in seen:
                    return seen[key], rule, atom.at
                seen[key] = rule
    return None


def _reads(atom: Atom, at: Expr) -> TypeGuard[In]:
    return isinstance(atom, In) and atom.at == at
