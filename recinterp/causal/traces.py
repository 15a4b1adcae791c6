"""Runs with the state that owns each output: the one whose rule writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recinterp.machine.execution.batch import (
    ABSTAINS,
    HALTED,
    Batch,
    EncodedInputs,
    EventView,
    advance_batch,
    begin_batch,
)
from recinterp.machine.execution.interpreter import MachineRun, start_run
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import Rule
from recinterp.tokens import EOS


@dataclass(frozen=True)
class Trace:
    """A run on one input: the state that owns each output, and the output itself.

    `says[t]` is output t, then EOS if the run halts; `owners[t]` the state that writes it.
    """

    tokens: tuple[str, ...]
    owners: tuple[MachineRun, ...]
    says: tuple[str, ...]


def trace_run(machine: Machine, tokens: Sequence[str], most: int | None = None) -> Trace:
    """Run a machine, keeping the state that owns each output token.

    most: steps, of a run that may have no end.
    """
    now = start_run(machine, tokens)
    owners: list[MachineRun] = []
    for _ in range(most or machine.limit):
        rule = now.enabled() if now.status == "running" else None
        if rule is None:
            break
        before = copied(now)
        now.fire(rule)
        if now.status == "abstains":
            break
        owners += [before] * (len(now.out) - len(owners))
        if now.status == "halted" and not rule.word:
            owners.append(before)
    says = [*now.out, EOS] if now.status == "halted" and len(owners) > len(now.out) else now.out
    return Trace(tuple(tokens), tuple(owners), tuple(says))


def trace_runs(
    machine: Machine, inputs: Sequence[Sequence[str]], most: int | None = None
) -> list[Trace]:
    """The same for many inputs, their steps taken together."""
    words = EncodedInputs(inputs, machine.vocab, machine.arity)
    batch = begin_batch(machine, words, np.arange(len(inputs)))
    owners: list[list[MachineRun]] = [[] for _ in inputs]

    def fire(_: int, rule: Rule, view: EventView) -> None:
        ends = rule.goto is None and rule.lost is None
        states = _states(batch, rule, view, inputs) if rule.word or ends else ()
        batch.apply(rule, view)
        for state, row in zip(states, view.rows.tolist(), strict=False):
            if batch.status[row] != ABSTAINS:
                owners[row] += [state] * (len(rule.word) or 1)

    advance_batch(batch, fire, most)
    ended = (batch.status == HALTED).tolist()
    said = [
        [*out, EOS] if halted and len(own) > len(out) else out
        for out, own, halted in zip(batch.prefixes(), owners, ended, strict=True)
    ]
    rows = zip(inputs, owners, said, strict=True)
    return [Trace(tuple(x), tuple(own), tuple(says)) for x, own, says in rows]


def _states(
    batch: Batch, rule: Rule, view: EventView, inputs: Sequence[Sequence[str]]
) -> list[MachineRun]:
    """The states of a view's rows, as they are before a rule fires in them."""
    machine, names = batch.machine, list(view.registers)
    columns = [view.registers[name].tolist() for name in names]
    registers = zip(*columns, strict=True) if names else ((),) * len(view.rows)
    frames, pointers = batch.frame[view.rows].tolist(), batch.pointer[view.rows].tolist()
    rows = list(zip(view.rows.tolist(), view.t.tolist(), view.height.tolist(), strict=True))
    out = batch.out[view.rows, : int(view.t.max(initial=0))].tolist()
    vocab, labels = batch.words.vocab, machine.frames
    return [
        MachineRun(
            machine, tuple(inputs[row]), rule.mode, dict(zip(names, values, strict=True)),
            [(labels[f], p) for f, p in zip(frame[:height], pointer[:height], strict=True)],
            [vocab[token] for token in written[:t]],
        )
        for (row, t, height), values, frame, pointer, written in zip(
            rows, registers, frames, pointers, out, strict=True
        )
    ]  # fmt: skip


def copied(run: MachineRun) -> MachineRun:
    """The state as it is now, whatever the run does next."""
    return replace(run, registers=dict(run.registers), stack=list(run.stack), out=list(run.out))
