"""Models whose algorithm is known, in one table: what unit tests and explanations are checked on.

Each case is a function of inputs of binary successor that follows the recursion and then fails in
one known way (tests/planted.py), with the kind and the bound that an explanation has to name.
Transformers with weights set by hand are in tests/perturb/hand_set.py, hand-made explanations in
tests/view/builders.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from torch import nn

import recinterp as ri
from tests import planted

SHIPPED = "binary-successor-natural-depthcap3"
SHORT_DOMAIN = ri.Domain(max_length=9)  # on which that model is explained in seconds


@dataclass(frozen=True, kw_only=True)
class Case:
    """A planted function and what is known of it.

    Attributes:
        name: of the case, as test reports show it.
        function: from an input in natural order to an output.
        kind: the kind of divergence; None for the ground truth, and where no kind fits.
        bound: the bound of that kind.
        verdict: what the explanation has to conclude.
        order: order of the tokens, natural or reverse.
    """

    name: str
    function: planted.Function
    kind: str | None = None
    bound: int | None = None
    verdict: str = "shortcut"
    order: str = "natural"

    @property
    def task(self) -> ri.Task:
        """The task whose function the case departs from."""
        return ri.task("binary-successor", order=self.order)

    @property
    def predict(self) -> Callable[[list[planted.Tokens]], list[planted.Tokens]]:
        """The case as a model: from inputs to outputs."""
        reverse = self.order == "reverse"
        return planted.many(planted.reverse(self.function) if reverse else self.function)

    def apply(self, tokens: planted.Tokens) -> planted.Tokens:
        """The case's output for one input, in the case's order."""
        return self.predict([tokens])[0]

    def inputs(self, max_length: int) -> list[planted.Tokens]:
        """Every input up to a length, in the case's order."""
        step = -1 if self.order == "reverse" else 1
        return [x[::step] for x in planted.words(max_length)]

    def explain(self, max_length: int = 10) -> ri.Explanation:
        """The case's explanation on inputs up to a length; computed once for all tests."""
        return _explain(self.name, max_length)


CASES = {
    case.name: case
    for case in (
        Case(name="ground truth", function=planted.successor, verdict="exact"),
        Case(name="carries 3 times", function=planted.capped(3), kind="bounded-depth", bound=3),
        Case(name="carries 5 times", function=planted.capped(5), kind="bounded-depth", bound=5),
        Case(name="base case wrong from depth 2", function=planted.deep_base(2),
             kind="deep-base-case", bound=2),
        Case(name="base case wrong from depth 3", function=planted.deep_base(3),
             kind="deep-base-case", bound=3),
        Case(name="truncated after 7", function=planted.truncated(7),
             kind="premature-end", bound=7),
        Case(name="truncated after 8", function=planted.truncated(8),
             kind="premature-end", bound=8),
        Case(name="copies from length 7", function=planted.long_inputs_copied(7),
             kind="length-keyed", bound=7),
        Case(name="copies from length 8", function=planted.long_inputs_copied(8),
             kind="length-keyed", bound=8),
        Case(name="skips a flip after 3", function=planted.skipped_flip(3),
             kind="position-keyed", bound=3),
        Case(name="constant", function=planted.constant, kind="degenerate",
             verdict="undetermined"),
        Case(name="copies the last run", function=planted.last_run_copied),
        Case(name="ground truth, reverse", function=planted.successor, verdict="exact",
             order="reverse"),
        Case(name="carries 3 times, reverse", function=planted.capped(3), kind="bounded-depth",
             bound=3, order="reverse"),
        Case(name="copies the last run, reverse", function=planted.last_run_copied,
             order="reverse"),
        Case(name="base case wrong from depth 2, reverse", function=planted.deep_base(2),
             kind="deep-base-case", bound=2, order="reverse"),
    )
}  # fmt: skip


@cache
def _explain(name: str, max_length: int) -> ri.Explanation:
    case = CASES[name]
    return ri.explain(case.predict, case.task, domain=ri.Domain(max_length=max_length))


@cache
def load_shipped(name: str = SHIPPED) -> nn.Module:
    """A shipped model, loaded once for all tests; they must not change it."""
    return ri.load(name)
