"""Runs of a machine with the state that emits each output token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recinterp.machine.execution.batch import (
    EncodedInputs,
    EventView,
    MachineBatch,
    RunStatus,
    advance_batch,
    begin_batch,
)
from recinterp.machine.execution.interpreter import MachineRun, start_run
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import Rule
from recinterp.tokens import EOS, TokenTuple


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A machine's run on one input, output token by output token.

    Attributes:
        tokens: the input.
        emitting_states: `emitting_states[t]` is the state whose rule writes output t.
        outputs: `outputs[t]` is output token t; EOS comes last if the run halts.
    """

    tokens: TokenTuple
    emitting_states: tuple[MachineRun, ...]
    outputs: TokenTuple

    def without_end(self) -> Trace:
        """The trace without its last step, where that writes EOS only."""
        count = len(self.outputs) - (self.outputs[-1:] == (EOS,))
        return replace(
            self, emitting_states=self.emitting_states[:count], outputs=self.outputs[:count]
        )


def trace_run(machine: Machine, tokens: Sequence[str], max_steps: int | None = None) -> Trace:
    """Run a machine on one input and record the state that emits each output token.

    Args:
        machine: the machine.
        tokens: the input.
        max_steps: rule applications after which a run that may have no end is cut; by default the
            machine's own limit.
    """
    run = start_run(machine, tokens)
    states: list[MachineRun] = []
    for _ in range(max_steps or machine.limit):
        rule = run.enabled_rule() if run.status == "running" else None
        if rule is None:
            break
        before = copy_run(run)
        run.fire_rule(rule)
        if run.status == "abstains":
            break
        states += [before] * (len(run.out) - len(states))
        if run.status == "halted" and not rule.word:
            states.append(before)
    ended = run.status == "halted" and len(states) > len(run.out)
    return _build_trace(tokens, states, run.out, ended=ended)


def trace_runs(
    machine: Machine, inputs: Sequence[Sequence[str]], max_steps: int | None = None
) -> list[Trace]:
    """Run a machine on many inputs as one batch: `trace_run` of each, several times faster.

    Args:
        machine: the machine.
        inputs: the inputs.
        max_steps: rule applications after which a run that may have no end is cut.
    """
    words = EncodedInputs(inputs, machine.vocab, machine.arity)
    batch = begin_batch(machine, words, np.arange(len(inputs)))
    states: list[list[MachineRun]] = [[] for _ in inputs]

    def fire(_: int, rule: Rule, view: EventView) -> None:
        ends = rule.goto is None and rule.lost is None
        before = _states(batch, rule, view, inputs) if rule.word or ends else ()
        batch.apply_rule(rule, view)
        for state, row in zip(before, view.rows.tolist(), strict=False):
            if batch.status[row] != RunStatus.ABSTAINS:
                states[row] += [state] * (len(rule.word) or 1)

    advance_batch(batch, fire, max_steps)
    halted = (batch.status == RunStatus.HALTED).tolist()
    return [
        _build_trace(tokens, emitting, out, ended=ended and len(emitting) > len(out))
        for tokens, emitting, out, ended in zip(
            inputs, states, batch.prefixes(), halted, strict=True
        )
    ]


def _build_trace(
    tokens: Sequence[str], states: Sequence[MachineRun], out: Sequence[str], *, ended: bool
) -> Trace:
    outputs = (*out, EOS) if ended else tuple(out)
    return Trace(tokens=tuple(tokens), emitting_states=tuple(states), outputs=outputs)


def _states(
    batch: MachineBatch, rule: Rule, view: EventView, inputs: Sequence[Sequence[str]]
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


def copy_run(run: MachineRun) -> MachineRun:
    """Copy a run, so that the copy stays as it is whatever the run does next."""
    return replace(run, registers=dict(run.registers), stack=list(run.stack), out=list(run.out))
