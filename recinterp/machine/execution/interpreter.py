"""One run of a machine on one input, step by step: the semantics, written to be read.

`batch.py` runs many inputs at once; a property test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from recinterp.errors import MachineError
from recinterp.machine.continuation import continue_output, next_step
from recinterp.machine.nodes import (
    READ_ONLY,
    Add,
    AtLeast,
    Atom,
    Cmp,
    Const,
    Expr,
    Find,
    In,
    MachineState,
    Out,
    Pop,
    Push,
    Reg,
    Rule,
    Set,
    Span,
    TopIs,
)
from recinterp.tokens import END_OF_INPUT

if TYPE_CHECKING:
    from typing import Literal

    from recinterp.machine.machine import Machine

    Status = Literal["running", "halted", "abstains", "lost", "lost wrong", "endless"]


@dataclass
class MachineRun:
    """A run under way: what the rules read and write."""

    machine: Machine
    tokens: tuple[str, ...]
    mode: str
    registers: dict[str, int] = field(default_factory=dict)
    stack: list[tuple[str, int]] = field(default_factory=list)
    out: list[str] = field(default_factory=list)
    status: Status = "running"

    def read_token(self, at: int) -> str:
        """The input token at a position, `$` outside."""
        return self.tokens[at] if 0 <= at < len(self.tokens) else END_OF_INPUT

    def evaluate(self, e: Expr) -> int:
        """The value of an expression now."""
        match e:
            case Const(k):
                return k
            case Reg(name):
                return self._read_register(name)
            case Add(base, of, sign, k):
                return self.evaluate(base) + sign * self.evaluate(of) + k
            case Find(start, step, skip):
                at = self.evaluate(start)
                at = max(at, 0) if step > 0 else min(at, len(self.tokens) - 1)
                while 0 <= at < len(self.tokens) and self.tokens[at] in skip:
                    at += step
                return min(max(at, -1), len(self.tokens))
            case Span(at, step):
                return self._find_subtree_end(self.evaluate(at), step)

    def _read_register(self, name: str) -> int:
        match name:
            case "n":
                return len(self.tokens)
            case "t":
                return len(self.out)
            case "height":
                return len(self.stack)
            case "top":
                return self.stack[-1][1] if self.stack else -1
        return self.registers[name]

    def _find_subtree_end(self, at: int, step: int) -> int:
        arity = dict(zip(self.machine.vocab, self.machine.arity, strict=False))
        open_, at = 1, max(at, 0) if step > 0 else min(at, len(self.tokens) - 1)
        while open_ and 0 <= at < len(self.tokens):
            open_ += arity.get(self.tokens[at], 0) - 1
            at += step
        return at + step if open_ else at

    def holds(self, atom: Atom) -> bool:
        """Whether a guard atom holds now."""
        match atom:
            case In(at, tokens):
                return self.read_token(self.evaluate(at)) in tokens
            case Out(back, tokens):
                return (self.out[-back] if back <= len(self.out) else END_OF_INPUT) in tokens
            case TopIs(frame):
                return (self.stack[-1][0] if self.stack else None) == frame
            case Cmp(a, op, b):
                return compare_values(self.evaluate(a), op, self.evaluate(b))
            case AtLeast(least, atoms):
                return sum(map(self.holds, atoms)) >= least

    def enabled_rule(self) -> Rule | None:
        """The one rule that can fire. Grown rules share their atoms: each is tested once."""
        atoms, guards = self.machine.guards_of(self.mode)
        known: list[bool | None] = [None] * len(atoms)
        for rule, guard in guards:
            for i in guard:
                held = known[i]
                if held is None:
                    held = known[i] = self.holds(atoms[i])
                if not held:
                    break
            else:
                return rule
        return None

    def fire_rule(self, rule: Rule) -> None:
        """Apply a rule's updates, all reading the old state."""
        word = [
            x if isinstance(x, str) else self.read_token(self.evaluate(x.at)) for x in rule.word
        ]
        sets = {u.reg: self.evaluate(u.to) for u in rule.updates if isinstance(u, Set)}
        pushed = [(u.frame, self.evaluate(u.at)) for u in rule.updates if isinstance(u, Push)]
        pops = sum(isinstance(u, Pop) for u in rule.updates)
        if END_OF_INPUT in word or pops > len(self.stack):
            self.status = "abstains"
            return
        self.out += word
        self.registers |= sets
        self.stack[len(self.stack) - pops :] = pushed
        if rule.lost is not None:
            self.status = "lost wrong" if rule.lost.wrong else "lost"
        elif rule.goto is None:
            self.status = "halted"
        else:
            self.mode = rule.goto


