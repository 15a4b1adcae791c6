"""Which inputs recurse how deep, read off the program: the ground for sampling by exact depth.

A `State` is a set of calls on unknown terms (variables). Running their bodies symbolically splits
the variables into constructors until only further own calls are left: each way is a
`RecursionCase`, with a skeleton for every variable, the calls that follow (grouped by the
variables they share), and variables that no call looks at. A state's depth is one more than the
deepest of its groups. The successor has one state {succ x} with cases One, X0 y (y free) and X1 y
(then {succ y}). Where the depth hangs on something computed, `ComputedDepth` is raised and
the caller measures depths instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from recinterp.semantics.ast import Call, Construct, Expr, Let, Match, Program, Var, walk
from recinterp.tasks.sampling.length_counts import LengthGrammar, TermKind

# A variable's index, None where nothing is known, or (constructor's number, *arguments).
PartialTerm: TypeAlias = "int | tuple[PartialTerm, ...] | None"
Pending: TypeAlias = "tuple[str, tuple[PartialTerm, ...]]"  # a call: function, arguments


class ComputedDepth(Exception):
    """The depth depends on computed values."""


class _SplitVariable(Exception):
    def __init__(self, variable: int) -> None:
        self.variable = variable


@dataclass(frozen=True)
class CallState:
    """Calls on terms of these kinds; `own`: whether unfolding them counts as a level."""

    kinds: tuple[TermKind, ...]
    calls: tuple[Pending, ...]
    own: bool

    @cached_property
    def _hash(self) -> int:
        return hash((self.kinds, self.calls, self.own))

    def __hash__(self) -> int:  # a key of many tables: made once
        return self._hash


@dataclass(frozen=True)
class CallGroup:
    """A following state, and which of the case's variables its own are."""

    state: CallState
    variables: tuple[int, ...]


@dataclass(frozen=True)
class RecursionCase:
    """One way a state's terms can look: `skeletons` in its variables, in new variables."""

    cost: int
    skeletons: tuple[PartialTerm, ...]
    groups: tuple[CallGroup, ...]
    free: tuple[tuple[int, TermKind], ...]


