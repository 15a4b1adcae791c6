"""Short words for parts of a machine, as a drawing or a sentence shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from recinterp.machine import Machine
from recinterp.machine import nodes as asm
from recinterp.machine.formats import writer as text
from recinterp.tokens import END_OF_INPUT

SIGNS = {"!=": "≠", "<=": "≤", ">=": "≥"}


def expr_text(e: asm.Expr) -> str:
    """An expression without blanks: p+1, n-t; a search as `end(X1* from p+1)`."""
    match e:
        case asm.Find(start, step, skip):
            way = "from" if step > 0 else "back from"
            return f"end({_run(skip)} {way} {expr_text(start)})"
        case asm.Add(base, of, sign, k) if any(isinstance(x, asm.Find) for x in asm.walk(e)):
            rest = f"{k:+d}" if k else ""
            return f"{expr_text(base)}{'+' if sign > 0 else '-'}{expr_text(of)}{rest}"
        case _:
            return text.expression_text(e).replace(" ", "")


def _run(skip: tuple[str, ...]) -> str:
    only = "|".join(map(text.token_text, skip))
    return f"({only})*" if len(skip) > 1 else f"{only}*"


def focus_of(machine: Machine) -> asm.Expr | None:
    """The position most guards read: the machine's reading head."""
    counts = Counter(a.at for r in machine.rules for a in r.guard if isinstance(a, asm.In))
    return counts.most_common(1)[0][0] if counts else None


def atom_text(a: asm.Atom, focus: asm.Expr | None = None) -> str:
    """A guard atom; tokens alone where the reading head is meant, `rest` for what follows it."""
    match a:
        case asm.In(at, tokens):
            names = ", ".join(map(text.token_text, tokens))
            return names if at == focus else f"in({expr_text(at)})={names}"
        case asm.Out(back, tokens):
            names = ", ".join(map(text.token_text, tokens))
            return f"last written {names}" if back == 1 else f"out(-{back})={names}"
        case asm.Cmp(asm.Find(start, 1, skip), "=" | "!=" as op, asm.Reg("n")):
            rest = focus is not None and start == asm.add_constant(focus, 1)
            where = "rest" if rest else f"in({expr_text(start)}…)"
            return f"{where} {SIGNS.get(op, op)} {_run(skip)}"
        case asm.Cmp(left, op, right):
            return f"{expr_text(left)} {SIGNS.get(op, op)} {expr_text(right)}"
        case asm.TopIs(None):
            return "stack empty"
        case asm.TopIs(frame):
            return f"top is {frame}"
        case asm.AtLeast(least, atoms):
            said = [atom_text(x, focus) for x in atoms]
            return f"({' or '.join(said)})" if least == 1 else f"{least} of ({'; '.join(said)})"


def piece_text(
    piece: str | asm.Copy, focus: asm.Expr | None, known: Mapping[asm.Expr, tuple[str, ...]]
) -> str:
    """A written token; a copied one by its name where the guard leaves only one."""
    if isinstance(piece, str):
        return text.token_text(piece)
    tokens = known.get(piece.at, ())
    if len(tokens) == 1 and tokens[0] != END_OF_INPUT:
        return text.token_text(tokens[0])
    return "copy" if piece.at == focus else f"in({expr_text(piece.at)})"
