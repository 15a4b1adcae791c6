"""A machine as its ASM text; `parser.py` reads it back.

    vocab X0/1 X1/1 01/0
    start carry
    registers p := 0
    mode carry
      flip: in(p) = X1 -> emit X0, p := p + 1, goto carry  @"ι succ X1"
      stop: in(p) = X0 -> emit X1, p := p + 1, goto copy
      base: in(p) = 01 -> emit X0 01, halt
    mode copy
      last: in(p) = 01 -> emit in(p), halt
      same: in(p) in {X0, X1} -> emit in(p), p := p + 1, goto copy

`@` names the ι-step that owns a rule, `%` its evidence, `#` starts a comment, `$` is what reading
outside the input gives. Tokens that are not plain words are quoted. A line `continue after-last`
says how the machine finds its position again before each token (`machine/continuation.py`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from recinterp.machine.nodes import (
    Add,
    AtLeast,
    Atom,
    Cmp,
    Const,
    Emit,
    Expr,
    Find,
    In,
    Lost,
    Out,
    Pop,
    Push,
    Reg,
    Rule,
    Set,
    Span,
    TopIs,
    Update,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recinterp.machine.machine import Machine


def machine_text(machine: Machine) -> str:
    """The machine as text that `parse` reads back."""
    arity = dict(zip(machine.vocab, machine.arity, strict=False))
    symbols = (token_text(x) + (f"/{arity[x]}" if x in arity else "") for x in machine.vocab)
    lines = [f"vocab {' '.join(symbols)}", f"start {machine.start}"]
    if machine.registers:
        lines.append(
            "registers " + ", ".join(f"{n} := {expression_text(e)}" for n, e in machine.registers)
        )
    if machine.frames:
        lines.append("frames " + " ".join(machine.frames))
    if machine.domain:
        lines.append("domain " + guard_text(machine.domain))
    lines.append(f"limit {machine.limit}")
    if machine.continuation:
        lines.append("continue " + " ".join(machine.continuation))
    for mode in machine.modes:
        lines += [f"mode {mode}", *(f"  {rule_text(r)}" for r in machine.rules_of(mode))]
    return "\n".join(lines) + "\n"


def rule_text(r: Rule) -> str:
    """One rule on one line."""
    end = "halt" if r.goto is None else f"goto {r.goto}"
    notes = (f"  @{_quote_text(r.origin)}" if r.origin else "") + (
        f"  %{_quote_text(r.evidence)}" if r.evidence else ""
    )
    premise = f"{guard_text(r.guard)} " if r.guard else ""
    return f"{r.name}: {premise}-> {', '.join([*map(update_text, r.updates), end])}{notes}"


def guard_text(atoms: Iterable[Atom]) -> str:
    """A conjunction of atoms."""
    return " and ".join(map(atom_text, atoms))


def atom_text(a: Atom) -> str:
    """One guard atom."""
    match a:
        case In(at, tokens):
            return f"in({expression_text(at)}) {_token_choice_text(tokens)}"
        case Out(back, tokens):
            return f"out(-{back}) {_token_choice_text(tokens)}"
        case Cmp(left, op, right):
            return f"{expression_text(left)} {op} {expression_text(right)}"
        case TopIs(None):
            return "stack is empty"
        case TopIs(frame):
            return f"top is {frame}"
        case AtLeast(least, atoms):
            return f"{least} of [{', '.join(map(atom_text, atoms))}]"


def update_text(u: Update) -> str:
    """One update."""
    match u:
        case Emit(word):
            return "emit " + " ".join(
                token_text(x) if isinstance(x, str) else f"in({expression_text(x.at)})"
                for x in word
            )
        case Set(reg, to):
            return f"{reg} := {expression_text(to)}"
        case Push(frame, at):
            return f"push {frame}({expression_text(at)})"
        case Pop():
            return "pop"
        case Lost(wrong):
            return "lost wrong" if wrong else "lost"


def expression_text(e: Expr) -> str:
    """One expression."""
    match e:
        case Const(k):
            return str(k)
        case Reg(name):
            return name
        case Add(base, of, sign, k):
            inner = f"({expression_text(of)})" if isinstance(of, Add) else expression_text(of)
            return f"{expression_text(base)} {'+' if sign > 0 else '-'} {inner}" + (
                f" {'+' if k > 0 else '-'} {abs(k)}" if k else ""
            )
        case Find(start, step, skip):
            return (
                f"find({expression_text(start)}, {step:+d}, {{{', '.join(map(token_text, skip))}}})"
            )
        case Span(at, step):
            return f"span({expression_text(at)}{'' if step > 0 else ', -1'})"


def token_text(x: str) -> str:
    """A token, quoted unless it is a plain word that is no keyword of the text form."""
    keyword = (
        r"in|out|top|stack|is|empty|of|emit|push|pop|lost|wrong|goto|halt|find|span|and|mode|vocab"
        r"|start|registers|frames|domain|limit|continue"
    )
    is_plain = re.fullmatch(r"\w[\w']*|\$|…", x) is not None
    return x if is_plain and not re.fullmatch(keyword, x) else _quote_text(x)


def _quote_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _token_choice_text(tokens: tuple[str, ...]) -> str:
    return (
        f"= {token_text(tokens[0])}"
        if len(tokens) == 1
        else f"in {{{', '.join(map(token_text, tokens))}}}"
    )
