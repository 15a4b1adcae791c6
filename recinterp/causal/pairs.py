"""Pairs of steps for interchange: a base step and a source step that differ in one variable.

The machine predicts what the base would write if it had the source's value (the counterfactual).
Only pairs whose counterfactual differs from what the base writes can test a variable. Pairs in
which every other variable is equal are preferred: nothing else can have changed the token.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from recinterp.causal.config import DEFAULTS, PairConfig
from recinterp.causal.traces import Trace, trace_runs
from recinterp.causal.variables import (
    Value,
    Variable,
    VariableKind,
    counterfactual_output,
    evaluate_variable,
    find_read_position,
    follows,
    list_variables,
    resume_until,
    with_pointers_of,
)
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import Out
from recinterp.probe.origin import is_term
from recinterp.splits import in_selection_split
from recinterp.tokens import EOS, TokenTuple

if TYPE_CHECKING:
    from recinterp.machine.execution.interpreter import MachineRun
    from recinterp.tasks import Task

TRACES_PER_BLOCK = 60  # base steps whose one-token variants are run as one batch


class StepIndex(NamedTuple):
    """Where a step is: an input, and the index of the output token that the step writes."""

    tokens: TokenTuple
    t: int


# A step, and another output prefix to put before it (None: the machine's own).
Candidate: TypeAlias = tuple[StepIndex, TokenTuple | None]
CandidateDrawer: TypeAlias = Callable[[Variable, StepIndex, random.Random], Iterator[Candidate]]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a machine's run: what stands before output token t, and that token.

    Attributes:
        tokens: the input.
        prefix: the output tokens before the step.
        t: index of the output token.
        output: the token that the machine writes.
        read_position: the input position that the machine's rule reads; None where it reads none.
        pointer_positions: for each of the machine's pointers its name and its input position; None
            where it is outside the input.
    """

    tokens: TokenTuple
    prefix: TokenTuple
    t: int
    output: str
    read_position: int | None
    pointer_positions: tuple[tuple[str, int | None], ...] = ()

    def position_of(self, pointer: str) -> int | None:
        """The input position of a pointer, by its name."""
        return dict(self.pointer_positions)[pointer]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A base step and a source step for an interchange intervention.

    Attributes:
        base: the step that is intervened on.
        source: the step whose value is put in.
        counterfactual: the token that the machine writes at the base with the source's value. It is
            the base's own output where the two values are equal.
        others_match: whether no other variable differs, but for those computed from this one.
    """

    base: Step
    source: Step
    counterfactual: str
    others_match: bool

    @property
    def source_answer_differs(self) -> bool:
        """Whether copying the source's own output token would be wrong as well."""
        return self.counterfactual != self.source.output

    @property
    def changed_positions(self) -> tuple[int, ...]:
        """Input positions at which the two inputs differ, without the one that is read."""
        both = zip(self.base.tokens, self.source.tokens, strict=False)
        return tuple(i for i, (a, b) in enumerate(both) if a != b and i != self.base.read_position)


class _Request(NamedTuple):
    """Which pairs are to be drawn, and how many; see `PairSampler.sample`."""

    variable: Variable
    max_pairs: int
    same_value: bool
    source_answer_differs: bool
    max_sources: int


