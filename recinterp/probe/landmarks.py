"""Places in an input that a pointer can stand on, named from the output index and the datatype.

    t + c               output index plus a constant
    n-1-t + c           the same from the far end
    t-th {Leaf} + c     the t-th token of a class, from either end

Classes are the datatype's own: each constructor, all the others, those with as many arguments.
Output i aligned with input i is one landmark among others, not the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recinterp.rate import Rate

if TYPE_CHECKING:
    from recinterp.tasks import Task

OFFSETS = (0, 1, -1, 2, -2)
Step = tuple[tuple[str, ...], int]  # an input, an output index


@dataclass(frozen=True)
class Landmark:
    """The position of `base`, plus `offset`. tokens: the class, for the t-th of a class."""

    tokens: tuple[str, ...] | None = None
    from_end: bool = False
    offset: int = 0

    def at(self, tokens: Sequence[str], t: int) -> int | None:
        """Where it stands for an input when t tokens are written; None: nowhere in the input."""
        n = len(tokens)
        if self.tokens is None:
            place = n - 1 - t if self.from_end else t
        else:
            members = [i for i, token in enumerate(tokens) if token in self.tokens]
            if t >= len(members):
                return None
            place = members[len(members) - 1 - t if self.from_end else t]
        place += self.offset
        return place if 0 <= place < n else None

    @property
    def local(self) -> bool:
        """Whether it needs no search: t or n-1-t plus a constant."""
        return self.tokens is None

    def __str__(self) -> str:
        shift = f" {'+' if self.offset > 0 else '-'} {abs(self.offset)}" if self.offset else ""
        if self.tokens is None:
            return ("n-1-t" if self.from_end else "t") + shift
        end = " from the end" if self.from_end else ""
        return f"t-th of {{{' '.join(self.tokens)}}}{end}{shift}"


def landmarks(task: Task) -> tuple[Landmark, ...]:
    """Every landmark of a task's datatypes, the simplest first."""
    classes: list[tuple[str, ...] | None] = [None, *token_classes(task)]
    return tuple(
        Landmark(tokens, end, offset)
        for offset in OFFSETS
        for tokens in classes
        for end in (False, True)
    )


def token_classes(task: Task) -> list[tuple[str, ...]]:
    """Classes of constructors: by number of arguments, each alone, all but each."""
    names = tuple(task.constructors)
    arity = getattr(task, "arities", None)
    found: list[tuple[str, ...]] = []
    if arity is not None:
        for k in sorted({arity[name] for name in names}):
            found.append(tuple(name for name in names if arity[name] == k))
    found += [(name,) for name in names]
    if len(names) > 2:
        found += [tuple(other for other in names if other != name) for name in names]
    return [group for group in dict.fromkeys(found) if group and set(group) != set(names)]


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
