"""The ground-truth machine, from the program only: driven by its output, and then made small.

Demand the next output constructor: unfold calls until one shows, write it, go on with the rest.
What is still to be written is a configuration; where only finitely many are reached, the machine
needs no stack. Else what waits is suspended in frames. Where intermediate results have no bound
either (`max (height l) (height r)`), there is a machine for inputs up to a length: on them such
results are finitely many, and each is a control state.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from recinterp.derivation.assemble import Assembler, explore_configurations
from recinterp.derivation.drive import Driver
from recinterp.derivation.grammar import InputGrammar
from recinterp.derivation.limits import LIMITS
from recinterp.derivation.lookahead import derive_lookahead_machine
from recinterp.derivation.path import NeedsStack, UnknownPlace, unbounded_error
from recinterp.derivation.program import ProgramFacts
from recinterp.derivation.terms import Configuration, Evaluate, InputSubterm
from recinterp.derivation.wellformed import well_formedness_atoms
from recinterp.errors import MachineError, NotDerivableError
from recinterp.machine.nodes import Cmp, Const, Reg
from recinterp.machine.transform.minimise import minimise_machine
from recinterp.semantics.ast import Call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recinterp.machine.machine import Machine
    from recinterp.tasks.task import Task

__all__ = ["derive_machine", "flush_stack_form"]


def derive_machine(task: Task, longest: int | None = None) -> Machine:
    """The machine of a task. Errors: NotDerivableError, where one stack of pointers does not
    suffice.

    longest: where it does not, a machine for inputs of at most so many tokens will do.
    """
    try:
        return _derive_unbounded(task)
    except NotDerivableError:
        if longest is None:
            raise
        return _derive_within_length(task, longest)


def _derive_unbounded(task: Task) -> Machine:
    if task.order == "reverse" and task.arity == 1:
        natural = replace(task, order="natural")
        last = InputGrammar(natural).last_tokens
        forward = derive_lookahead_machine(flush_stack_form(natural), last) if last else None
        if forward is not None:
            return replace(forward, domain=well_formedness_atoms(InputGrammar(task)))
    return flush_stack_form(task)


def flush_stack_form(task: Task) -> Machine:
    """The machine that in reverse order runs the natural one onto the stack, then flushes it."""
    grammar, known = InputGrammar(task), ProgramFacts(task.program)
    found: list[Machine] = []
    why: NotDerivableError | None = None
    for stack, to_the_end in _list_strategies(task, known):
        try:
            found.append(_compile_strategy(grammar, known, stack, to_the_end))
        except (NeedsStack, UnknownPlace):
            continue
        except NotDerivableError as e:
            why = why or e
        if found and not stack:
            break
    if not found:
        raise why or unbounded_error(task.function)
    machine = min(found, key=lambda m: m.size)
    return replace(machine, domain=well_formedness_atoms(grammar))


def _derive_within_length(task: Task, longest: int) -> Machine:
    """The machine on inputs up to a length: its results are bounded by what they need there."""
    inputs = [
        *islice(task.inputs(longest), LIMITS.checked_inputs),
        *task.sample(LIMITS.checked_samples, max_length=longest),
    ]
    outputs = task.apply_many(inputs)
    grammar, known = InputGrammar(task), ProgramFacts(task.program, by_value=True)
    bound, machine = 2, None
    while machine is None or machine.run_many(inputs) != outputs:
        bound += 1 + bound // 4
        try:
            machine = _assemble_machine(grammar, known, stack=True, bound=bound)
        except MachineError:  # so bounded it does not even begin
            continue
        except (NeedsStack, UnknownPlace, NotDerivableError):
            raise NotDerivableError(
                f"derive a machine for {task.function} on inputs of up to {longest} tokens",
                "what is still to be computed is too much for one stack of pointers there too",
                "take shorter inputs, or a function whose intermediate results are constants",
            ) from None
    fits = Cmp(Reg("n"), "<=", Const(longest + task.arity - 1))
    return replace(minimise_machine(machine), domain=(*well_formedness_atoms(grammar), fits))


def _list_strategies(task: Task, known: ProgramFacts) -> Iterator[tuple[bool, bool]]:
    """With a stack or not, and whether the input must have been read to its end."""
    called = {task.function, *known.callees[task.function]}
    if not any(known.is_deep(f) for f in called):
        yield False, False
    yield True, False
    yield True, True


def _compile_strategy(
    grammar: InputGrammar, known: ProgramFacts, stack: bool, to_the_end: bool
) -> Machine:
    """The machine of one strategy.

    Errors: NeedsStack, UnknownPlace, NotDerivableError.
    """
    return minimise_machine(_assemble_machine(grammar, known, stack=stack, to_the_end=to_the_end))


def _assemble_machine(
    grammar: InputGrammar,
    known: ProgramFacts,
    *,
    stack: bool,
    to_the_end: bool = False,
    bound: int | None = None,
) -> Machine:
    """The machine of one strategy before it is made small.

    bound: of intermediate results, in constructors.
    """
    arguments = grammar.arguments
    call = Call(
        grammar.function.name, tuple(InputSubterm(place, type_) for type_, place in arguments)
    )
    constant = grammar.is_enumeration(grammar.function.result)
    is_value = stack and constant and known.is_deep(grammar.function.name)
    end = None
    if to_the_end:
        type_, last = arguments[0 if grammar.reverse else -1]
        end = last.skip_subtree(type_, grammar.fixed_width(type_))
    start = Configuration((Evaluate(call) if is_value else call,), end)
    graph = explore_configurations(Driver(grammar, known, stack=stack), start, bound)
    return Assembler(grammar, graph, start).build_machine()
