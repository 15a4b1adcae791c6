"""A machine that stops writing after so many tokens: one edit that touches every rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recinterp.machine.nodes import Cmp, Const, Emit, Reg, Rule

if TYPE_CHECKING:
    from recinterp.machine import Machine

CUT = "cut"


def truncate_outputs(machine: Machine, k: int) -> Machine:
    """The machine whose outputs are those of `machine` up to their first k tokens."""
    rules = [piece for r in machine.rules for piece in _pieces(r, k)]
    ends = [Rule(f"{CUT}-{mode}", mode, (_at(">=", k),), (), None) for mode in machine.modes]
    return machine.with_rules([*rules, *ends])


def _pieces(rule: Rule, k: int) -> list[Rule]:
    """The rule while its word fits, and its shortened words where only a beginning fits."""
    word = rule.word
    whole = replace(rule, guard=(*rule.guard, _at("<=", k - max(1, len(word)))))
    short = [
        Rule(
            f"{rule.name}-{CUT}{j}",
            rule.mode,
            (*rule.guard, _at("=", k - j)),
            (Emit(word[:j]),),
            None,
        )
        for j in range(1, len(word))
    ]
    return [whole, *short]


def _at(op: str, k: int) -> Cmp:
    return Cmp(Reg("t"), op, Const(k))
