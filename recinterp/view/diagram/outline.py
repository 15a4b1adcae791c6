"""A machine of very many rules as a tree of questions: what guards share stands once.

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
from recinterp.view.diagram.graph import find_defaults, is_drawable, rule_text
from recinterp.view.diagram.labels import atom_text

if TYPE_CHECKING:
    from recinterp.machine import nodes as asm
    from recinterp.view.diagram.graph import MachineDefaults

OpenRule = tuple[tuple["asm.Atom", ...], "asm.Rule"]  # a rule, and what of its guard is left


def render_outline(machine: Machine) -> str:
    """The tree as text, mode by mode; empty for a machine whose rules can be drawn."""
    if is_drawable(machine):
        return ""
    defaults = find_defaults(machine)
    lines = []
    for mode in machine.modes:
        lines.append(mode)
        lines += _render_tree([(r.guard, r) for r in machine.rules_of(mode)], defaults, ())
    return "\n".join(lines)


def _render_tree(
    rules: Sequence[OpenRule], defaults: MachineDefaults, given: tuple[asm.Atom, ...]
) -> Iterator[str]:
    """Lines for some rules; given: the atoms of the lines above."""
    left = [(simplify_votes_given(guard, given), rule) for guard, rule in rules]
    while left:
        counts = Counter(a for guard, _ in left for a in guard).most_common(1)
        if not counts or counts[0][1] < 2:
            yield from (_render_leaf(guard, rule, defaults, len(given)) for guard, rule in left)
            return
        atom = counts[0][0]
        inside = [(tuple(a for a in g if a != atom), r) for g, r in left if atom in g]
        left = [(g, r) for g, r in left if atom not in g]
        yield "  " * (1 + len(given)) + atom_text(atom, defaults.reading_head)
        yield from _render_tree(inside, defaults, (*given, atom))


def _render_leaf(
    guard: Sequence[asm.Atom], rule: asm.Rule, defaults: MachineDefaults, depth: int
) -> str:
    condition = " and ".join(atom_text(a, defaults.reading_head) for a in guard) or "else"
    _, _, written = rule_text(rule, defaults).rpartition(" / ")
    then = ", then halt" if rule.goto is None else ""
    then = f", then {rule.goto}" if rule.goto not in (None, rule.mode) else then
    return "  " * (1 + depth) + f"{condition} / {written}{then}"
