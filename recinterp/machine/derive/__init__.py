"""The ground-truth machine, from the program alone: an output-driven machine that is then made small.

Demand the next output constructor: unfold calls until one shows, write it, go on with the rest. What
is still to be written is a configuration; where only finitely many are reached, the machine needs no
stack. Else what waits is suspended in frames.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recinterp.machine.derive.assemble import Assembler, explore
from recinterp.machine.derive.drive import Driver, Grows
from recinterp.machine.derive.grammar import Grammar
from recinterp.machine.derive.lookahead import ahead
from recinterp.machine.derive.program import Known
from recinterp.machine.derive.terms import At, Config, NoMachine, Val
from recinterp.machine.derive.wellformed import written_well
from recinterp.machine.minimise import minimise
from recinterp.semantics.ast import Call

if TYPE_CHECKING:
    from recinterp.machine.syntax import Machine
    from recinterp.tasks.task import Task

__all__ = ["NoMachine", "derive", "flush_form"]


def derive(task: Task) -> Machine:
    """The machine of a task. Errors: NoMachine, where one stack of pointers does not suffice."""
    if task.order == "reverse":
        forward = ahead(flush_form(replace(task, order="natural")))
        if forward is not None:
            return replace(forward, domain=written_well(Grammar(task)))
    return flush_form(task)


def flush_form(task: Task) -> Machine:
    """The machine that in reverse order runs the natural one onto the stack, then flushes it."""
    grammar = Grammar(task)
    known = Known(task.program)
    places = tuple(At(place, type_) for type_, place in grammar.arguments)
    call = Call(task.function, places)  # type: ignore[arg-type]
    for stack in (False, True):
        driver = Driver(grammar, known, stack=stack)
        start = Config((Val(call) if stack and known.is_deep(task.function) else call,))
        try:
            graph = explore(driver, start)
        except Grows:
            continue
        machine = minimise(Assembler(grammar, graph, start).machine())
        return replace(machine, domain=written_well(grammar))
    raise NoMachine(f"derive a machine for {task.function}", "no strategy applies")