@dataclass
class RecursionStates:
    """The states of a program from one function on, and the cases of each.

    Attributes:
        program: The program.
        grammar: Kinds of terms, and how many there are.
        own: The functions whose unfoldings count as a level of depth.
        function: The function that is called first.
        cases: The cases of each state.
        max_states: States beyond which depths are measured instead. Shipped tasks have under ten.
        max_cases: Cases of one state beyond which depths are measured instead.
        max_argument_size: Constructors of an argument that are distinguished; what has grown larger
            (an accumulator) is forgotten, so that states are finitely many.
    """

    program: Program
    grammar: LengthGrammar
    own: frozenset[str]
    function: str
    max_states: int = 200
    max_cases: int = 2_000
    max_argument_size: int = 8
    cases: dict[CallState, tuple[RecursionCase, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        params = self.program.function(self.function).params
        kinds = tuple(self.grammar.kind_of(p.type) for p in params)
        call = (self.function, tuple(range(len(kinds))))
        self.root = CallState(kinds, (call,), self.function in self.own)
        work = [self.root]
        while work:
            state = work.pop()
            if state not in self.cases:
                if len(self.cases) >= self.max_states:
                    raise ComputedDepth
                self.cases[state] = tuple(self._expand_state(state))
                work += [g.state for case in self.cases[state] for g in case.groups]

    def _expand_state(self, state: CallState) -> Iterator[RecursionCase]:
        work = [_PartialCase(tuple(range(len(state.kinds))), dict(enumerate(state.kinds)), 0)]
        for done in range(self.max_cases):
            if not work:
                return
            partial = work.pop()
            try:
                pending = _SymbolicRunner(self, partial).collect_own_calls(state.calls)
            except _SplitVariable as split:
                work += partial.split_variable(split.variable, self.grammar)
            else:
                yield partial.finish_case(pending)
            if done == self.max_cases - 1:
                raise ComputedDepth


@dataclass(frozen=True)
class _PartialCase:
    """Skeletons so far, and the kinds of the variables in them."""

    skeletons: tuple[PartialTerm, ...]
    kinds: Mapping[int, TermKind]
    cost: int

    def split_variable(self, variable: int, grammar: LengthGrammar) -> list[_PartialCase]:
        """One for each constructor that the variable can begin with."""
        found = []
        fresh = max(self.kinds) + 1
        for p in reversed(grammar.productions_of(self.kinds[variable])):
            new = range(fresh, fresh + len(p.args))
            kinds = {k: v for k, v in self.kinds.items() if k != variable}
            kinds |= dict(zip(new, p.args, strict=True))
            skeletons = tuple(
                _replace_variable(s, variable, (p.number, *new)) for s in self.skeletons
            )
            # Keep indices distinct from those used so far even where nothing is left.
            found.append(
                _PartialCase(skeletons, kinds or {fresh: TermKind("")}, self.cost + p.cost)
            )
        return found

    def finish_case(self, pending: Sequence[Pending]) -> RecursionCase:
        used = [v for s in self.skeletons for v in _list_variables(s)]
        groups = tuple(_group_calls(pending, self.kinds))
        taken = {v for g in groups for v in g.variables}
        free = tuple((v, self.kinds[v]) for v in used if v not in taken)
        return RecursionCase(self.cost, self.skeletons, groups, free)


def _group_calls(pending: Sequence[Pending], kinds: Mapping[int, TermKind]) -> Iterator[CallGroup]:
    """Calls joined where they share a variable, each renumbered from 0."""
    left = list(dict.fromkeys(pending))
    while left:
        calls = _take_connected(left)
        order = list(dict.fromkeys(v for call in calls for v in _call_variables(call)))
        names = {v: i for i, v in enumerate(order)}
        renamed = {(f, tuple(_rename_variables(a, names) for a in args)) for f, args in calls}
        state = CallState(tuple(kinds[v] for v in order), tuple(sorted(renamed, key=repr)), True)
        yield CallGroup(state, tuple(order))


def _take_connected(left: list[Pending]) -> list[Pending]:
    """The first call and all that share variables with it or with one another, out of `left`."""
    calls = [left.pop(0)]
    more = calls
    while more:
        seen = {v for call in calls for v in _call_variables(call)}
        more = [c for c in left if seen & set(_call_variables(c))]
        calls = [*calls, *more]
        left[:] = [c for c in left if c not in more]
    return calls


def _call_variables(call: Pending) -> list[int]:
    return [v for a in call[1] for v in _list_variables(a)]


@dataclass
class _SymbolicRunner:
    """Runs calls symbolically; own calls met on the way are collected, not entered."""

    shapes: RecursionStates
    partial: _PartialCase
    found: list[Pending] = field(default_factory=list)

    def collect_own_calls(self, calls: Sequence[Pending]) -> list[Pending]:
        """The own calls that unfolding `calls` once leads to.

        Raises _SplitVariable, ComputedDepth.
        """
        for function, args in calls:
            self.enter_function(function, [self.resolve_term(a) for a in args])
        return self.found

    def resolve_term(self, known: PartialTerm) -> PartialTerm:
        """The state's variables replaced by their skeletons."""
        if isinstance(known, int):
            return self.partial.skeletons[known]
        if isinstance(known, tuple):
            return (known[0], *(self.resolve_term(a) for a in known[1:]))
        return None

    def enter_function(self, name: str, args: Sequence[PartialTerm]) -> PartialTerm:
        function = self.shapes.program.function(name)
        env = {p.name: a for p, a in zip(function.params, args, strict=True)}
        return self.run_expression(function.body, env)

    def run_expression(self, expr: Expr, env: Mapping[str, PartialTerm]) -> PartialTerm:
        match expr:
            case Var(name=name):
                return env[name]
            case Construct(constructor=name, type=type_, args=args):
                number = self.shapes.program.ids[type_, name]
                return self._forget_large((number, *(self.run_expression(a, env) for a in args)))
            case Call(function=name, args=args):
                return self.run_call(name, [self.run_expression(a, env) for a in args])
            case Let(name=name, value=value, body=body):
                return self.run_expression(body, {**env, name: self.run_expression(value, env)})
            case Match():
                return self.run_match(expr, env)

    def _forget_large(self, known: PartialTerm) -> PartialTerm:
        """None for a term that has grown too large to be distinguished, as accumulators do."""
        is_large = _term_size(known) > self.shapes.max_argument_size
        return None if isinstance(known, tuple) and is_large else known

    def run_call(self, name: str, args: list[PartialTerm]) -> PartialTerm:
        if name in self.shapes.own:
            self.found.append((name, tuple(self._forget_large(a) for a in args)))
            return None
        if not _reaches_own(self.shapes.program, name, self.shapes.own):
            return None
        if self.shapes.program.function(name).is_recursive:
            raise ComputedDepth
        return self.enter_function(name, args)

    def run_match(self, expr: Match, env: Mapping[str, PartialTerm]) -> PartialTerm:
        head = self.run_expression(expr.scrutinee, env)
        if isinstance(head, int):
            raise _SplitVariable(head)
        if isinstance(head, tuple):
            first = self.shapes.program.first_id[expr.type]
            assert isinstance(head[0], int)
            arm = expr.arms[head[0] - first]
            return self.run_expression(
                arm.body, {**env, **dict(zip(arm.names, head[1:], strict=True))}
            )
        before, outcomes = self.found, []
        for arm in expr.arms:
            self.found = []
            self.run_expression(arm.body, {**env, **dict.fromkeys(arm.names)})
            outcomes.append(self.found)
        self.found = before
        if any(set(o) != set(outcomes[0]) for o in outcomes):
            raise ComputedDepth
        self.found = before + outcomes[0]
        return None


def _reaches_own(program: Program, name: str, own: frozenset[str]) -> bool:
    seen, work = set[str](), [name]
    while work:
        here = work.pop()
        if here in own:
            return True
        if here not in seen:
            seen.add(here)
            work += [e.function for e in walk(program.function(here).body) if isinstance(e, Call)]
    return False


def _term_size(known: PartialTerm) -> int:
    return 1 + sum(_term_size(a) for a in known[1:]) if isinstance(known, tuple) else 1


def _list_variables(known: PartialTerm) -> list[int]:
    if isinstance(known, tuple):
        return [v for a in known[1:] for v in _list_variables(a)]
    return [known] if isinstance(known, int) else []


def _replace_variable(known: PartialTerm, variable: int, value: PartialTerm) -> PartialTerm:
    if isinstance(known, tuple):
        return (known[0], *(_replace_variable(a, variable, value) for a in known[1:]))
    return value if known == variable and isinstance(known, int) else known


def _rename_variables(known: PartialTerm, names: Mapping[int, int]) -> PartialTerm:
    if isinstance(known, tuple):
        return (known[0], *(_rename_variables(a, names) for a in known[1:]))
    return names[known] if isinstance(known, int) else None
