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
    """Excludes the inputs of maximal depth for their length (of the successor, all-X1).

    Attributes:
        task: The task whose depths count.
        from_length: Length in tokens from which on they are excluded; shorter ones stay.
    """

    task: Task
    from_length: int = 3

    def __call__(self, tokens: Sequence[str]) -> bool:
        """Whether the tokens of an input are excluded."""
        return self.task.length(tokens) >= self.from_length and self.task.full_depth(tokens)


@dataclass(frozen=True)
class Listed:
    """Excludes inputs that are listed.

    Attributes:
        inputs: The tokens of each excluded input.
    """

    inputs: frozenset[tuple[str, ...]]

    def __call__(self, tokens: Sequence[str]) -> bool:
        """Whether the tokens of an input are excluded."""
        return tuple(tokens) in self.inputs


@dataclass(frozen=True)
class Matching:
    """Excludes inputs whose tokens, joined by spaces, a regular expression finds a match in.

    Attributes:
        pattern: The regular expression, as `re.search` takes it.

    Raises:
        DomainError: It is no regular expression.
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
        """Whether the tokens of an input are excluded."""
        return re.search(self.pattern, " ".join(tokens)) is not None


@dataclass(frozen=True)
class Domain:
    """A set of inputs: those up to a length and a depth that a predicate does not exclude.

    Attributes:
        max_length: Length of the longest inputs, in tokens without commas; None for no bound.
        max_depth: Recursion depth of the deepest inputs; None for no bound.
        exclude: A predicate on the tokens of an input that holds of those left out; None to leave
            out none. `FullDepth`, `Listed` and `Matching` can be saved with a model.
    """

    max_length: int | None = None
    max_depth: int | None = None
    exclude: Exclude | None = None

    def contains(self, task: Task, tokens: Sequence[str]) -> bool:
        """Whether an input lies in the domain.

        Args:
            task: The task that the input is of.
            tokens: Tokens of a well-formed input.

        Raises:
            InvalidInputError: The depth counts, and the tokens are no input of the task.
        """
        if self.max_length is not None and task.length(tokens) > self.max_length:
            return False
        if self.max_depth is not None and task.depth(tokens) > self.max_depth:
            return False
        return self.exclude is None or not self.exclude(tokens)

    def inputs(self, task: Task, limit: int | None = None) -> Iterator[list[str]]:
        """Iterate over the inputs of the domain, shortest first.

        Args:
            task: The task whose inputs they are.
            limit: Number of inputs after which to stop; None for all.

        Returns:
            An iterator over token lists.

        Raises:
            DomainError: Neither max_length nor limit bounds them.
        """
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
        """Draw inputs of the domain with replacement; the same seed gives the same inputs.

        Args:
            task: The task whose inputs they are.
            n: Number of inputs.
            seed: Seed of the draw.
            distribution: "balanced", "uniform" or "natural", as `Task.sample` explains.

        Returns:
            `n` token lists, of at most 16 tokens where the domain has no max_length.

        Raises:
            DomainError: The domain holds no input.
        """
        return task.sample(
            n,
            seed=seed,
            distribution=distribution,
            max_length=DEFAULT_LENGTH if self.max_length is None else self.max_length,
            max_depth=self.max_depth,
            exclude=self.exclude,
        )

    def to_json(self) -> dict[str, Any]:
        """The domain as plain data.

        Raises:
            DomainError: `exclude` is a predicate of the user's own, which has no description.
        """
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
        """Make the domain that `to_json` described.

        Args:
            data: What `to_json` gave.
            task: The task of the domain, needed where it excludes by depth.

        Raises:
            DomainError: It excludes by depth, and no task is given.
        """
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
