"""Places in an input that a pointer can stand on, named from the output index and the datatype.

    t + c               output index plus a constant
    n-1-t + c           the same from the far end
    t in argument 2     the same within one argument of several
    t-th of {Leaf} + c  the t-th token of a class, from either end

Classes are the datatypes' own: each type's constructors, those with the same arguments, each
constructor, all the others.
Output i aligned with input i is one landmark among others, not the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recinterp.stats import Rate
from recinterp.tokens import ARG_SEP

if TYPE_CHECKING:
    from recinterp.tasks import Task

OFFSETS = (0, 1, -1, 2, -2)
Step = tuple[tuple[str, ...], int]  # an input, an output index


@dataclass(frozen=True)
class Landmark:
    """The position of `base`, plus `offset`.

    tokens: the class, for the t-th of a class; argument: count within that argument (from 0).
    """

    tokens: tuple[str, ...] | None = None
    from_end: bool = False
    offset: int = 0
    argument: int | None = None

    def at(self, tokens: Sequence[str], t: int) -> int | None:
        """Where it stands for an input when t tokens are written; None: nowhere in the input."""
        members = self._members(tokens)
        if t >= len(members) and not (self.tokens is None and self.offset):
            return None
        if self.tokens is None and members:
            place = members[-1] - t if self.from_end else members[0] + t
        elif t < len(members):
            place = members[-1 - t if self.from_end else t]
        else:
            return None
        place += self.offset
        return place if 0 <= place < len(tokens) else None

    def _members(self, tokens: Sequence[str]) -> list[int]:
        if self.tokens is not None:
            return [i for i, token in enumerate(tokens) if token in self.tokens]
        if self.argument is None:
            return list(range(len(tokens)))
        cuts = [-1, *(i for i, token in enumerate(tokens) if token == ARG_SEP), len(tokens)]
        if self.argument + 1 >= len(cuts):
            return []
        return list(range(cuts[self.argument] + 1, cuts[self.argument + 1]))

    @property
    def local(self) -> bool:
        """Whether it needs no search: t or n-1-t plus a constant."""
        return self.tokens is None

    def __str__(self) -> str:
        shift = f" {'+' if self.offset > 0 else '-'} {abs(self.offset)}" if self.offset else ""
        if self.argument is not None:
            base = "last-t" if self.from_end else "t"
            return f"{base}{shift} in argument {self.argument + 1}"
        if self.tokens is None:
            return ("n-1-t" if self.from_end else "t") + shift
        end = " from the end" if self.from_end else ""
        return f"t-th of {{{' '.join(self.tokens)}}}{end}{shift}"


def landmarks(task: Task) -> tuple[Landmark, ...]:
    """Every landmark of a task's datatypes, the simplest first."""
    several = int(getattr(task, "arity", 1))
    bases: list[tuple[tuple[str, ...] | None, int | None]] = [(None, None)]
    bases += [(None, argument) for argument in range(several if several > 1 else 0)]
    bases += [(tokens, None) for tokens in token_classes(task)]
    return tuple(
        Landmark(tokens, end, offset, argument)
        for offset in OFFSETS
        for tokens, argument in bases
        for end in (False, True)
    )


def token_classes(task: Task) -> list[tuple[str, ...]]:
    """Classes of tokens: by type, by type and arguments, each alone, all but each."""
    names = tuple(task.constructors)
    found = _by_type(task)
    found += [(name,) for name in names]
    if len(names) > 2:
        found += [tuple(other for other in names if other != name) for name in names]
    return [group for group in dict.fromkeys(found) if group and set(group) != set(names)]


def _by_type(task: Task) -> list[tuple[str, ...]]:
    program = getattr(task, "program", None)
    if program is None:
        return []
    shown = dict(task.shown)
    groups: dict[tuple[str, tuple[str, ...] | None], list[str]] = {}
    for kind in program.types:
        for constructor in kind.constructors:
            token = shown.get(constructor.name, constructor.name)
            if token in task.constructors:
                for key in ((kind.name, None), (kind.name, tuple(constructor.args))):
                    groups.setdefault(key, []).append(token)
    return [tuple(sorted(group, key=task.constructors.index)) for group in groups.values()]


def follow(landmark: Landmark, steps: Sequence[Step], places: Sequence[int | None]) -> Rate:
    """How often given input positions are the landmark's, where it stands in the input."""
    want = [landmark.at(tokens, t) for tokens, t in steps]
    pairs = [(w, p) for w, p in zip(want, places, strict=True) if w is not None]
    return Rate.of(w == p for w, p in pairs)


def best(
    candidates: Sequence[Landmark],
    steps: Sequence[Step],
    places: Sequence[int | None],
    *,
    cover: float = 0.5,
) -> tuple[Landmark, Rate] | None:
    """The landmark followed most; it must stand in the input in `cover` of the steps.

    Scored over all steps, so that a landmark that is seldom there cannot win by that.
    """
    scored = []
    for order, landmark in enumerate(candidates):
        rate = follow(landmark, steps, places)
        if rate.total >= max(1.0, cover * len(steps)):
            scored.append((rate.hits / len(steps), -order, landmark, rate))
    if not scored:
        return None
    _, _, landmark, rate = max(scored)
    return landmark, rate
