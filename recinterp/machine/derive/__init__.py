"""The ground-truth machine, from the program alone: driven by its output, and then made small.

Demand the next output constructor: unfold calls until one shows, write it, go on with the rest.
What is still to be written is a configuration; where only finitely many are reached, the machine
needs no stack. Else what waits is suspended in frames.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recinterp.machine.derive.assemble import Assembler, explore
from recinterp.machine.derive.drive import Driver
from recinterp.machine.derive.grammar import Grammar
from recinterp.machine.derive.lookahead import ahead
from recinterp.machine.derive.path import Grows, Unknown, grown
from recinterp.machine.derive.program import Known
from recinterp.machine.derive.terms import At, Config, NoMachine, Val
from recinterp.machine.derive.wellformed import written_well
from recinterp.machine.minimise import minimise
from recinterp.semantics.ast import Call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recinterp.machine.syntax import Machine
    from recinterp.tasks.task import Task

__all__ = ["NoMachine", "derive", "flush_form"]


def derive(task: Task) -> Machine:
    """The machine of a task. Errors: NoMachine, where one stack of pointers does not suffice."""
    if task.order == "reverse" and task.arity == 1:
        natural = replace(task, order="natural")
        last = Grammar(natural).last_tokens
        forward = ahead(flush_form(natural), last) if last else None
        if forward is not None:
            return replace(forward, domain=written_well(Grammar(task)))
    return flush_form(task)


def flush_form(task: Task) -> Machine:
    """The machine that in reverse order runs the natural one onto the stack, then flushes it."""
    grammar, known = Grammar(task), Known(task.program)
    found: list[Machine] = []
    why: NoMachine | None = None
    for stack, to_the_end in _ways(task, known):
        try:
            found.append(_compile(grammar, known, stack, to_the_end))
        except (Grows, Unknown):
            continue
        except NoMachine as e:
            why = why or e
        if found and not stack:
            break
    if not found:
        raise why or grown(task.function)
    machine = min(found, key=lambda m: m.size)
    return replace(machine, domain=written_well(grammar))


def _ways(task: Task, known: Known) -> Iterator[tuple[bool, bool]]:
    """With a stack or not, and whether the input must have been read to its end."""
    called = {task.function, *known.reach[task.function]}
    if not any(known.is_deep(f) for f in called):
        yield False, False
    yield True, False
    yield True, True


def _compile(grammar: Grammar, known: Known, stack: bool, to_the_end: bool) -> Machine:
    """The machine of one strategy. Errors: Grows where it needs a stack, Unknown, NoMachine."""
    arguments = grammar.arguments
    call = Call(grammar.function.name, tuple(At(place, type_) for type_, place in arguments))
    is_value = stack and known.is_deep(grammar.function.name)
    end = None
    if to_the_end:
        type_, last = arguments[0 if grammar.reverse else -1]
        end = last.behind(type_, grammar.fixed(type_))
    start = Config((Val(call) if is_value else call,), end)
    graph = explore(Driver(grammar, known, stack=stack), start)
    return minimise(Assembler(grammar, graph, start).machine())
