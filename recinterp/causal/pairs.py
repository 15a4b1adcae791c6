"""Pairs of runs for interchange: a base step and a source step that differ in one variable.

The machine says what the base would write if it had the source's value (the counterfactual). Only
pairs whose counterfactual differs from what the base writes count, and of those the best are kept:
first where every other variable is equal, so that nothing else can have moved the token.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from recinterp.causal.traces import Trace, trace_runs
from recinterp.causal.variables import (
    Value,
    Variable,
    follows,
    forced,
    pointed,
    pointer,
    value,
    variables,
)
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import Out
from recinterp.probe.origin import is_term
from recinterp.splits import in_selection_split
from recinterp.tokens import EOS

if TYPE_CHECKING:
    from recinterp.machine.execution.interpreter import MachineRun
    from recinterp.tasks import Task

Tokens = tuple[str, ...]
TRIES = 12  # candidate sources looked at per base step
BASES = 600  # base steps looked at per variable
TOGETHER = 60  # of them, the inputs one token off are run at once
SAME_INPUT = 40  # pairs of one input that are enough to place a pointer


Source = tuple[Tokens, int, Tokens | None]  # an input, a step of it, the output before it
Candidates = Callable[[Variable, Tokens, int, random.Random], Iterator[Source]]


@dataclass(frozen=True)
class Step:
    """One step: input, output written before it, its index, and the token the machine writes.

    reads: the input position its rule reads; places: where each of the machine's pointers stands
    (None: outside the input).
    """

    tokens: Tokens
    prefix: Tokens
    t: int
    says: str
    reads: int | None
    places: tuple[tuple[str, int | None], ...] = ()

    def place(self, name: str) -> int | None:
        """Where a pointer stands."""
        return dict(self.places)[name]


@dataclass(frozen=True)
class Pair:
    """A base and a source step; `goal`: what the base writes with the source's value.

    alone: no other variable differs but those that go along with it. A pair of one value has
    goal == base.says.
    """

    base: Step
    source: Step
    goal: str
    alone: bool

    @property
    def strict(self) -> bool:
        """Whether the source's own token would be the wrong answer too."""
        return self.goal != self.source.says

    @property
    def changed(self) -> tuple[int, ...]:
        """Input positions at which the two differ, the one read aside."""
        both = zip(self.base.tokens, self.source.tokens, strict=False)
        return tuple(i for i, (a, b) in enumerate(both) if a != b and i != self.base.reads)


class _Wanted(NamedTuple):
    """Which pairs are looked for, and how many: `PairSampler.find`."""

    variable: Variable
    most: int
    same: bool
    strict: bool
    each: int


