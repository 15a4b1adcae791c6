"""Random faults in the true machines of all tasks: how many are recovered from behaviour?

    python benchmarks/mutants.py [--edits 1] [--seeds 2] [--order natural] [TASKS]

A fault: one rule, everywhere or under a guard, writes another token or none, reads an adjacent
position, skips a position, goes to another mode or halts. Mutants that abstain, or err on hardly
any input, are drawn again. Counted on held-out inputs: is the machine that was found the mutant?
The search does not know the mutant's size; a machine of about that size has found the fault.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TQDM_DISABLE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import recinterp as ri
from recinterp.errors import MachineError
from recinterp.machine.nodes import (
    Add,
    Atom,
    Cmp,
    Const,
    Copy,
    Emit,
    In,
    Out,
    Reg,
    Rule,
    Set,
    add_constant,
)
from recinterp.machine.validate import negate_atom
from recinterp.splits import held_out

MAX_LENGTHS = {"binary-addition": 7, "list-append": 5, "list-reverse": 6, "list-map": 6,
               "listops": 8, "ring-arithmetic": 8}  # fmt: skip
LONGEST, TREES = 10, 13
COUNTED = 70_000  # inputs of a domain: all of each of these
MIN_FAILURE_RATE = 0.002  # share of them on which a fault changes the output
STEPS = 500  # step budget: no mutant is to run without an end


@dataclass(frozen=True)
class Mutant:
    """A machine with faults, in words, and what it does on a domain."""

    description: str
    task: ri.Task
    machine: ri.Machine
    domain: ri.Domain
    inputs: list[list[str]]
    outputs: list[list[str]]


def draw_mutant(name: str, order: str, edits: int, seed: int) -> Mutant:
    """A task's machine with so many faults that show."""
    task, rng = ri.task(name, order=order), Random(f"{name} {order} {edits} {seed}")
    domain = ri.Domain(
        max_length=MAX_LENGTHS.get(name, TREES if name.startswith("tree") else LONGEST)
    )
    inputs = list(islice(domain.inputs(task), COUNTED))
    truth = task.apply_many(inputs)
    while True:
        machine, faults = replace(task.machine, limit=STEPS), list[str]()
        shown: list[list[str] | None] = list(truth)
        while len(faults) < edits:
            try:
                new, words = add_fault(machine, rng)
            except MachineError:  # a guard that cannot be separated from its negation
                continue
            if (now := new.run_many(inputs)) != shown:  # else it is no fault
                machine, shown = new, now
                faults.append(words)
        outputs = [y for y in shown if y is not None]
        wrong = sum(y != z for y, z in zip(outputs, truth, strict=False))
        if len(outputs) == len(inputs) and wrong >= max(8, MIN_FAILURE_RATE * len(inputs)):
            return Mutant("; ".join(faults), task, machine, domain, inputs, outputs)


def add_fault(machine: ri.Machine, rng: Random) -> tuple[ri.Machine, str]:
    """The machine with one fault, and that in words."""
    rule = rng.choice(machine.rules)
    kind, new = rng.choice(list(other_updates(machine, rule, rng)))
    guard = rng.choice(list(draw_guards(machine, rng)))
    own = [replace(rule, guard=(*rule.guard, *(negate_atom(a, machine.vocab) for a in guard)))]
    name = next(f"{rule.name}_{i}" for i in range(99) if not has_rule(machine, f"{rule.name}_{i}"))
    fault = replace(new, name=name, guard=(*rule.guard, *guard))
    split = [*(own if guard else ()), fault]
    rules = [x for r in machine.rules for x in (split if r is rule else [r])]
    return machine.with_rules(rules), f"{rule.name} {kind}{' under a guard' * bool(guard)}"


def has_rule(machine: ri.Machine, name: str) -> bool:
    """Whether a rule is called so."""
    return any(r.name == name for r in machine.rules)


def other_updates(machine: ri.Machine, rule: Rule, rng: Random) -> Iterator[tuple[str, Rule]]:
    """What a rule could do instead, each in a word."""
    quiet = tuple(u for u in rule.updates if not isinstance(u, Emit))
    modes = [m for m in machine.modes if m != rule.goto]
    if modes:
        yield "goes to another mode", replace(rule, goto=rng.choice(modes))
    if rule.goto is not None:
        emits = tuple(u for u in rule.updates if isinstance(u, Emit))
        yield "ends", replace(rule, updates=emits, goto=None)
    if rule.word:
        yield "writes nothing", replace(rule, updates=quiet)
        token = rng.choice([x for x in machine.vocab if x != rule.word[0]])
        yield "writes another token", replace(rule, updates=(Emit((token, *rule.word[1:])), *quiet))
    if any(isinstance(x, Copy) for x in rule.word):
        k = rng.choice((-1, 1))
        word = tuple(Copy(add_constant(x.at, k)) if isinstance(x, Copy) else x for x in rule.word)
        yield "reads an adjacent position", replace(rule, updates=(Emit(word), *quiet))
    if any(isinstance(u, Set) for u in rule.updates):
        further = tuple(shift_pointer(u) if isinstance(u, Set) else u for u in rule.updates)
        yield "skips a position", replace(rule, updates=further)


def shift_pointer(update: Set) -> Set:
    """The same move, a place further."""
    onward = update.to.sign if isinstance(update.to, Add) else 1
    return replace(update, to=add_constant(update.to, onward))


def draw_guards(machine: ri.Machine, rng: Random) -> Iterator[tuple[Atom, ...]]:
    """Nothing, or one question of an index, the length, a token or the stack."""
    k, token = rng.randint(1, 4), rng.choice(machine.vocab)
    yield ()
    yield (Cmp(Reg("t"), ">=", Const(k)),)
    yield (Cmp(Reg("n"), ">=", Const(k + 2)),)
    yield (Out(1, (token,)),)
    for name, _ in machine.registers:
        yield (In(add_constant(Reg(name), 1), (token,)),)
    if machine.frames:
        yield (Cmp(Reg("height"), ">=", Const(k)),)


def main(argv: Sequence[str] | None = None) -> None:
    """Explain mutants and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tasks", nargs="*", default=ri.tasks())
    parser.add_argument("--edits", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--order", default="natural")
    given = parser.parse_args(argv)
    exact, near, determined, small, seconds = 0, 0, 0, 0, list[float]()
    for name, seed in ((n, s) for n in given.tasks for s in range(given.seeds)):
        m = draw_mutant(name, given.order, given.edits, seed)
        began = time.perf_counter()
        ex = ri.explain(m.machine.run_many, m.task, domain=m.domain)
        seconds.append(time.perf_counter() - began)
        rows = [(x, y) for x, y in zip(m.inputs, m.outputs, strict=True) if held_out(x)]
        claims = ex.machine.run_many([x for x, _ in rows])
        hits = sum(claim == y for claim, (_, y) in zip(claims, rows, strict=True))
        exact += hits == len(rows)
        near += hits >= 0.99 * len(rows)
        determined += ex.diff.verdict != "undetermined"
        small += hits == len(rows) and ex.machine.size <= m.machine.size + 4
        print(
            f"{name:18} {ex.diff.verdict:12} {hits:5} of {len(rows):5}  size {ex.machine.size:4}"
            f" (mutant {m.machine.size:3})  {seconds[-1]:5.1f} s  {m.description}",
            flush=True,
        )
    print(
        f"{len(seconds)} mutants: {exact} recovered exactly, {small} at about their own size;"
        f" {near} to 99 %; {determined} with a verdict; at most {max(seconds):.0f} s"
    )


if __name__ == "__main__":
    main()
