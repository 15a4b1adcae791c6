"""The machine itself: rules with their vocabulary, registers and frames, and how it is run.

machine = Machine.parse(text)
machine.run(["X1", "X0", "01"])      # ["X0", "X1", "01"], or None where it abstains
str(machine)                         # the text again
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from recinterp.machine.continuation import Continuation, Preference, check_continuation
from recinterp.machine.execution.batch import run_batch
from recinterp.machine.execution.interpreter import run_machine
from recinterp.machine.formats.parser import parse_fields
from recinterp.machine.formats.writer import machine_text
from recinterp.machine.nodes import Atom, Expr, Find, Guarded, Rule, Span, walk
from recinterp.machine.validate import check_machine


@dataclass(frozen=True)
class Machine:
    """An executable abstract state machine.

    Attributes:
        vocab: The tokens that it reads and writes.
        start: The mode of the first step.
        registers: Each register's name and first value.
        frames: The labels of the frames that it may push on its stack; empty without a stack.
        rules: The rules, grouped by mode; of one mode at most one can fire in a state.
        domain: Atoms that must hold of the input at the start; the machine abstains otherwise.
        limit: Number of steps after which a run abstains.
        arity: How many subtrees follow each token of `vocab`, which `Span` needs.
        continuation: How it finds the step at which it continues, before each output token; empty:
            it carries its position (`machine/continuation.py`).

    Raises:
        OverlappingRulesError: Two rules of one mode can fire in the same state.
        MachineError: A rule names a mode, token, register or frame that there is not.
    """

    vocab: tuple[str, ...]
    start: str
    registers: tuple[tuple[str, Expr], ...]
    frames: tuple[str, ...]
    rules: tuple[Rule, ...]
    domain: tuple[Atom, ...] = ()
    limit: int = 10_000
    arity: tuple[int, ...] = field(default=(), compare=False)
    continuation: Continuation = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "continuation", check_continuation(self.continuation))
        check_machine(self)
        grouped = sorted(self.rules, key=lambda r: self.modes.index(r.mode))
        object.__setattr__(self, "rules", tuple(grouped))  # equal machines are equal values

    @cached_property
    def modes(self) -> tuple[str, ...]:
        """The control states, the start first; rules are grouped in this order."""
        return tuple(dict.fromkeys([self.start, *(r.mode for r in self.rules)]))

    @cached_property
    def size(self) -> int:
        """Rules + guard atoms + expression nodes: what a reader has to take in."""
        return sum(
            1
            + sum(isinstance(x, Expr | Atom) for a in r.guard for x in walk(a))
            + sum(isinstance(x, Expr) for u in r.updates for x in walk(u))
            for r in self.rules
        )

    def rules_of(self, mode: str) -> tuple[Rule, ...]:
        """The rules of one mode.

        Args:
            mode: Name of a control state; an unknown one has no rules.
        """
        return self._rules_by_mode.get(mode, ())

    def guards_of(self, mode: str) -> tuple[tuple[Atom, ...], tuple[Guarded, ...]]:
        """The distinct atoms of a mode, and its rules with their guards as numbers of those.

        Args:
            mode: Name of a control state; an unknown one has no rules.

        Returns:
            The atoms, and for each rule the indices of its guard's atoms.
        """
        return self._guards_by_mode.get(mode, ((), ()))

    @cached_property
    def _guards_by_mode(self) -> dict[str, tuple[tuple[Atom, ...], tuple[Guarded, ...]]]:
        found = {}
        for mode, rules in self._rules_by_mode.items():
            number = {a: i for i, a in enumerate(dict.fromkeys(a for r in rules for a in r.guard))}
            guards = tuple((r, tuple(number[a] for a in r.guard)) for r in rules)
            found[mode] = (tuple(number), guards)
        return found

    @cached_property
    def _rules_by_mode(self) -> dict[str, tuple[Rule, ...]]:
        return {m: tuple(r for r in self.rules if r.mode == m) for m in self.modes}

    def with_rules(self, rules: Sequence[Rule]) -> Machine:
        """A machine that differs from this one in its rules.

        Args:
            rules: All its rules.

        Raises:
            MachineError: The rules do not fit the machine, or overlap.
        """
        return replace(self, rules=tuple(rules))

    def with_continuation(self, *continuation: Preference) -> Machine:
        """A machine with the same rules that finds the step at which it continues in another way.

        Args:
            continuation: The preferences, the first first; none: it carries its position.
        """
        return replace(self, continuation=continuation)

    @cached_property
    def pointer_class(self) -> str:
        """How its pointers move: "local" (steps), "search" (`Find`) or "counting" (`Span`)."""
        nodes = {type(x) for r in self.rules for part in (*r.guard, *r.updates) for x in walk(part)}
        return "counting" if Span in nodes else "search" if Find in nodes else "local"

    def run(
        self, tokens: Sequence[str], set: Mapping[str, int | str] | None = None, *, at: int = 0
    ) -> list[str] | None:
        """Run the machine on one input.

        Args:
            tokens: Tokens of the input.
            set: Register (or `mode`) -> the value it is forced to, once.
            at: Number of written tokens at which `set` takes effect.

        Returns:
            Tokens of the output; None where the machine abstains or is lost.

        Raises:
            MachineError: `set` names a register or a mode that there is not.
        """
        done = run_machine(self, tokens, set=set, at=at)
        return done.out if done.status == "halted" else None

    def known_prefix(self, tokens: Sequence[str]) -> list[str]:
        """The part of the output that the machine claims.

        Args:
            tokens: Tokens of the input.

        Returns:
            The tokens written up to where the run halts, abstains or is lost.
        """
        return run_machine(self, tokens).out

    def run_many(self, inputs: Sequence[Sequence[str]]) -> list[list[str] | None]:
        """Run the machine on many inputs at once, vectorised.

        Args:
            inputs: Tokens of N inputs.

        Returns:
            N outputs, each as `run` gives it.
        """
        return run_batch(self, inputs).outputs()

    @classmethod
    def parse(cls, text: str) -> Machine:
        """Read a machine from its text, which `str(machine)` writes.

        Args:
            text: The text; `recinterp.machine.formats.writer` shows an example.

        Raises:
            MachineSyntaxError: The text does not parse; the error has the line and column.
            MachineError: It parses, and its rules do not make a machine.
        """
        return cls(**parse_fields(text))

    def __str__(self) -> str:
        return machine_text(self)