class PairSampler:
    """Finds pairs for a machine over some inputs; runs of the machine are kept.

    most: steps after which a run is cut that may have no end.
    """

    def __init__(
        self,
        task: Task,
        machine: Machine,
        inputs: Sequence[Sequence[str]],
        seed: int,
        most: int | None = None,
    ) -> None:
        self.task, self.machine, self.seed, self.most = task, machine, seed, most
        self.inputs = tuple(dict.fromkeys(tuple(x) for x in inputs))
        self.variables = variables(machine)
        self._runs: dict[Tokens, Trace] = {}
        self._values: dict[tuple[Tokens, int], tuple[Value, ...]] = {}
        self._goals: dict[tuple[Variable, tuple[Tokens, int], Value], str | None] = {}
        self._flips: dict[Tokens, tuple[Tokens, ...]] = {}

    def among(self, inputs: Sequence[Sequence[str]]) -> PairSampler:
        """The same over other inputs; what has been run stays known."""
        other = PairSampler(self.task, self.machine, inputs, self.seed, self.most)
        other._runs, other._values = self._runs, self._values
        other._goals, other._flips = self._goals, self._flips
        return other

    def run(self, tokens: Tokens) -> Trace:
        """The machine's run on an input."""
        known = self._runs.get(tokens)
        return self.runs([tokens])[0] if known is None else known

    def runs(self, inputs: Iterable[Tokens]) -> list[Trace]:
        """Its runs on many inputs, those that are new all at once."""
        asked = list(inputs)
        new = list(dict.fromkeys(x for x in asked if x not in self._runs))
        if new:
            self._runs |= zip(new, trace_runs(self.machine, new, self.most), strict=True)
        return [self._runs[x] for x in asked]

    @cached_property
    def _same_length(self) -> dict[int, list[Tokens]]:
        groups: dict[int, list[Tokens]] = {}
        for x, run in zip(self.inputs, self.runs(self.inputs), strict=True):
            if run.owners:
                groups.setdefault(len(x), []).append(x)
        return groups

    @cached_property
    def _steps(self) -> list[tuple[Tokens, int]]:
        runs = self.runs(self.inputs)
        found = [(run.tokens, t) for run in runs for t in range(len(run.owners))]
        random.Random(self.seed).shuffle(found)
        return found

    def flips(self, tokens: Tokens) -> tuple[Tokens, ...]:
        """The inputs of the task that differ in one token."""
        if tokens not in self._flips:
            self._flips[tokens] = tuple(
                new
                for at, old in enumerate(tokens)
                for token in self.task.constructors
                if token != old
                and is_term(self.task, new := (*tokens[:at], token, *tokens[at + 1 :]))
            )
        return self._flips[tokens]

    def step(self, tokens: Tokens, t: int, prefix: Tokens | None = None) -> Step:
        """A step of the machine's run, or the same with another prefix before it."""
        run = self.run(tokens)
        says = run.says[t] if t < len(run.says) else EOS
        before = run.says[:t] if prefix is None else prefix
        at = [(v.name, value(run.owners[t], v)) for v in self.pointers]
        places = tuple(
            (n, p if isinstance(p, int) and 0 <= p < len(tokens) else None) for n, p in at
        )
        return Step(tokens, before, t, says, pointer(run.owners[t]), places)

    @property
    def pointers(self) -> list[Variable]:
        """The machine's pointers."""
        return [v for v in self.variables if v.kind == "pointer"]

    def find(
        self,
        variable: Variable,
        count: int,
        *,
        same: bool = False,
        strict: bool = False,
        each: int = 1,
    ) -> list[Pair]:
        """Up to `count` pairs for a variable.

        same: pairs whose value is equal (the control); strict: pairs whose source writes
        something else than the counterfactual, so that taking over its answer is wrong too; each:
        sources of a base, at most.
        """
        wanted = _Wanted(variable, count, same, strict, each)
        if variable.kind == "pointer" and not same:
            found = self._found(wanted, self._other_steps)
            if len(found) >= min(count, SAME_INPUT):
                return found
        return self._found(wanted, self._candidates)

    def _found(self, wanted: _Wanted, candidates: Candidates) -> list[Pair]:
        rng = random.Random(f"{self.seed} {wanted.variable.name}")
        alone: list[Pair] = []
        mixed: list[Pair] = []
        bases = self._steps[:BASES]
        for i, (x, t) in enumerate(bases):
            if len(alone) >= wanted.most:
                break
            if i % TOGETHER == 0 and candidates == self._candidates:
                self.runs(y for x, _ in bases[i : i + TOGETHER] for y in self.flips(x))
            for pair in self._of_base(wanted, (x, t), candidates(wanted.variable, x, t, rng)):
                (alone if pair.alone else mixed).append(pair)
            if wanted.strict and len(mixed) >= wanted.most:
                break
        return (alone + mixed)[: wanted.most]

    def _of_base(
        self, wanted: _Wanted, base: tuple[Tokens, int], candidates: Iterator[Source]
    ) -> list[Pair]:
        """The first good sources for a base step; those that differ in nothing else win."""
        first: list[Pair] = []
        others: list[Pair] = []
        for tokens, u, prefix in candidates:
            pair = self._judged(wanted.variable, base, (tokens, u), prefix, wanted.same)
            if pair is None or (wanted.strict and not pair.strict):
                continue
            (first if pair.alone or wanted.strict else others).append(pair)
            if len(first) == wanted.each:
                break
        return first or others[: wanted.each]

    def _other_steps(
        self, variable: Variable, x: Tokens, t: int, rng: random.Random
    ) -> Iterator[Source]:
        """Other steps of the same input: all pointers move at once, and the input stays.

        A rule may write several tokens: only the same place of a word is comparable.
        """
        owners = self.run(x).owners
        place = t - len(owners[t].out)
        steps = [
            u for u in range(1, len(owners)) if t and u != t and u - len(owners[u].out) == place
        ]
        yield from ((x, u, None) for u in rng.sample(steps, min(TRIES // 2, len(steps))))

    def _candidates(
        self, variable: Variable, x: Tokens, t: int, rng: random.Random
    ) -> Iterator[Source]:
        if isinstance(variable.node, Out):
            yield from self._other_prefixes(variable.node.back, x, t, rng)
            return
        if variable.kind == "pointer":
            yield from self._other_steps(variable, x, t, rng)
        flips = self.flips(x)
        yield from ((y, t, None) for y in rng.sample(flips, min(TRIES, len(flips))))
        pool = self._same_length[len(x)]
        yield from ((y, t, None) for y in rng.sample(pool, min(TRIES, len(pool))) if y != x)

    def _other_prefixes(self, back: int, x: Tokens, t: int, rng: random.Random) -> Iterator[Source]:
        clean = self.run(x).says[:t]
        if back <= t:
            for token in rng.sample(self.task.constructors, len(self.task.constructors)):
                if token != clean[-back]:
                    yield x, t, (*clean[: t - back], token, *clean[t - back + 1 :])

    def _judged(
        self,
        variable: Variable,
        base: tuple[Tokens, int],
        source: tuple[Tokens, int],
        prefix: Tokens | None,
        same: bool,
    ) -> Pair | None:
        if source[1] >= len(self.run(source[0]).owners):
            return None
        here, there = self._valued(*base), self._valued(*source)
        index = self.variables.index(variable)
        to: Value = there[index]
        if prefix and isinstance(variable.node, Out):
            to = prefix[-variable.node.back]
        if (here[index] == to) != same or self._entangled(variable, base, source):
            return None
        if same and variable.kind == "pointer" and not self._together(here, there):
            return None
        says = self.run(base[0]).says[base[1]]
        goal = says if same else self._goal(variable, base, source, to)
        if goal is None or (goal == says) != same:
            return None
        rest = zip(self.variables, here, there, strict=True)
        alone = all(
            a == b for v, a, b in rest if v != variable and not self._may_differ(v, variable)
        )
        step = self.step(*source, prefix)
        if prefix is not None:
            step = replace(step, says=goal)
        return Pair(self.step(*base), step, goal, alone)

    def _together(self, here: tuple[Value, ...], there: tuple[Value, ...]) -> bool:
        """Whether all pointers stand alike: at the query, all of them are put in at once."""
        both = zip(self.variables, here, there, strict=True)
        return all(a == b for v, a, b in both if v.kind == "pointer")

    def _entangled(
        self, variable: Variable, base: tuple[Tokens, int], source: tuple[Tokens, int]
    ) -> bool:
        """Whether mode and top frame both differ: one alone may be a state that never occurs.

        Where one goes with the other (popping, as long as there is something to pop), a network
        need not keep them apart.
        """
        here, there = self.run(base[0]).owners[base[1]], self.run(source[0]).owners[source[1]]
        if variable.kind == "mode":
            return _frame(here) != _frame(there)
        return variable.kind == "frame" and here.mode != there.mode

    def _may_differ(self, one: Variable, variable: Variable) -> bool:
        """Whether one variable goes along with another: what follows from it, pointer with pointer.

        Another step of the same input moves all pointers at once, so none could be moved alone.
        """
        movers = self.pointers if variable.kind == "pointer" else [variable]
        return one in movers or any(follows(one, mover) for mover in movers)

    def _valued(self, tokens: Tokens, t: int) -> tuple[Value, ...]:
        """The value of every variable in the state that owns output t."""
        key = (tokens, t)
        if key not in self._values:
            owner = self.run(tokens).owners[t]
            self._values[key] = tuple(value(owner, v) for v in self.variables)
        return self._values[key]

    def _goal(
        self, variable: Variable, base: tuple[Tokens, int], source: tuple[Tokens, int], to: Value
    ) -> str | None:
        """What the base writes with the source's value; of one input, with all its pointers."""
        if variable.kind == "pointer" and base[0] == source[0] and len(self.pointers) > 1:
            owners = self.run(base[0]).owners
            return pointed(owners[base[1]], owners[source[1]], base[1])
        return self._forced(variable, base, to)

    def _forced(self, variable: Variable, base: tuple[Tokens, int], to: Value) -> str | None:
        key = (variable, base, to)
        if key not in self._goals:
            owner = self.run(base[0]).owners[base[1]]
            self._goals[key] = forced(owner, variable, to, base[1])
        return self._goals[key]


def _frame(state: MachineRun) -> str | None:
    return state.stack[-1][0] if state.stack else None


def parted(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs to choose by, two in five, and pairs to count; those of one input are on one side."""
    chooses = [in_selection_split(p.base.tokens) for p in pairs]
    both = list(zip(pairs, chooses, strict=True))
    return [p for p, first in both if first], [p for p, first in both if not first]
