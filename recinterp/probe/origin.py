"""The origin map: which input position does each output token depend on?

One input token is swapped at a time, and the output is read twice: with the clean output prefix
*held* (what the input alone decides at that step) and *free* (what the whole run makes of it). No
machine, no inside of the model: an oracle is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from recinterp.errors import InvalidInputError
from recinterp.probe.landmarks import Landmark, landmarks
from recinterp.stats import Rate
from recinterp.tokens import TRUNCATED

if TYPE_CHECKING:
    from recinterp.tasks import Task

Tokens = tuple[str, ...]


class Speaker(Protocol):
    """What the origin map asks of a model: outputs, and the next token after a forced prefix."""

    def generate(self, inputs: Sequence[Sequence[str]]) -> list[list[str]]:
        """Greedy outputs."""

    def next_tokens(
        self, inputs: Sequence[Sequence[str]], prefixes: Sequence[Sequence[str]]
    ) -> list[str]:
        """The next output token after each prefix."""


@dataclass(frozen=True)
class Origin:
    """One input: for each output index, the input positions it depends on, held and free.

    copied: where the swapped-in token itself then stands in the output, per index.
    """

    tokens: Tokens
    output: Tokens
    held: tuple[frozenset[int], ...]
    free: tuple[frozenset[int], ...]
    copied: tuple[frozenset[int], ...]


@dataclass(frozen=True)
class Alignment:
    """A pointer that stands on a dependent position in `share` of the steps."""

    landmark: Landmark
    share: Rate


@dataclass(frozen=True)
class OriginMap:
    """Origins of some inputs, the pointers that fit them, and what the best does not cover.

    ahead, behind: share of steps that depend on positions after, before the pointer (`ahead` is
    lookahead); copied: share of steps whose token is that of the pointer, swapped or not.
    """

    origins: tuple[Origin, ...]
    alignments: tuple[Alignment, ...]
    ahead: Rate
    behind: Rate
    copied: Rate
    prefix_matters: Rate

    @property
    def pointer(self) -> Landmark | None:
        """The best alignment's landmark."""
        return self.alignments[0].landmark if self.alignments else None


def origin_map(
    model: Speaker, task: Task, inputs: Sequence[Sequence[str]], *, alternatives: int = 2
) -> OriginMap:
    """Swap every token of every input for up to `alternatives` others, and see what changes."""
    xs = [tuple(x) for x in inputs]
    # "…", which closes an output that was cut, is no token that anything depends on.
    outputs = [tuple(t for t in y if t != TRUNCATED) for y in model.generate([list(x) for x in xs])]
    swaps = [(i, at, x) for i, old in enumerate(xs) for at, x in _swaps(task, old, alternatives)]
    free = model.generate([list(x) for _, _, x in swaps]) if swaps else []
    held = _held(model, swaps, outputs, set(task.ids))
    origins = []
    for i, (x, y) in enumerate(zip(xs, outputs, strict=True)):
        mine = [
            (at, new, h, f) for (j, at, new), h, f in zip(swaps, held, free, strict=True) if j == i
        ]
        origins.append(_origin(x, y, mine))
    return _fit(task, tuple(origins))


def _swaps(task: Task, tokens: Tokens, alternatives: int) -> list[tuple[int, Tokens]]:
    """(position, input with one other token there), where that is still a term of the task."""
    found = []
    for at, old in enumerate(tokens):
        good = 0
        for token in task.constructors:
            new = (*tokens[:at], token, *tokens[at + 1 :])
            if token != old and good < alternatives and is_term(task, new):
                found.append((at, new))
                good += 1
    return found


def is_term(task: Task, tokens: Sequence[str]) -> bool:
    """Whether tokens encode an input of the task."""
    try:
        task.well_formed(list(tokens))
    except InvalidInputError:
        return False
    return True


def _held(
    model: Speaker,
    swaps: Sequence[tuple[int, int, Tokens]],
    outputs: Sequence[Tokens],
    known: set[str],
) -> list[list[str]]:
    """For each swap, what is said at every step of the clean output, its prefix held."""
    asked = [
        (x, outputs[i][:t])
        for i, _, x in swaps
        for t in range(len(outputs[i]))
        if set(outputs[i][:t]) <= known
    ]
    said = iter(model.next_tokens([list(x) for x, _ in asked], [list(y) for _, y in asked]))
    return [
        [next(said) if set(outputs[i][:t]) <= known else "" for t in range(len(outputs[i]))]
        for i, _, _ in swaps
    ]


def _origin(
    tokens: Tokens, output: Tokens, swaps: Sequence[tuple[int, Tokens, list[str], list[str]]]
) -> Origin:
    def positions(
        differs: Callable[[int, Tokens, list[str], list[str], int], bool],
    ) -> tuple[frozenset[int], ...]:
        return tuple(
            frozenset(at for at, new, h, f in swaps if differs(at, new, h, f, t))
            for t in range(len(output))
        )

    return Origin(
        tokens,
        output,
        positions(lambda at, new, h, f, t: h[t] != output[t]),
        positions(lambda at, new, h, f, t: t >= len(f) or f[t] != output[t]),
        positions(lambda at, new, h, f, t: h[t] == new[at] and output[t] == tokens[at]),
    )


def _fit(task: Task, origins: tuple[Origin, ...]) -> OriginMap:
    steps = [(o, t) for o in origins for t in range(len(o.output)) if o.held[t]]
    scored = []
    for order, landmark in enumerate(landmarks(task)):
        places = [landmark.at(o.tokens, t) for o, t in steps]
        share = Rate.of(p in o.held[t] for p, (o, t) in zip(places, steps, strict=True))
        if share.hits:
            scored.append((-share.value, order, Alignment(landmark, share)))
    aligned = tuple(a for _, _, a in sorted(scored, key=lambda s: s[:2])[:8])
    if not aligned:
        return OriginMap(origins, (), Rate(0, 0), Rate(0, 0), Rate(0, 0), _prefix(origins))
    on = [(o, t, aligned[0].landmark.at(o.tokens, t)) for o, t in steps]
    known = [(o, t, p) for o, t, p in on if p is not None]
    return OriginMap(
        origins,
        aligned,
        Rate.of(any(q > p for q in o.held[t]) for o, t, p in known),
        Rate.of(any(q < p for q in o.held[t]) for o, t, p in known),
        Rate.of(p in o.copied[t] for o, t, p in known if p in o.held[t]),
        _prefix(origins),
    )


def _prefix(origins: tuple[Origin, ...]) -> Rate:
    """Share of (step, position) dependencies of the free run that vanish with the prefix held."""
    both = [(o.held[t], o.free[t]) for o in origins for t in range(len(o.output))]
    return Rate.of(position not in held for held, free in both for position in free)
