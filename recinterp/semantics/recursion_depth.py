"""Which functions a task's recursion depth counts: its own recursion, not its helpers'."""

from __future__ import annotations

from collections.abc import Iterator

from recinterp.semantics.ast import Call, Let, Match, Program, Var, walk


def own_functions(program: Program, name: str) -> frozenset[str]:
    """The recursion block of a function; for a plain definition, those it applies to its own
    arguments.

    `Definition rev l := rev_acc l nil` owns rev_acc; `append (rev l) m` inside it would not make
    append its own. Where it applies none to its arguments, every recursive function that it calls.
    """
    function = program.function(name)
    if function.is_recursive:
        return frozenset(function.block)
    on_arguments, others = set[str](), set[str]()
    for call in _calls_of(program, name):
        callee = program.function(call.function)
        if callee.struct is None:
            found = own_functions(program, callee.name)
            on_arguments |= found if any(isinstance(a, Var) for a in call.args) else set()
            others |= found
        else:
            others |= set(callee.block)
            if isinstance(call.args[callee.struct], Var) and not _is_computed(program, name, call):
                on_arguments |= set(callee.block)
    return frozenset(on_arguments or others)


def _calls_of(program: Program, name: str) -> Iterator[Call]:
    return (e for e in walk(program.function(name).body) if isinstance(e, Call))


def _is_computed(program: Program, name: str, call: Call) -> bool:
    """Whether the call's structural argument is bound to something that was itself computed."""
    callee = program.function(call.function)
    assert callee.struct is not None
    argument = call.args[callee.struct]
    computed: set[str] = set()
    for expr in walk(program.function(name).body):
        match expr:
            case Let(name=bound, value=value) if (
                not isinstance(value, Var) or value.name in computed
            ):
                computed.add(bound)
            case Match(scrutinee=scrutinee, arms=arms) if (
                not isinstance(scrutinee, Var) or scrutinee.name in computed
            ):
                computed |= {n for arm in arms for n in arm.names}
            case _:
                pass
    return isinstance(argument, Var) and argument.name in computed
