"""A machine in other forms: JSON that is read back, a stand-alone Python function.

The Python source needs nothing installed: `run(tokens)` gives the output, or None where the machine
abstains or is lost, exactly as `Machine.run` does.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TypeAlias

from recinterp.errors import MachineError
from recinterp.machine.continuation import Preference
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    Add,
    AtLeast,
    Atom,
    Cmp,
    Const,
    Copy,
    Emit,
    Expr,
    Find,
    In,
    Lost,
    Node,
    Out,
    Pop,
    Push,
    Reg,
    Rule,
    Set,
    Span,
    TopIs,
    walk,
)
from recinterp.tokens import END_OF_INPUT

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"
NODES: dict[str, Callable[..., object]] = {
    kind.__name__: kind
    for kind in (
        Const,
        Reg,
        Add,
        Find,
        Span,
        In,
        Out,
        Cmp,
        TopIs,
        AtLeast,
        Copy,
        Emit,
        Set,
        Push,
        Pop,
        Lost,
        Rule,
        Machine,
    )
}


# JSON
def to_json(machine: Machine) -> dict[str, Json]:
    """The machine as plain data: every node a dict with its kind under `is`."""
    found = _node_to_json(machine)
    assert isinstance(found, dict)
    return found


def from_json(data: Json) -> Machine:
    """The machine that `to_json` made data of. Errors: MachineError where it is something else."""
    try:
        machine = _node_from_json(data)
    except (TypeError, KeyError, ValueError) as e:
        problem = f"its data does not fit ({e})"
        raise MachineError("read a machine from JSON", problem, "pass what to_json wrote") from None
    if not isinstance(machine, Machine):
        raise MachineError(
            "read a machine from JSON", "it is no machine", "pass what to_json wrote"
        )
    return machine


def _node_to_json(x: object) -> Json:
    if x is None or isinstance(x, str | int | bool):
        return x
    if isinstance(x, tuple):
        return [_node_to_json(y) for y in x]
    name = type(x).__name__
    inner = {f.name: _node_to_json(getattr(x, f.name)) for f in fields(x)}  # type: ignore[arg-type]
    return {"is": name, **inner}


def _node_from_json(x: Json) -> object:
    if isinstance(x, list):
        return tuple(_node_from_json(y) for y in x)
    if not isinstance(x, dict):
        return x
    given = dict(x)
    kind = given.pop("is")
    if kind not in NODES:
        raise ValueError(f"there is no {kind!r}")
    made: object = NODES[str(kind)](**{k: _node_from_json(v) for k, v in given.items()})
    return made


# Python
def to_python(machine: Machine, name: str = "run") -> str:
    """Source text of a function from a list of tokens to a list of tokens or None."""
    nodes = {
        type(x)
        for a in (*machine.domain, *(a for r in machine.rules for a in (*r.guard, *r.updates)))
        for x in walk(a)
    }
    lines = [
        "# Derived from an abstract state machine; each branch is one of its rules.",
        "",
        "",
        f"def {'own_run' if machine.continuation else name}(tokens):",
        '    """The output, or None where the machine abstains or is lost."""',
        "    out, stack, n = [], [], len(tokens)",
    ]
    body = [
        *_helper_lines(machine, nodes),
        *_start_lines(machine),
        *_loop_lines(machine),
        "return None",
    ]
    source = [*lines, *(f"    {x}".rstrip() for x in body), *_continuation_lines(machine, name)]
    return "\n".join(source) + "\n"


def _continuation_lines(machine: Machine, name: str) -> Iterator[str]:
    """A second function, for a machine that looks its position up before each token."""
    if not machine.continuation:
        return
    yield from (
        "",
        "",
        f"def {name}(tokens):",
        '    """The output, or None where it has no end or the machine abstains."""',
        "    own, out = own_run(tokens), []",
        "    if own is None:",
        "        return None",
        f"    for _ in range({machine.limit}):",
        "        steps = list(range(len(own) + 1))",
    )
    for preference in machine.continuation:
        yield f"        named = {_NAMED_STEPS[preference]}"
        yield "        steps = [i for i in steps if i in named] or steps"
    yield from (
        "        if steps[0] == len(own):",
        "            return out",
        "        out.append(own[steps[0]])",
        "    return None",
    )


_NAMED_STEPS = {
    Preference.POSITION: "{min(len(out), len(own))}",
    Preference.AFTER_LAST: "{i + 1 for i, x in enumerate(own) if x == out[-1]} if out else {0}",
    Preference.UNWRITTEN: "{i for i, x in enumerate(own) if x not in out} | {len(own)}",
}


def _helper_lines(machine: Machine, nodes: set[type[Node]]) -> Iterator[str]:
    yield from (
        "",
        "def read(at):",
        f"    return tokens[at] if 0 <= at < n else {END_OF_INPUT!r}",
    )
    if Find in nodes:
        yield from (
            "",
            "def find(at, step, skip):",
            "    at = max(at, 0) if step > 0 else min(at, n - 1)",
            "    while 0 <= at < n and tokens[at] in skip:",
            "        at += step",
            "    return min(max(at, -1), n)",
        )
    if Span in nodes:
        arity = {x: a for x, a in zip(machine.vocab, machine.arity, strict=False) if a}
        yield from (
            "",
            "def span(at, step):",
            f"    arity, open_ = {arity!r}, 1",
            "    at = max(at, 0) if step > 0 else min(at, n - 1)",
            "    while open_ and 0 <= at < n:",
            "        open_ += arity.get(tokens[at], 0) - 1",
            "        at += step",
            "    return at + step if open_ else at",
        )
    yield ""


def _start_lines(machine: Machine) -> Iterator[str]:
    domain = " and ".join([f"all(x in {machine.vocab!r} for x in tokens)",
                           *map(_atom_source, machine.domain)])  # fmt: skip
    yield from (f"{_register_name(x)} = {_expression_source(e)}" for x, e in machine.registers)
    yield from (f"if not ({domain}):", "    return None")
    yield f"mode = {machine.start!r}"


def _loop_lines(machine: Machine) -> Iterator[str]:
    yield f"for _ in range({machine.limit}):"
    for i, mode in enumerate(machine.modes):
        yield f"    {'if' if i == 0 else 'elif'} mode == {mode!r}:"
        rules = machine.rules_of(mode)
        for k, rule in enumerate(rules):
            guard = " and ".join(map(_atom_source, rule.guard)) or "True"
            yield f"        {'if' if k == 0 else 'elif'} {guard}:  # {_rule_comment(rule)}"
            yield from (f"            {x}" for x in _rule_lines(rule))
        yield "        else:"
        yield "            return None"


def _rule_comment(rule: Rule) -> str:
    return " ".join(f"{rule.name}, {rule.origin}".split()) if rule.origin else rule.name


def _rule_lines(rule: Rule) -> Iterator[str]:
    """A rule's updates, all reading the old state."""
    pops = sum(isinstance(u, Pop) for u in rule.updates)
    if pops:
        yield from (f"if len(stack) < {pops}:", "    return None")
    yield from _word_lines(rule)
    yield from _assignment_lines(rule)
    if pops:
        yield f"del stack[-{pops}:]"
    if any(isinstance(u, Push) for u in rule.updates):
        yield "stack += pushed"
    if rule.word:
        yield "out += word"
    if rule.lost is not None:
        yield "return None"
    else:
        yield "return out" if rule.goto is None else f"mode = {rule.goto!r}"


