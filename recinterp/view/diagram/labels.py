"""Parts of a machine as short text, in the way that a drawing or a sentence shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from recinterp.machine import Machine
from recinterp.machine import nodes as asm
from recinterp.machine.continuation import Continuation, Preference
from recinterp.machine.formats.writer import expression_text, token_text
from recinterp.tokens import END_OF_INPUT


def expr_text(e: asm.Expr) -> str:
    """An expression without blanks: p+1, n-t; a search as `end(X1* from p+1)`."""
    match e:
        case asm.Find(start, step, skip):
            way = "from" if step > 0 else "back from"
            return f"end({_skipped_text(skip)} {way} {expr_text(start)})"
        case asm.Add(base, of, sign, k) if any(isinstance(x, asm.Find) for x in asm.walk(e)):
            rest = f"{k:+d}" if k else ""
            return f"{expr_text(base)}{'+' if sign > 0 else '-'}{expr_text(of)}{rest}"
        case _:
            return expression_text(e).replace(" ", "")


def _skipped_text(skip: tuple[str, ...]) -> str:
    only = "|".join(map(token_text, skip))
    return f"({only})*" if len(skip) > 1 else f"{only}*"


def find_reading_head(machine: Machine) -> asm.Expr | None:
    """The position most guards read: the machine's reading head."""
    counts = Counter(a.at for r in machine.rules for a in r.guard if isinstance(a, asm.In))
    return counts.most_common(1)[0][0] if counts else None


def comparison_sign(op: str) -> str:
    """A comparison as one sign: ≤ for <=."""
    return {"!=": "≠", "<=": "≤", ">=": "≥"}.get(op, op)


def atom_text(a: asm.Atom, reading_head: asm.Expr | None = None) -> str:
    """A guard atom; only its tokens where it reads at the reading head, `rest` for what follows.

    Args:
        a: the atom.
        reading_head: the position that needs no mention; None for none.
    """
    match a:
        case asm.In(at, tokens):
            names = ", ".join(map(token_text, tokens))
            return names if at == reading_head else f"in({expr_text(at)})={names}"
        case asm.Out(back, tokens):
            names = ", ".join(map(token_text, tokens))
            return f"last written {names}" if back == 1 else f"out(-{back})={names}"
        case asm.Cmp(asm.Find(start, 1, skip), "=" | "!=" as op, asm.Reg("n")):
            rest = reading_head is not None and start == asm.add_constant(reading_head, 1)
            where = "rest" if rest else f"in({expr_text(start)}…)"
            return f"{where} {comparison_sign(op)} {_skipped_text(skip)}"
        case asm.Cmp(left, op, right):
            return f"{expr_text(left)} {comparison_sign(op)} {expr_text(right)}"
        case asm.TopIs(None):
            return "stack empty"
        case asm.TopIs(frame):
            return f"top is {frame}"
        case asm.AtLeast(least, atoms):
            texts = [atom_text(x, reading_head) for x in atoms]
            return f"({' or '.join(texts)})" if least == 1 else f"{least} of ({'; '.join(texts)})"


def piece_text(
    piece: str | asm.Copy, reading_head: asm.Expr | None, known: Mapping[asm.Expr, tuple[str, ...]]
) -> str:
    """A written token; a copied one by its name where the guard leaves only one."""
    if isinstance(piece, str):
        return token_text(piece)
    tokens = known.get(piece.at, ())
    if len(tokens) == 1 and tokens[0] != END_OF_INPUT:
        return token_text(tokens[0])
    return "copy" if piece.at == reading_head else f"in({expr_text(piece.at)})"


_CONTINUATIONS = {
    Preference.POSITION: "by position",
    Preference.AFTER_LAST: "the token after the last output token's place",
    Preference.UNWRITTEN: "the first token not yet written",
}
_OF_SEVERAL = {
    Preference.POSITION: "the one at the position",
    Preference.AFTER_LAST: "the one after the last output token",
    Preference.UNWRITTEN: "the first not yet written",
}


def continuation_text(continuation: Continuation) -> str:
    """The token that a machine writes next, in words."""
    if not continuation:
        return "by position"
    first, *rest = continuation
    more = "".join(f", of several {_OF_SEVERAL[preference]}" for preference in rest)
    return _CONTINUATIONS[first] + more
