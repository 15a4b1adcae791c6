"""Rules that differ in one token are merged in the order of the rules, however many there are."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from recinterp.machine import Machine
from recinterp.machine.nodes import Add, Const, Copy, Emit, In, Reg, Rule
from recinterp.machine.nodes import Set as SetRegister
from recinterp.machine.transform.minimise import _merge_rules, _merge_two_rules

STEP = SetRegister("p", Add(Reg("p"), Const(0), k=1))


def merge_pair_by_pair(machine: Machine) -> list[Rule]:
    """The definition: the first pair that can be merged, from the start again each time."""
    rules = list(machine.rules)
    while True:
        pairs = ((i, j) for i in range(len(rules)) for j in range(i + 1, len(rules)))
        found = next(
            (p for p in pairs if _merge_two_rules(rules[p[0]], rules[p[1]], machine)), None
        )
        if found is None:
            return rules
        both = _merge_two_rules(rules[found[0]], rules[found[1]], machine)
        assert both is not None
        rules[found[0]] = both
        del rules[found[1]]


def random_rules(seed: int, vocab: tuple[str, ...], count: int) -> list[Rule]:
    rng = random.Random(seed)
    rules = []
    for i in range(count):
        places = [Reg("p"), Add(Reg("p"), Const(0), k=1)][: rng.randint(1, 2)]
        guard = tuple(
            In(at, tuple(sorted(rng.sample(vocab, rng.choice([1, 1, 1, 2]))))) for at in places
        )
        updates = rng.choice([(Emit((Copy(Reg("p")),)), STEP), (STEP,)])
        rules.append(Rule(f"{rng.choice('ab')}-{i}", "m", guard, updates, rng.choice(["m", None])))
    return rules


class Held:
    """What merging looks at of a machine: rules, which may overlap here, and vocabulary."""

    def __init__(self, rules: list[Rule], vocab: tuple[str, ...]) -> None:
        self.rules, self.vocab = tuple(rules), vocab
        self.merged: list[Rule] = []

    def with_rules(self, merged: list[Rule]) -> None:
        self.merged = merged


@pytest.mark.parametrize("seed", range(40))
def test_rules_are_merged_as_pair_by_pair(seed: int) -> None:
    vocab = tuple("abcd"[: 2 + seed % 3])
    machine: Any = Held(random_rules(seed, vocab, 4 + seed % 14), vocab)
    _merge_rules(machine)
    assert machine.merged == merge_pair_by_pair(machine)


@pytest.mark.slow
def test_ten_thousand_rules_are_merged_in_seconds() -> None:
    vocab = tuple(f"t{i}" for i in range(100))
    rules = [
        Rule(f"r-{a}", a, (In(Reg("p"), (b,)),), (Emit((x,)), STEP), a)
        for a in vocab
        for b, x in zip(vocab, (*vocab[1:50], *vocab[:51]), strict=True)
    ]
    machine: Any = Held(rules, vocab)
    began = time.perf_counter()
    _merge_rules(machine)
    assert time.perf_counter() - began < 10
    assert len(machine.merged) == 100 * 51
    assert sorted({len(rule.guard[0].tokens) for rule in machine.merged}) == [1, 2]