def _word_lines(rule: Rule) -> Iterator[str]:
    """The word that the rule emits, as the local `word`; a copy from outside the input abstains."""
    if not rule.word:
        return
    pieces = (
        f"read({_expression_source(x.at)})" if isinstance(x, Copy) else repr(x) for x in rule.word
    )
    yield f"word = [{', '.join(pieces)}]"
    if any(isinstance(x, Copy) for x in rule.word):
        yield from (f"if {END_OF_INPUT!r} in word:", "    return None")


def _assignment_lines(rule: Rule) -> Iterator[str]:
    """One assignment of all registers that are set, and of the frames to push as `pushed`."""
    values = {
        _register_name(u.reg): _expression_source(u.to) for u in rule.updates if isinstance(u, Set)
    }
    pushes = [u for u in rule.updates if isinstance(u, Push)]
    if pushes:
        frames = ", ".join(f"({u.frame!r}, {_expression_source(u.at)})" for u in pushes)
        values["pushed"] = f"[{frames}]"
    if values:
        yield f"{', '.join(values)} = {', '.join(values.values())}"


def _register_name(name: str) -> str:
    """A register's name in the source, distinct from every other name in it."""
    names = "tokens out stack n read find span mode word pushed arity x at step skip open_"
    builtins = "len max min all sum map bool range"
    plain = name.replace("'", "_prime")
    taken = plain in f"{names} {builtins}".split() or keyword.iskeyword(plain)
    return f"{plain}_" if taken or plain != name else plain


def _expression_source(e: Expr) -> str:
    match e:
        case Const(k):
            return str(k)
        case Reg("n"):
            return "n"
        case Reg("t"):
            return "len(out)"
        case Reg("height"):
            return "len(stack)"
        case Reg("top"):
            return "(stack[-1][1] if stack else -1)"
        case Reg(name):
            return _register_name(name)
        case Add(base, of, sign, k):
            inner = f"({_expression_source(of)})" if isinstance(of, Add) else _expression_source(of)
            tail = f" {'+' if k > 0 else '-'} {abs(k)}" if k else ""
            return f"{_expression_source(base)} {'+' if sign > 0 else '-'} {inner}{tail}"
        case Find(start, step, skip):
            return f"find({_expression_source(start)}, {step}, {skip!r})"
        case Span(at, step):
            return f"span({_expression_source(at)}, {step})"


def _atom_source(a: Atom) -> str:
    match a:
        case In(at, tokens):
            return f"read({_expression_source(at)}) {_membership_source(tokens)}"
        case Out(back, tokens):
            token = f"(out[-{back}] if {back} <= len(out) else {END_OF_INPUT!r})"
            return f"{token} {_membership_source(tokens)}"
        case TopIs(None):
            return "not stack"
        case TopIs(frame):
            return f"stack and stack[-1][0] == {frame!r}"
        case Cmp(x, op, y):
            return f"{_expression_source(x)} {'==' if op == '=' else op} {_expression_source(y)}"
        case AtLeast(least, atoms):
            return f"sum(map(bool, [{', '.join(map(_atom_source, atoms))}])) >= {least}"


def _membership_source(tokens: tuple[str, ...]) -> str:
    return f"== {tokens[0]!r}" if len(tokens) == 1 else f"in {tokens!r}"
