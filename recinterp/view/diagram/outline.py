"""A machine of very many rules as a tree of questions: what guards share is said once.

swap
  n ≤ 4 / in(p+1) copy
  n > 4
    t = 0
      in(n-1)=a / b
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from recinterp.machine import Machine
from recinterp.machine.transform.simplify_votes import simplify_votes_given
from recinterp.view.diagram.graph import HALT, drawable, habits, rule_text
from recinterp.view.diagram.labels import atom_text

if TYPE_CHECKING:
    from recinterp.machine import nodes as asm
    from recinterp.view.diagram.graph import Habits

Open = tuple[tuple["asm.Atom", ...], "asm.Rule"]  # what of a guard is still to be said, of a rule


def outline(machine: Machine) -> str:
    """The tree, mode by mode; empty for a machine whose rules can be drawn."""
    if drawable(machine):
        return ""
    usual = habits(machine)
    lines = []
    for mode in machine.modes:
        lines.append(mode)
        lines += _tree([(r.guard, r) for r in machine.rules_of(mode)], usual, ())
    return "\n".join(lines)


def _tree(rules: Sequence[Open], usual: Habits, given: tuple[asm.Atom, ...]) -> Iterator[str]:
    """Lines for some rules; given: what the lines above ask already."""
    left = [(simplify_votes_given(guard, given), rule) for guard, rule in rules]
    while left:
        counts = Counter(a for guard, _ in left for a in guard).most_common(1)
        if not counts or counts[0][1] < 2:
            yield from (_leaf(guard, rule, usual, len(given)) for guard, rule in left)
            return
        atom = counts[0][0]
        inside = [(tuple(a for a in g if a != atom), r) for g, r in left if atom in g]
        left = [(g, r) for g, r in left if atom not in g]
        yield "  " * (1 + len(given)) + atom_text(atom, usual.focus)
        yield from _tree(inside, usual, (*given, atom))


def _leaf(guard: Sequence[asm.Atom], rule: asm.Rule, usual: Habits, depth: int) -> str:
    asked = " and ".join(atom_text(a, usual.focus) for a in guard) or "else"
    _, _, done = rule_text(rule, usual).rpartition(" / ")
    then = f", then {HALT}" if rule.goto is None else ""
    then = f", then {rule.goto}" if rule.goto not in (None, rule.mode) else then
    return "  " * (1 + depth) + f"{asked} / {done}{then}"