def compare_values(a: int, op: str, b: int) -> bool:
    """a op b."""
    match op:
        case "=":
            return a == b
        case "!=":
            return a != b
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
        case ">=":
            return a >= b
    raise MachineError("compare two values", f"there is no comparison {op!r}", "use = != < <= > >=")


def start_run(machine: Machine, tokens: Sequence[str]) -> MachineRun:
    """A run before its first step; it abstains at once outside the machine's domain."""
    started = MachineRun(machine, tuple(tokens), machine.start)
    started.registers = {name: started.evaluate(e) for name, e in machine.registers}
    known = set(machine.vocab)
    if not all(x in known for x in tokens) or not all(map(started.holds, machine.domain)):
        started.status = "abstains"
    return started


def machine_states(
    machine: Machine,
    tokens: Sequence[str],
    *,
    set: Mapping[str, int | str] | None = None,
    at: int = 0,
) -> Iterator[tuple[MachineState, MachineRun]]:
    """Every state of a run with the rule that fires in it (None: it abstains), and the run itself.

    `set` forces registers or `mode` once, when `at` tokens have been written. A machine that looks
    its position up is in those states of its own run that write the tokens of its output.
    """
    states = _own_states(machine, tokens, set, at)
    return _looked_up_states(machine, states) if machine.continuation else states


def _looked_up_states(
    machine: Machine, own: Iterator[tuple[MachineState, MachineRun]]
) -> Iterator[tuple[MachineState, MachineRun]]:
    """The states that write the tokens of the output, and the one at the end of the own run."""
    states = list(own)
    if not states:
        return
    writing = [s for s, _ in states if s.rule is not None for _ in s.rule.word]
    last, now = states[-1]
    tokens = list(now.out)
    written, ended = continue_output(tokens, machine.continuation, machine.limit)
    for t in range(len(written)):
        at = next_step(tokens, written[:t], machine.continuation)
        yield replace(writing[at], out=tuple(written[:t])), now
    if ended and last.rule is not None and not last.rule.word:
        yield replace(last, out=tuple(written)), now


def _own_states(
    machine: Machine, tokens: Sequence[str], set: Mapping[str, int | str] | None, at: int
) -> Iterator[tuple[MachineState, MachineRun]]:
    """Every state of the machine's own run."""
    now = start_run(machine, tokens)
    forced = dict(set or {})
    _refuse_unknown(machine, forced)
    for _ in range(machine.limit):
        if now.status != "running":
            return
        if forced and len(now.out) >= at:
            now.mode = str(forced.pop("mode", now.mode))
            now.registers |= {name: int(v) for name, v in forced.items()}
            forced = {}
        rule = now.enabled_rule()
        yield (
            MachineState(now.mode, dict(now.registers), tuple(now.stack), tuple(now.out), rule),
            now,
        )
        if rule is None:
            break
        now.fire_rule(rule)
    if now.status == "running":
        now.status = "abstains"


def _refuse_unknown(machine: Machine, forced: Mapping[str, int | str]) -> None:
    known = {name for name, _ in machine.registers} | {"mode"}
    for name, value in forced.items():
        if name not in known or name in READ_ONLY:
            raise MachineError(
                f"run a machine with {name} set",
                "there is no such register",
                f"set one of {', '.join(sorted(known))}",
            )
        if name == "mode" and value not in machine.modes:
            raise MachineError(
                f"run a machine with mode set to {value!r}",
                "there is no such mode",
                f"set it to one of {', '.join(machine.modes)}",
            )


def run_machine(
    machine: Machine,
    tokens: Sequence[str],
    *,
    set: Mapping[str, int | str] | None = None,
    at: int = 0,
) -> MachineRun:
    """The run at its end."""
    now = start_run(machine, tokens)
    for _, now in _own_states(machine, tokens, set, at):  # noqa: B007 - the last one is the answer
        pass
    if machine.continuation:
        now.out, ended = continue_output(now.out, machine.continuation, machine.limit)
        now.status = now.status if ended else "endless"
    return now
