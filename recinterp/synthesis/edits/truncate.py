"""A machine that stops writing after so many tokens: one edit that touches every rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recinterp.machine.nodes import Cmp, Const, Emit, Reg, Rule

if TYPE_CHECKING:
    from recinterp.machine import Machine

CUT = "cut"  # part of the names of the rules that are added


def truncate_outputs(machine: Machine, max_tokens: int) -> Machine:
    """The machine whose outputs are the first `max_tokens` tokens of those of `machine`."""
    rules = [piece for r in machine.rules for piece in _pieces(r, max_tokens)]
    ends = [
        Rule(f"{CUT}-{mode}", mode, (_output_index(">=", max_tokens),), (), None)
        for mode in machine.modes
    ]
    return machine.with_rules([*rules, *ends])


def added_rules(truncated: Machine) -> tuple[str, ...]:
    """The names of the rules that truncation added."""
    return tuple(r.name for r in truncated.rules if CUT in r.name)


def _pieces(rule: Rule, k: int) -> list[Rule]:
    """The rule while its word fits, and its shortened words where only a beginning fits."""
    word = rule.word
    whole = replace(rule, guard=(*rule.guard, _output_index("<=", k - max(1, len(word)))))
    short = [
        Rule(
            f"{rule.name}-{CUT}{j}",
            rule.mode,
            (*rule.guard, _output_index("=", k - j)),
            (Emit(word[:j]),),
            None,
        )
        for j in range(1, len(word))
    ]
    return [whole, *short]


def _output_index(op: str, k: int) -> Cmp:
    return Cmp(Reg("t"), op, Const(k))
