"""Planted truths: functions that are known shortcuts of binary successor, natural order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby, product

Tokens = list[str]
Function = Callable[[Tokens], Tokens]


def words(longest: int) -> Iterator[Tokens]:
    """Every input up to a length."""
    for n in range(longest):
        for body in product(("X0", "X1"), repeat=n):
            yield [*body, "01"]


def depth(x: Tokens) -> int:
    """Leading X1."""
    return next(i for i, token in enumerate(x) if token != "X1")


def successor(x: Tokens) -> Tokens:
    """The ground truth, written a second time so that tests have an independent oracle."""
    d = depth(x)
    return ["X0"] * d + (["X1", *x[d + 1 :]] if x[d] == "X0" else ["X0", "01"])


def capped(k: int) -> Function:
    """Carries k times, then copies."""
    return lambda x: successor(x) if depth(x) <= k else ["X0"] * k + x[k:]


def skipped_flip(k: int) -> Function:
    """Skips one flip after k carries and goes on carrying."""

    def run(x: Tokens) -> Tokens:
        right = successor(x)
        return right if depth(x) <= k else [*right[:k], "X1", *right[k + 1 :]]

    return run


def deep_base(k: int) -> Function:
    """The base rule loses a token after k carries or more."""
    return lambda x: (
        ["X0"] * depth(x) + ["01"] if x[depth(x)] == "01" and depth(x) >= k else successor(x)
    )


def truncated(k: int) -> Function:
    """Stops writing after k tokens."""
    return lambda x: successor(x)[:k]


def long_inputs_copied(k: int) -> Function:
    """Copies inputs of k or more tokens."""
    return lambda x: list(x) if len(x) >= k else successor(x)


def last_run_copied(x: Tokens) -> Tokens:
    """Every token becomes that of the last run: no edit of the true machine."""
    runs = [list(run) for _, run in groupby(x[:-1])]
    return [*(runs[-1][0] if runs else "X0" for _ in x[:-1]), "01"]


def constant(_: Tokens) -> Tokens:
    """Ignores its input."""
    return ["X0", "01"]


def many(f: Function) -> Callable[[list[Tokens]], list[Tokens]]:
    """As a model: from inputs to outputs."""
    return lambda inputs: [f(x) for x in inputs]


def reverse(f: Function) -> Function:
    """A function with the tokens of its inputs and outputs in reverse order."""
    return lambda x: f(x[::-1])[::-1]