class PairSampler:
    """Draws pairs of steps for a machine over some inputs, and caches the machine's runs."""

    def __init__(
        self,
        task: Task,
        machine: Machine,
        inputs: Sequence[Sequence[str]],
        seed: int,
        max_steps: int | None = None,
        config: PairConfig = DEFAULTS.pairs,
    ) -> None:
        """Prepare to draw pairs; the machine is run when pairs are first asked for.

        Args:
            task: the task whose inputs these are.
            machine: the machine whose variables are set.
            inputs: the inputs that base steps are drawn from.
            seed: seed of every draw.
            max_steps: rule applications after which a run that may have no end is cut.
            config: how many steps and sources are looked at.
        """
        self.task, self.machine, self.seed = task, machine, seed
        self.max_steps, self.config = max_steps, config
        self.inputs = tuple(dict.fromkeys(tuple(x) for x in inputs))
        self.variables = list_variables(machine, config.max_variables)
        self._traces: dict[TokenTuple, Trace] = {}
        self._values: dict[StepIndex, tuple[Value, ...]] = {}
        self._counterfactuals: dict[tuple[Variable, StepIndex, Value], str | None] = {}
        self._variants: dict[TokenTuple, tuple[TokenTuple, ...]] = {}

    def restricted_to(self, inputs: Sequence[Sequence[str]]) -> PairSampler:
        """A sampler over other inputs that shares the cached runs."""
        other = PairSampler(self.task, self.machine, inputs, self.seed, self.max_steps, self.config)
        other._traces, other._values = self._traces, self._values
        other._counterfactuals, other._variants = self._counterfactuals, self._variants
        return other

    def trace(self, tokens: TokenTuple) -> Trace:
        """The machine's run on an input."""
        cached = self._traces.get(tokens)
        return self.traces([tokens])[0] if cached is None else cached

    def traces(self, inputs: Iterable[TokenTuple]) -> list[Trace]:
        """The machine's runs on many inputs; those not cached are run as one batch."""
        wanted = list(inputs)
        new = list(dict.fromkeys(x for x in wanted if x not in self._traces))
        if new:
            traces = trace_runs(self.machine, new, self.max_steps)
            if self.task.eos is None:  # the model writes no end that an intervention could change
                traces = [trace.without_end() for trace in traces]
            self._traces |= zip(new, traces, strict=True)
        return [self._traces[x] for x in wanted]

    def emitting_state(self, at: StepIndex) -> MachineRun:
        """The state whose rule writes the output token of a step."""
        return self.trace(at.tokens).emitting_states[at.t]

    @cached_property
    def _inputs_by_length(self) -> dict[int, list[TokenTuple]]:
        groups: dict[int, list[TokenTuple]] = {}
        for x, trace in zip(self.inputs, self.traces(self.inputs), strict=True):
            if trace.emitting_states:
                groups.setdefault(len(x), []).append(x)
        return groups

    @cached_property
    def _shuffled_steps(self) -> list[StepIndex]:
        traces = self.traces(self.inputs)
        steps = [StepIndex(r.tokens, t) for r in traces for t in range(len(r.emitting_states))]
        random.Random(self.seed).shuffle(steps)
        return steps

    def one_token_variants(self, tokens: TokenTuple) -> tuple[TokenTuple, ...]:
        """The inputs of the task that differ from an input in exactly one token."""
        if tokens not in self._variants:
            self._variants[tokens] = tuple(
                new
                for at, old in enumerate(tokens)
                for token in self.task.constructors
                if token != old
                and is_term(self.task, new := (*tokens[:at], token, *tokens[at + 1 :]))
            )
        return self._variants[tokens]

    def build_step(self, tokens: TokenTuple, t: int, prefix: TokenTuple | None = None) -> Step:
        """Build step t of the machine's run on an input.

        Args:
            tokens: the input.
            t: index of the output token.
            prefix: another output to put before the step, by default the machine's own.
        """
        trace = self.trace(tokens)
        state = trace.emitting_states[t]
        positions = [(v.name, evaluate_variable(state, v)) for v in self.pointers]
        return Step(
            tokens=tokens,
            prefix=trace.outputs[:t] if prefix is None else prefix,
            t=t,
            output=trace.outputs[t] if t < len(trace.outputs) else EOS,
            read_position=find_read_position(state),
            pointer_positions=tuple(
                (name, at if isinstance(at, int) and 0 <= at < len(tokens) else None)
                for name, at in positions
            ),
        )

    @property
    def pointers(self) -> list[Variable]:
        """The machine's pointers."""
        return [v for v in self.variables if v.kind is VariableKind.POINTER]

    def sample(
        self,
        variable: Variable,
        count: int,
        *,
        same_value: bool = False,
        source_answer_differs: bool = False,
        max_sources: int = 1,
    ) -> list[Pair]:
        """Draw up to `count` pairs for a variable; those in which nothing else differs come first.

        Args:
            variable: the variable whose value the source gives.
            count: how many pairs at most.
            same_value: draw pairs of equal value, the control: interchange must change nothing.
            source_answer_differs: draw only pairs whose source writes a third token, so that
                copying the source's answer is wrong as well.
            max_sources: sources per base step at most.
        """
        request = _Request(variable, count, same_value, source_answer_differs, max_sources)
        if variable.kind is VariableKind.POINTER and not same_value:
            found = self._sample_pairs(request, self._other_steps)
            if len(found) >= min(count, self.config.min_one_input_pairs):
                return found
        return self._sample_pairs(request, self._candidates)

    def _sample_pairs(self, request: _Request, draw: CandidateDrawer) -> list[Pair]:
        rng = random.Random(f"{self.seed} {request.variable.name}")
        clean: list[Pair] = []
        mixed: list[Pair] = []
        bases = self._shuffled_steps[: self.config.max_base_steps]
        for i, base in enumerate(bases):
            if len(clean) >= request.max_pairs:
                break
            if i % TRACES_PER_BLOCK == 0 and draw == self._candidates:
                block = bases[i : i + TRACES_PER_BLOCK]
                self.traces(y for step in block for y in self.one_token_variants(step.tokens))
            for pair in self._pairs_for_base(request, base, draw(request.variable, base, rng)):
                (clean if pair.others_match else mixed).append(pair)
            if request.source_answer_differs and len(mixed) >= request.max_pairs:
                break
        return (clean + mixed)[: request.max_pairs]

    def _pairs_for_base(
        self, request: _Request, base: StepIndex, candidates: Iterator[Candidate]
    ) -> list[Pair]:
        """The first sources that fit a base step, preferably those that differ in nothing else."""
        preferred: list[Pair] = []
        others: list[Pair] = []
        for source, prefix in candidates:
            pair = self._make_pair(request, base, source, prefix)
            if pair is None or (request.source_answer_differs and not pair.source_answer_differs):
                continue
            wanted = pair.others_match or request.source_answer_differs
            (preferred if wanted else others).append(pair)
            if len(preferred) == request.max_sources:
                break
        return preferred or others[: request.max_sources]

    def _other_steps(
        self, variable: Variable, base: StepIndex, rng: random.Random
    ) -> Iterator[Candidate]:
        """Other steps of the same input: all pointers change at once, and the input stays.

        A rule may write several tokens: only equal places of its word are comparable.
        """
        x, t = base
        states = self.trace(x).emitting_states
        place = t - len(states[t].out)
        limit = self.config.candidates_per_base // 2
        steps = [
            u for u in range(1, len(states)) if t and u != t and u - len(states[u].out) == place
        ]
        for u in rng.sample(steps, min(limit, len(steps))):
            yield StepIndex(x, u), None

    def _candidates(
        self, variable: Variable, base: StepIndex, rng: random.Random
    ) -> Iterator[Candidate]:
        (x, t), limit = base, self.config.candidates_per_base
        if isinstance(variable.node, Out):
            for prefix in self._other_prefixes(variable.node.back, base, rng):
                yield base, prefix
            return
        if variable.kind is VariableKind.POINTER:
            yield from self._other_steps(variable, base, rng)
        variants = self.one_token_variants(x)
        for y in rng.sample(variants, min(limit, len(variants))):
            yield StepIndex(y, t), None
        pool = self._inputs_by_length[len(x)]
        for y in rng.sample(pool, min(limit, len(pool))):
            if y != x:
                yield StepIndex(y, t), None

    def _other_prefixes(
        self, back: int, base: StepIndex, rng: random.Random
    ) -> Iterator[TokenTuple]:
        """Outputs before a step with another token `back` places before its end."""
        t = base.t
        clean = self.trace(base.tokens).outputs[:t]
        if back <= t:
            for token in rng.sample(self.task.constructors, len(self.task.constructors)):
                if token != clean[-back]:
                    yield (*clean[: t - back], token, *clean[t - back + 1 :])

    def _make_pair(
        self, request: _Request, base: StepIndex, source: StepIndex, prefix: TokenTuple | None
    ) -> Pair | None:
        """The pair of two steps, or None where it cannot test the variable."""
        variable, same_value = request.variable, request.same_value
        if source.t >= len(self.trace(source.tokens).emitting_states):
            return None
        here, there = self._values_at(base), self._values_at(source)
        index = self.variables.index(variable)
        to: Value = there[index]
        if prefix and isinstance(variable.node, Out):
            to = prefix[-variable.node.back]
        if (here[index] == to) != same_value or self._is_confounded(variable, base, source):
            return None
        if same_value and variable in self.pointers and not self._pointers_match(here, there):
            return None
        clean = self.trace(base.tokens).outputs[base.t]
        token = clean if same_value else self._counterfactual(variable, base, source, to)
        if token is None or (token == clean) != same_value:
            return None
        if token == EOS and self.task.eos is None:
            return None
        step = self.build_step(*source, prefix)
        return Pair(
            base=self.build_step(*base),
            source=step if prefix is None else replace(step, output=token),
            counterfactual=token,
            others_match=self._others_match(variable, here, there),
        )

    def _others_match(
        self, variable: Variable, here: tuple[Value, ...], there: tuple[Value, ...]
    ) -> bool:
        """Whether no other variable differs, but for those that vary with this one."""
        rest = zip(self.variables, here, there, strict=True)
        return all(
            a == b for v, a, b in rest if v != variable and not self._varies_with(v, variable)
        )

    def _pointers_match(self, here: tuple[Value, ...], there: tuple[Value, ...]) -> bool:
        """Whether all pointers are equal: a patch of the prediction position sets all of them."""
        both = zip(self.variables, here, there, strict=True)
        return all(a == b for v, a, b in both if v.kind is VariableKind.POINTER)

    def _is_confounded(self, variable: Variable, base: StepIndex, source: StepIndex) -> bool:
        """Whether mode and top frame both differ: one of them set may give an unreachable state.

        Where one is a function of the other (popping, as long as there is something to pop), a
        network need not store them separately.
        """
        here, there = self.emitting_state(base), self.emitting_state(source)
        if variable.kind is VariableKind.MODE:
            return _top_frame(here) != _top_frame(there)
        return variable.kind is VariableKind.FRAME and here.mode != there.mode

    def _varies_with(self, one: Variable, variable: Variable) -> bool:
        """Whether a variable changes with another: it is computed from it, or both are pointers.

        Another step of the same input changes all pointers at once; none changes by itself.
        """
        changing = self.pointers if variable.kind is VariableKind.POINTER else [variable]
        return one in changing or any(follows(one, other) for other in changing)

    def _values_at(self, at: StepIndex) -> tuple[Value, ...]:
        """The value of every variable in the state that emits the output of a step."""
        if at not in self._values:
            state = self.emitting_state(at)
            self._values[at] = tuple(evaluate_variable(state, v) for v in self.variables)
        return self._values[at]

    def _counterfactual(
        self, variable: Variable, base: StepIndex, source: StepIndex, to: Value
    ) -> str | None:
        """What the base writes with the source's value; of one input, with all its pointers."""
        one_input = base.tokens == source.tokens
        if variable.kind is VariableKind.POINTER and one_input and len(self.pointers) > 1:
            changed = with_pointers_of(self.emitting_state(base), self.emitting_state(source))
            return None if changed is None else resume_until(changed, base.t)
        return self._set_one_variable(variable, base, to)

    def _set_one_variable(self, variable: Variable, base: StepIndex, to: Value) -> str | None:
        key = (variable, base, to)
        if key not in self._counterfactuals:
            state = self.emitting_state(base)
            self._counterfactuals[key] = counterfactual_output(state, variable, to, base.t)
        return self._counterfactuals[key]


def _top_frame(state: MachineRun) -> str | None:
    return state.stack[-1][0] if state.stack else None


def split_selection_report(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Split pairs into those that select a site, two in five, and those it is reported on.

    Pairs of one base input are on one side; see `recinterp.splits.in_selection_split`.
    """
    selecting = [in_selection_split(p.base.tokens) for p in pairs]
    both = list(zip(pairs, selecting, strict=True))
    return [p for p, first in both if first], [p for p, first in both if not first]
