"""A set of inputs: up to a length, up to a depth, and not excluded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from recinterp.errors import DomainError

if TYPE_CHECKING:
    from recinterp.tasks.task import Task

Exclude: TypeAlias = Callable[[Sequence[str]], bool]
DEFAULT_LENGTH = 16


@dataclass(frozen=True)
class FullDepth:
    """Excludes the inputs of maximal depth for their length, from a length on (all-X1, say)."""

    task: Task
    from_length: int = 3

    def __call__(self, tokens: Sequence[str]) -> bool:
        """Whether these tokens are such an input."""
        return self.task.length(tokens) >= self.from_length and self.task.full_depth(tokens)


@dataclass(frozen=True)
class Listed:
    """Excludes inputs that are listed."""

    inputs: frozenset[tuple[str, ...]]

    def __call__(self, tokens: Sequence[str]) -> bool:
        """Whether these tokens are listed."""
        return tuple(tokens) in self.inputs


@dataclass(frozen=True)
class Matching:
    """Excludes inputs whose tokens, joined by spaces, a regular expression finds a match in.

    Errors: DomainError for what is no regular expression.
    """

    pattern: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            problem = f"{self.pattern!r} is no regular expression ({error})"
            hint = r"write one, for instance r'\bX1 X0\b'"
            raise DomainError("exclude inputs by a pattern", problem, hint) from None

    def __call__(self, tokens: Sequence[str]) -> bool:
        """Whether the pattern is found in these tokens."""
        return re.search(self.pattern, " ".join(tokens)) is not None


@dataclass(frozen=True)
class Domain:
    """Inputs of at most `max_length` tokens and `max_depth`, without those `exclude` is true of."""

    max_length: int | None = None
    max_depth: int | None = None
    exclude: Exclude | None = None

    def contains(self, task: Task, tokens: Sequence[str]) -> bool:
        """Whether a well-formed input lies in the domain."""
        if self.max_length is not None and task.length(tokens) > self.max_length:
            return False
        if self.max_depth is not None and task.depth(tokens) > self.max_depth:
            return False
        return self.exclude is None or not self.exclude(tokens)

    def inputs(self, task: Task, limit: int | None = None) -> Iterator[list[str]]:
        """Every input of the domain, shortest first, at most `limit`. DomainError with no bound."""
        if self.max_length is None and limit is None:
            raise DomainError("list a domain", "it has no max_length", "pass max_length or limit")
        left = limit
        for tokens in self._candidate_inputs(task):
            if left == 0:
                return
            if self.contains(task, tokens):
                left = None if left is None else left - 1
                yield tokens

    def _candidate_inputs(self, task: Task) -> Iterator[list[str]]:
        """Inputs by length, without the lengths that are all too deep."""
        if self.max_depth is None or self.max_length is None:
            yield from task.inputs(self.max_length)
            return
        for length in range(self.max_length + 1):
            if min(task.depths(length), default=0) <= self.max_depth:
                yield from task.inputs_of(length)

    def sample(
        self, task: Task, n: int, seed: int = 0, distribution: str = "balanced"
    ) -> list[list[str]]:
        """`n` inputs of the domain. DomainError where it holds none."""
        return task.sample(
            n,
            seed=seed,
            distribution=distribution,
            max_length=DEFAULT_LENGTH if self.max_length is None else self.max_length,
            max_depth=self.max_depth,
            exclude=self.exclude,
        )

    def to_json(self) -> dict[str, Any]:
        """A finite description; DomainError where `exclude` is a predicate of the user's own."""
        exclude: Any = None
        match self.exclude:
            case FullDepth(from_length=from_length):
                exclude = {"full_depth_from": from_length}
            case Listed(inputs=inputs):
                exclude = {"listed": sorted(list(i) for i in inputs)}
            case Matching(pattern=pattern):
                exclude = {"matching": pattern}
            case None:
                pass
            case other:
                problem = f"exclude is {other!r}, which has no finite description"
                raise DomainError("save a domain", problem, "use FullDepth, Listed or Matching")
        return {"max_length": self.max_length, "max_depth": self.max_depth, "exclude": exclude}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], task: Task | None = None) -> Domain:
        """The domain that to_json described; `task` is needed where it excludes by depth."""
        exclude: Exclude | None = None
        described = data.get("exclude")
        if described and "full_depth_from" in described:
            if task is None:
                raise DomainError(
                    "load a domain", "it excludes by depth and no task is given", "pass task=…"
                )
            exclude = FullDepth(task, int(described["full_depth_from"]))
        elif described and "matching" in described:
            exclude = Matching(str(described["matching"]))
        elif described:
            exclude = Listed(frozenset(tuple(i) for i in described["listed"]))
        return cls(data.get("max_length"), data.get("max_depth"), exclude)
