"""Shorter guards: votes without the atoms that the rest of a guard decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recinterp.machine.nodes import AtLeast, In
from recinterp.machine.validate import excludes, implies, simplify_guard

if TYPE_CHECKING:
    from recinterp.machine.nodes import Atom


def simplify_votes_given(guard: Sequence[Atom], given: Sequence[Atom] = ()) -> tuple[Atom, ...]:
    """A guard that holds where this one does, at least wherever all of `given` holds."""
    simplified = simplify_guard(tuple(guard))
    while True:
        plain = [a for a in (*given, *simplified) if not isinstance(a, AtLeast)]
        parts = [_simplify_vote(a, plain) if isinstance(a, AtLeast) else (a,) for a in simplified]
        new = simplify_guard(tuple(a for part in parts for a in part))
        if new == simplified:
            return simplified
        simplified = new


def _simplify_vote(vote: AtLeast, known: Sequence[Atom]) -> tuple[Atom, ...]:
    """The part of a vote that known atoms leave open."""
    implied = [x for x in vote.atoms if any(implies(k, x) for k in known)]
    open_ = [x for x in vote.atoms if x not in implied and not any(excludes(k, x) for k in known)]
    least = vote.least - len(implied)
    if least > len(open_):  # it never holds: then nothing is gained by saying so otherwise
        return (vote,)
    if least <= 0:
        return ()
    if least == 1:
        open_ = _join_alternatives(open_)
    return tuple(open_) if least == len(open_) else (AtLeast(least, tuple(open_)),)


def _join_alternatives(atoms: Sequence[Atom]) -> list[Atom]:
    """Alternatives, those about the token at one place as one."""
    found: dict[object, Atom] = {}
    for x in atoms:
        key = x.at if isinstance(x, In) else x
        same = found.get(key)
        if isinstance(x, In) and isinstance(same, In):
            x = In(x.at, tuple(dict.fromkeys((*same.tokens, *x.tokens))))
        found[key] = x
    return list(found.values())
