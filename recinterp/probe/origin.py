"""The origin map: which input position does each output token depend on?

One input token is swapped at a time, and the output is compared twice: with the clean output prefix
*held* (what the input decides at that step) and *free* (what the whole run makes of it). Neither a
machine nor the activations of the model are needed.
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


class GenerativeModel(Protocol):
    """What the origin map needs of a model: outputs, and next tokens after forced prefixes."""

    def generate(self, inputs: Sequence[Sequence[str]]) -> list[list[str]]:
        """Greedy outputs."""

    def next_tokens(
        self, inputs: Sequence[Sequence[str]], prefixes: Sequence[Sequence[str]]
    ) -> list[str]:
        """The next output token after each prefix."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The input positions that each output token of one input depends on.

    Attributes:
        tokens: The input.
        output: The clean output.
        held: Per output index, the positions it depends on with the output prefix held.
        free: Per output index, the positions it depends on in a free run.
        copied: Per output index, the positions whose swapped-in token appears there.
    """

    tokens: Tokens
    output: Tokens
    held: tuple[frozenset[int], ...]
    free: tuple[frozenset[int], ...]
    copied: tuple[frozenset[int], ...]


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """A landmark that output tokens depend on.

    Attributes:
        landmark: The landmark.
        share: Share of the steps that depend on its position.
    """

    landmark: Landmark
    share: Rate


@dataclass(frozen=True, kw_only=True)
class OriginMap:
    """Origins of some inputs, the landmarks that fit them, and what the best one leaves open.

    Attributes:
        origins: One per input.
        alignments: The landmarks that fit best, at most 8, best first.
        lookahead: Share of the steps that depend on a position after the best landmark.
        lookback: Share of the steps that depend on a position before it.
        copied: Of the steps that depend on the landmark, share whose token is copied from it.
        prefix_matters: Share of the dependencies of free runs that vanish with the prefix held.
    """

    origins: tuple[Origin, ...]
    alignments: tuple[Alignment, ...]
    lookahead: Rate
    lookback: Rate
    copied: Rate
    prefix_matters: Rate

    @property
    def pointer(self) -> Landmark | None:
        """The landmark that fits best; None if none fits."""
        return self.alignments[0].landmark if self.alignments else None


def origin_map(
    model: GenerativeModel, task: Task, inputs: Sequence[Sequence[str]], *, alternatives: int = 2
) -> OriginMap:
    """Find which input positions each output token depends on, by swapping one token at a time.

    Args:
        model: Anything with `generate` and `next_tokens`, such as an adapter.
        task: Its task.
        inputs: Token sequences.
        alternatives: Other tokens tried at each position, at most; only those that leave a term of
            the task count.

    Returns:
        The dependencies of each input, and the landmarks that explain them.
    """
    xs = [tuple(x) for x in inputs]
    # "…", which closes a truncated output, is no token that depends on anything.
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
    model: GenerativeModel,
    swaps: Sequence[tuple[int, int, Tokens]],
    outputs: Sequence[Tokens],
    known: set[str],
) -> list[list[str]]:
    """For each swap, the next token at every step of the clean output, with its prefix held."""
    queries = [
        (x, outputs[i][:t])
        for i, _, x in swaps
        for t in range(len(outputs[i]))
        if set(outputs[i][:t]) <= known
    ]
    predicted = iter(
        model.next_tokens([list(x) for x, _ in queries], [list(y) for _, y in queries])
    )
    return [
        [next(predicted) if set(outputs[i][:t]) <= known else "" for t in range(len(outputs[i]))]
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
        tokens=tokens,
        output=output,
        held=positions(lambda at, new, h, f, t: h[t] != output[t]),
        free=positions(lambda at, new, h, f, t: t >= len(f) or f[t] != output[t]),
        copied=positions(lambda at, new, h, f, t: h[t] == new[at] and output[t] == tokens[at]),
    )


def _fit(task: Task, origins: tuple[Origin, ...]) -> OriginMap:
    steps = [(o, t) for o in origins for t in range(len(o.output)) if o.held[t]]
    alignments = _align(task, steps)
    known = []
    if alignments:
        places = [(o, t, alignments[0].landmark.at(o.tokens, t)) for o, t in steps]
        known = [(o, t, p) for o, t, p in places if p is not None]
    return OriginMap(
        origins=origins,
        alignments=alignments,
        lookahead=Rate.of(any(q > p for q in o.held[t]) for o, t, p in known),
        lookback=Rate.of(any(q < p for q in o.held[t]) for o, t, p in known),
        copied=Rate.of(p in o.copied[t] for o, t, p in known if p in o.held[t]),
        prefix_matters=_prefix(origins),
    )


def _align(task: Task, steps: Sequence[tuple[Origin, int]]) -> tuple[Alignment, ...]:
    """The landmarks that most steps depend on, at most 8, best first."""
    scored = []
    for order, landmark in enumerate(landmarks(task)):
        places = [landmark.at(o.tokens, t) for o, t in steps]
        share = Rate.of(p in o.held[t] for p, (o, t) in zip(places, steps, strict=True))
        if share.hits:
            scored.append((-share.value, order, Alignment(landmark=landmark, share=share)))
    return tuple(a for _, _, a in sorted(scored, key=lambda s: s[:2])[:8])


def _prefix(origins: tuple[Origin, ...]) -> Rate:
    """Share of (step, position) dependencies of the free run that vanish with the prefix held."""
    both = [(o.held[t], o.free[t]) for o in origins for t in range(len(o.output))]
    return Rate.of(position not in held for held, free in both for position in free)
