"""Positions of an input that a pointer can be at, named by output index t and datatype.

    t + c               output index plus a constant
    n-1-t + c           the same from the far end
    t in argument 2     the same within one argument of several
    t-th of {Leaf} + c  the t-th token of a class, from either end

Classes of tokens come from the datatypes: the constructors of each type, those with the same
arguments, each constructor by itself, and all but each. That output i is aligned with input i is
one landmark among others, not assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from recinterp.stats import Rate
from recinterp.tokens import ARG_SEP

if TYPE_CHECKING:
    from recinterp.tasks import Task

Step: TypeAlias = tuple[tuple[str, ...], int]  # an input, an output index


@dataclass(frozen=True, kw_only=True)
class Landmark:
    """A position of the input, as a function of the input and the output index t.

    Attributes:
        tokens: A class of tokens, for the position of the t-th token of the class; None for
            position t itself.
        from_end: Whether positions are counted from the far end.
        offset: Added to the position.
        argument: Index of the argument (from 0) within which positions are counted; None for the
            whole input.
    """

    tokens: tuple[str, ...] | None = None
    from_end: bool = False
    offset: int = 0
    argument: int | None = None

    def at(self, tokens: Sequence[str], t: int) -> int | None:
        """The position in the input `tokens` when `t` tokens are written; None if outside."""
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
        """Whether it depends on t and the length only, not on the tokens."""
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
    """List the landmarks of a task's datatypes, simplest first.

    Args:
        task: The task.

    Returns:
        The landmarks, with offsets of up to 2 to either side.
    """
    several = int(getattr(task, "arity", 1))
    bases: list[tuple[tuple[str, ...] | None, int | None]] = [(None, None)]
    bases += [(None, argument) for argument in range(several if several > 1 else 0)]
    bases += [(tokens, None) for tokens in token_classes(task)]
    return tuple(
        Landmark(tokens=tokens, from_end=end, offset=offset, argument=argument)
        for offset in (0, 1, -1, 2, -2)
        for tokens, argument in bases
        for end in (False, True)
    )


def token_classes(task: Task) -> list[tuple[str, ...]]:
    """Classes of tokens: by type, by type and arguments, each constructor, all but each."""
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
    """How often given positions are the landmark's, where the landmark is in the input."""
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
    """The landmark that given positions follow best, with its rate; None if there is none.

    Hits are divided by all steps, so that a landmark that is rarely in the input cannot win by
    being scored on few steps.

    Args:
        candidates: The landmarks; of equally good ones the first wins.
        steps: Input and output index of each step.
        places: The input position of each step; None for none.
        cover: Share of the steps in which a landmark must be in the input.
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
