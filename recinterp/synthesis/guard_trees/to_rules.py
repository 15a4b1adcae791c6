"""Trees as rules: one for each leaf that a rule of the machine reaches, and no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from recinterp.machine.machine import Machine
from recinterp.machine.nodes import AtLeast, Copy, Emit, In, Lost, Rule
from recinterp.machine.validate import negate_atom, simplify_guard
from recinterp.synthesis.guard_trees.events import (
    ABSTAIN,
    ABSTAIN_FAILING,
    OWN,
    TAIL,
    THEN,
    ControlStateData,
    TreeAct,
    TreeActKind,
    shift_output_index,
)
from recinterp.tokens import END_OF_INPUT

if TYPE_CHECKING:
    from recinterp.machine.nodes import Atom, Expr
    from recinterp.synthesis.guard_trees.split import Question, TreeNode


@dataclass(frozen=True)
class Branch:
    """A question in a rule's tree.

    Attributes:
        if_yes: atoms that hold together where the answer is yes.
        if_no: atoms that hold together where it is no.
        yes: what follows from yes.
        no: what follows from no.
    """

    if_yes: tuple[Atom, ...]
    if_no: tuple[Atom, ...]
    yes: Branch | TreeAct
    no: Branch | TreeAct


def build_tree_machine(
    machine: Machine, states: Sequence[ControlStateData], roots: Sequence[TreeNode]
) -> Machine:
    """The single-token machine with each of its rules split as the trees say.

    Args:
        machine: as `single_token_machine` makes it.
        states: its control states, with their events.
        roots: one tree for each of those.

    Raises:
        MachineError: if two rules could fire at once, as far as can be seen.
    """
    trees = {state.mode: (state, root) for state, root in zip(states, roots, strict=True)}
    rules = list[Rule]()
    for number, rule in enumerate(machine.rules):
        if rule.mode not in trees or not (rule.word or rule.mode == TAIL):
            rules.append(replace(rule, guard=simplify_guard(rule.guard)))
            continue
        state, root = trees[rule.mode]
        events = np.flatnonzero(state.rules == number)
        tree = _project(state, root, events, machine.vocab) if len(events) else OWN
        paths = list(_paths(tree, ()))
        for i, (guard, act) in enumerate(paths):
            name = rule.name if len(paths) == 1 else f"{rule.name}.{i + 1}"
            split = replace(rule, name=name, guard=simplify_guard((*rule.guard, *guard)))
            rules.append(_acting(split, act))
    whole = _without_idle_modes(rules, machine.start)
    return machine.with_rules(_merge_alike(whole, machine.vocab))


def _project(
    state: ControlStateData, node: TreeNode, events: np.ndarray, vocab: tuple[str, ...]
) -> Branch | TreeAct:
    """What the tree says of some events, questions with only one answer among them left out."""
    if node.question is None or node.yes is None or node.no is None:
        return state.acts[node.act]
    held = node.question.held(state.data, events)
    if held.all():
        return _project(state, node.yes, events, vocab)
    if not held.any():
        return _project(state, node.no, events, vocab)
    yes = _project(state, node.yes, events[held], vocab)
    no = _project(state, node.no, events[~held], vocab)
    return yes if yes == no else Branch(*_answers(state, node.question, vocab), yes, no)


def _answers(
    state: ControlStateData, question: Question, vocab: tuple[str, ...]
) -> tuple[tuple[Atom, ...], tuple[Atom, ...]]:
    """A question and its opposite as atoms that hold together: votes only where they are needed."""
    atoms = tuple(
        state.atoms[k] if so else negate_atom(state.atoms[k], vocab) for k, so in question.atoms
    )
    against = tuple(negate_atom(a, vocab) for a in atoms)
    return _at_least(question.least, atoms), _at_least(len(atoms) - question.least + 1, against)


def _at_least(least: int, atoms: tuple[Atom, ...]) -> tuple[Atom, ...]:
    return atoms if least == len(atoms) else (AtLeast(least, atoms),)


def _paths(
    tree: Branch | TreeAct, guard: tuple[Atom, ...]
) -> Iterator[tuple[tuple[Atom, ...], TreeAct]]:
    if not isinstance(tree, Branch):
        yield guard, tree
        return
    yield from _paths(tree.yes, (*guard, *tree.if_yes))
    yield from _paths(tree.no, (*guard, *tree.if_no))


def _acting(rule: Rule, act: TreeAct) -> Rule:
    """A rule that does what a leaf says."""
    if act == OWN:
        return rule
    if act.kind == TreeActKind.STOP:
        return replace(rule, updates=(), goto=None)
    if act in (ABSTAIN, ABSTAIN_FAILING):
        return replace(rule, updates=(Lost(wrong=act == ABSTAIN_FAILING),), goto=None)
    others = tuple(u for u in rule.updates if not isinstance(u, Emit))
    piece = _known_token(rule, act.what) if isinstance(act.what, Copy) else act.what
    return replace(rule, updates=(Emit((piece,)), *others), goto=rule.goto or TAIL)


def _known_token(rule: Rule, copy: Copy) -> str | Copy:
    """The token that a copy writes, where the rule's guard names it."""
    known = {
        a.at: a.tokens[0]
        for a in rule.guard
        if isinstance(a, In) and len(a.tokens) == 1 and END_OF_INPUT not in a.tokens
    }
    return known.get(copy.at, copy)


def _without_idle_modes(rules: Sequence[Rule], start: str) -> list[Rule]:
    """The rules without the added control states that nothing needs."""
    while (idle := _idle(rules, start)) is not None:
        rules = [_joined(r, idle) for r in rules if r is not idle]
    reached = _reached(rules, start)
    return [r for r in rules if r.mode in reached]


def _idle(rules: Sequence[Rule], start: str) -> Rule | None:
    """A rule that always follows, whose control state has no other rule."""
    for rule in rules:
        only_rule = sum(r.mode == rule.mode for r in rules) == 1
        added = rule.mode == TAIL or THEN in rule.mode
        if only_rule and added and not rule.guard and rule.mode not in (start, rule.goto):
            return rule
    return None


def _joined(rule: Rule, then: Rule) -> Rule:
    """A rule with what always follows it: it has moved nothing itself, or nothing is read then."""
    if rule.goto != then.mode:
        return rule
    after = replace(then, updates=shift_output_index(then.updates, len(rule.word)))
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


def _merge_alike(rules: Sequence[Rule], vocab: tuple[str, ...]) -> list[Rule]:
    """The rules, with those that differ only in the tokens read at one place made one."""
    distinct = dict.fromkeys(rules)
    while (pair := _alike(distinct)) is not None:
        one, other, at = pair
        tokens = {x for r in (one, other) for a in r.guard if _reads(a, at) for x in a.tokens}
        rest = tuple(a for a in one.guard if not _reads(a, at))
        both = In(at, tuple(x for x in (*vocab, END_OF_INPUT) if x in tokens))
        everything = len(tokens) == len(vocab) + 1
        new = replace(one, guard=rest if everything else (both, *rest))
        distinct = {new if r is one else r: None for r in distinct if r is not other}
    return list(distinct)


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
