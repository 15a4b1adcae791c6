"""A set of inputs: of some lengths, up to a depth, not excluded, and perhaps drawn by a sampler."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

from recinterp.errors import DomainError, InvalidInputError, TaskError
from recinterp.tasks.kinds_of_values import check_whole, describe

if TYPE_CHECKING:
    from recinterp.tasks.task import Task

Exclude: TypeAlias = Callable[[Sequence[str]], bool]
DrawInputs: TypeAlias = Callable[[Random, int], Iterable[Sequence[str]]]
DEFAULT_LENGTH = 16
MAX_DRAWN = 10_000  # inputs that stand for a sampler where inputs are listed, and that are saved
MAX_EXCLUDED = 4_000  # inputs that a predicate excludes, up to which they are saved as a list


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
class InputList:
    """Samples from a list of inputs, which can be saved with a model.

    Attributes:
        inputs: The tokens of each input.
    """

    inputs: tuple[tuple[str, ...], ...]

    @cached_property
    def members(self) -> frozenset[tuple[str, ...]]:
        """The inputs as a set."""
        return frozenset(self.inputs)

    def __call__(self, rng: Random, n: int) -> list[list[str]]:
        """Draw `n` of the inputs with replacement."""
        return [list(x) for x in rng.choices(self.inputs, k=n)] if self.inputs else []


def _name(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _check_task(task: object) -> None:
    if not all(hasattr(task, name) for name in ("length", "inputs", "sample")):
        hint = 'pass ri.task("binary-successor"), or ri.Task.from_gallina(…)'
        raise TaskError("use a domain", f"the task is {describe(task)}", hint)


@dataclass(frozen=True)
class Domain:
    """A set of inputs: those of some lengths and depths that a predicate does not exclude.

    A sampler replaces enumeration where inputs are long or have a form that few sequences have: a
    list of 20 distinct labels, say. Its domain is never taken to be listed exhaustively: where
    inputs are listed, up to 10,000 that it draws stand for it.

    Attributes:
        max_length: Length of the longest inputs, in tokens without commas; None for no bound.
        max_depth: Recursion depth of the deepest inputs; None for no bound.
        exclude: A predicate on the tokens of an input that holds of those left out; None to leave
            out none. `FullDepth`, `Listed` and `Matching` can be saved with a model as they are.
        min_length: Length of the shortest inputs; None for no bound.
        sampler: A function that is given a `random.Random` and a number, and returns about that
            many inputs as lists of tokens; None to draw by length and depth. What it draws outside
            the other bounds is dropped.

    Raises:
        DomainError: A bound is no whole number from 0 on, or `exclude` or `sampler` no function.
    """

    max_length: int | None = None
    max_depth: int | None = None
    exclude: Exclude | None = None
    min_length: int | None = None
    sampler: DrawInputs | None = None
    _drawn: dict[Task, dict[int, list[list[str]]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for name, least in (("max_length", 1), ("max_depth", 0), ("min_length", 0)):
            value = getattr(self, name)
            if value is None:
                continue
            if type(value) is int and value == 0 < least:
                problem = f"{name} is 0, so that it holds no input but perhaps the empty one"
                raise DomainError("make a domain", problem, "pass a whole number from 1 on")
            whole = check_whole(value, "make a domain", name, least, DomainError)
            object.__setattr__(self, name, whole)
        for name in ("exclude", "sampler"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise DomainError("make a domain", f"{name} is {value!r}", "pass a function")

    def __str__(self) -> str:
        bounds = {
            "max_length": self.max_length,
            "max_depth": self.max_depth,
            "min_length": self.min_length,
            "exclude": None if self.exclude is None else _name(self.exclude),
            "sampler": None if self.sampler is None else _name(self.sampler),
        }
        return f"Domain({', '.join(f'{k}={v}' for k, v in bounds.items() if v is not None)})"

    @property
    def is_sampled(self) -> bool:
        """Whether a sampler draws the inputs, so that they are never known to be all."""
        return self.sampler is not None

    def contains(self, task: Task, tokens: Sequence[str]) -> bool:
        """Whether an input lies in the domain.

        Of a sampler's domain, whether it lies within the other bounds; of an `InputList`'s, whether
        it is in the list too.

        Args:
            task: The task that the input is of.
            tokens: Tokens of a well-formed input.

        Raises:
            InvalidInputError: The depth counts, and the tokens are no input of the task.
        """
        _check_task(task)
        length = task.length(tokens)
        if self.max_length is not None and length > self.max_length:
            return False
        if self.min_length is not None and length < self.min_length:
            return False
        if isinstance(self.sampler, InputList) and tuple(tokens) not in self.sampler.members:
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
            An iterator over token lists; of a sampler's domain, over up to 10,000 that it draws.

        Raises:
            DomainError: Neither max_length nor limit bounds them.
        """
        _check_task(task)
        if limit is not None:
            limit = check_whole(limit, "list a domain", "limit", 0, DomainError)
        if self.sampler is not None:
            listed = self._draw_once(task)
            yield from islice((list(x) for n in sorted(listed) for x in listed[n]), limit)
            return
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
        if self.max_length is None:
            yield from task.inputs(None)
            return
        for length in range(self.min_length or 0, self.max_length + 1):
            deep = self.max_depth is not None
            if not deep or min(task.depths(length), default=0) <= (self.max_depth or 0):
                yield from task.inputs_of(length)

    def _draw_once(self, task: Task) -> dict[int, list[list[str]]]:
        """What the sampler draws with one seed, without repetition, by length."""
        if task not in self._drawn:
            if isinstance(self.sampler, InputList):
                drawn = [list(x) for x in self.sampler.inputs if self.contains(task, x)]
            else:
                drawn = self._call_sampler(task, Random(0), MAX_DRAWN)
            by_length: dict[int, list[list[str]]] = {}
            for x in dict.fromkeys(map(tuple, drawn)):
                by_length.setdefault(task.length(x), []).append(list(x))
            self._drawn[task] = by_length
        return self._drawn[task]

    def _call_sampler(self, task: Task, rng: Random, n: int) -> list[list[str]]:
        """Inputs within the bounds, out of `n` that the sampler draws. Raises DomainError."""
        operation = "draw inputs with a sampler"
        assert self.sampler is not None
        hint = "return a list of inputs, each a list of tokens"
        try:
            given = self.sampler(rng, n)
            drawn = [[x] if isinstance(x, str) else list(x) for x in given]
        except (TypeError, ValueError) as error:
            raise DomainError(operation, f"it fails ({error})", hint) from error
        for x in drawn:
            try:
                task.well_formed(x)
            except InvalidInputError as error:
                shown = " ".join(map(str, x))
                problem = f"it draws {shown!r}, which is no input of {task.name}: {error.problem}"
                raise DomainError(operation, problem, hint) from error
        return [x for x in drawn if self.contains(task, x)]

    def depths(self, task: Task, length: int) -> dict[int, int]:
        """How many inputs of one length and of each recursion depth the domain may hold.

        Args:
            task: The task whose inputs they are.
            length: The length, in tokens without commas.

        Returns:
            Depth -> number of inputs, before any are excluded; of a sampler's domain, among up to
            10,000 that it draws.
        """
        if self.sampler is not None:
            counts: dict[int, int] = {}
            for x in self._draw_once(task).get(length, []):
                counts[task.depth(x)] = counts.get(task.depth(x), 0) + 1
            return counts
        if length < (self.min_length or 0) or self._is_too_long(length):
            return {}
        deepest = self.max_depth
        return {d: n for d, n in task.depths(length).items() if deepest is None or d <= deepest}

    def _is_too_long(self, length: int) -> bool:
        return self.max_length is not None and length > self.max_length

    def sample_cell(
        self, task: Task, length: int, depth: int, n: int, seed: int = 0
    ) -> list[list[str]]:
        """Draw inputs of one length and depth, excluded ones left out.

        Args:
            task: The task whose inputs they are.
            length: The length, in tokens without commas.
            depth: The recursion depth, one of `depths(task, length)`.
            n: Number of draws, with replacement.
            seed: Seed of the draws.

        Returns:
            At most `n` token lists.
        """
        if self.sampler is not None:
            cell = [x for x in self._draw_once(task).get(length, []) if task.depth(x) == depth]
            return [list(x) for x in Random(seed).choices(cell, k=n)] if cell else []
        drawn = task.sample(n, seed=seed, length=length, depth=depth)
        return [x for x in drawn if self.contains(task, x)]

    def sample(
        self, task: Task, n: int, seed: int = 0, distribution: str = "balanced"
    ) -> list[list[str]]:
        """Draw inputs of the domain with replacement; the same seed gives the same inputs.

        Args:
            task: The task whose inputs they are.
            n: Number of inputs.
            seed: Seed of the draw.
            distribution: "balanced", "uniform" or "natural", as `Task.sample` explains; a sampler
                has its own.

        Returns:
            `n` token lists, of at most 16 tokens where the domain has no max_length.

        Raises:
            DomainError: The domain holds no input.
        """
        _check_task(task)
        n = check_whole(n, "sample inputs", "n", 0, DomainError)
        seed = check_whole(seed, "sample inputs", "the seed")
        if self.sampler is not None:
            return self._sample_with_sampler(task, n, seed)
        longest = max(DEFAULT_LENGTH, self.min_length or 0)
        return task.sample(
            n,
            seed=seed,
            distribution=distribution,
            max_length=longest if self.max_length is None else self.max_length,
            max_depth=self.max_depth,
            exclude=self.exclude,
            min_length=self.min_length or 0,
        )

    def _sample_with_sampler(self, task: Task, n: int, seed: int) -> list[list[str]]:
        rng, out = Random(seed), list[list[str]]()
        for _ in range(20):  # draws outside the bounds are made up for
            if len(out) >= n:
                break
            out += self._call_sampler(task, rng, n if not out else max(n - len(out), n // 4))
        if n and not out:
            problem = "the sampler draws no input within the other bounds"
            raise DomainError("sample inputs", problem, "widen the bounds, or change the sampler")
        return [list(out[i % len(out)]) for i in range(n)]

    def list_inputs(self, task: Task) -> Domain:
        """The domain with a list of up to 10,000 of its inputs in place of functions.

        Args:
            task: The task whose inputs they are.

        Returns:
            A domain that can be saved.

        Raises:
            DomainError: The domain holds no input.
        """
        if self.sampler is not None:
            listed = list(self.inputs(task))
        else:
            listed = list(self.inputs(task, limit=MAX_DRAWN + 1))
            if len(listed) > MAX_DRAWN:
                listed = self.sample(task, MAX_DRAWN)
        inputs = tuple(dict.fromkeys(map(tuple, listed)))
        return replace(self, exclude=None, sampler=InputList(inputs))

    def to_json(self, task: Task | None = None) -> dict[str, Any]:
        """The domain as plain data.

        Args:
            task: The task whose inputs they are. With it, a predicate or a sampler of the user's
                own is replaced by the inputs that it excludes, or by up to 10,000 inputs of the
                domain; without it, it cannot be saved.

        Raises:
            DomainError: `exclude` or `sampler` is a function of the user's own, which has no
                description, and no task is given.
        """
        if task is not None and not self._has_description:
            return self._describe_by_inputs(task).to_json()
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
        data = {"max_length": self.max_length, "max_depth": self.max_depth, "exclude": exclude}
        if self.min_length is not None:
            data["min_length"] = self.min_length
        if isinstance(self.sampler, InputList):
            data["inputs"] = [list(x) for x in self.sampler.inputs]
        elif self.sampler is not None:
            problem = f"sampler is {self.sampler!r}, which has no finite description"
            raise DomainError("save a domain", problem, "use domain.list_inputs(task)")
        return data

    @property
    def _has_description(self) -> bool:
        plain = isinstance(self.exclude, FullDepth | Listed | Matching | None)
        return plain and isinstance(self.sampler, InputList | None)

    def _describe_by_inputs(self, task: Task) -> Domain:
        """The domain with what it excludes listed, where that is short; else with its inputs."""
        if self.sampler is None and self.max_length is not None:
            whole = replace(self, exclude=None).inputs(task, limit=70_000)
            excluded = (tuple(x) for x in whole if not self.contains(task, x))
            listed = frozenset(islice(excluded, MAX_EXCLUDED + 1))
            if len(listed) <= MAX_EXCLUDED:
                return replace(self, exclude=Listed(listed))
        return self.list_inputs(task)

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
        listed = data.get("inputs")
        sampler = None if listed is None else InputList(tuple(tuple(map(str, x)) for x in listed))
        return cls(
            data.get("max_length"),
            data.get("max_depth"),
            exclude,
            data.get("min_length"),
            sampler,
        )
