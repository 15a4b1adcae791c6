"""Drawing inputs fast: what `depth_counts` counts, looked up once and then followed.

A `DrawPlan` is a state at a depth and a length. It is followed from the root down: choose a case,
share length and depth among its parts, build its constructors, go on with its groups. Every case is
built by a Python function of its own, written and compiled when it is first drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from recinterp.semantics.terms import Value
from recinterp.tasks.sampling.uniform import Slot, TermDrawer, WeightedChoice

if TYPE_CHECKING:
    from recinterp.tasks.sampling.length_counts import TermKind
    from recinterp.tasks.sampling.recursion_cases import CallState, PartialTerm, RecursionCase

# Places of a state's variables -> those of each group's variables, those of each free variable.
Build: TypeAlias = "Callable[[Sequence[Slot]], tuple[list[list[Slot]], list[Slot]]]"


class Fillings(Protocol):
    """The terms of each state by depth and length (`depth_counts.DepthCounts`)."""

    def list_if_small(
        self, state: CallState, depth: int, length: int
    ) -> list[tuple[Value, ...]] | None:
        """Every filling of a state, where they fit in a list; None for more."""

    def choose_case(self, state: CallState, depth: int, length: int) -> WeightedChoice:
        """The cases of a state, each a `CaseDraw`, weighted by how many fillings it has."""


class CaseDraw(NamedTuple):
    """How to draw a case.

    Attributes:
        build: The function that writes its constructors into places.
        kinds: The kinds of its free variables.
        first: The choice for its first part; None if it has no parts.
    """

    build: Build
    kinds: tuple[TermKind, ...]
    first: WeightedChoice | None


@dataclass(eq=False)
class PartDraw:
    """One part of a case: its length, and the choice for the next part.

    Attributes:
        size: Number of tokens of the part.
        rest: The choice for the next part; None for the last.
        plan: How to draw the part, if it is a state.
        listed: The terms to draw the part from, if it is free and they fit in a list.
    """

    size: int
    rest: WeightedChoice | None
    plan: DrawPlan | None
    listed: list[Value] | None = None


@dataclass(eq=False)
class DrawPlan:
    """How to draw the terms of a state of one depth and length.

    Attributes:
        fillings: Where cases and lists are looked up.
        state: The state.
        depth: Levels of recursion of its terms.
        length: Tokens of its terms in all.
    """

    fillings: Fillings
    state: CallState
    depth: int
    length: int

    @cached_property
    def listed(self) -> list[tuple[Value, ...]] | None:
        """The terms that can be drawn, where they fit in a list."""
        return self.fillings.list_if_small(self.state, self.depth, self.length)

    @cached_property
    def ways(self) -> WeightedChoice:
        """The cases."""
        return self.fillings.choose_case(self.state, self.depth, self.length)


def draw_from_plan(plan: DrawPlan, rng: Random, drawer: TermDrawer) -> list[Any]:
    """One draw: the value of each of the state's variables."""
    holes: list[Any] = [None] * len(plan.state.kinds)
    work: list[tuple[DrawPlan, list[Slot]]] = [(plan, [(holes, i) for i in range(len(holes))])]
    random = rng.random
    while work:
        plan, here = work.pop()
        listed = plan.listed
        if listed is not None:
            values = listed[int(random() * len(listed))]
            for (parent, at), value in zip(here, values, strict=True):
                parent[at] = value
            continue
        ways = plan.ways
        way: CaseDraw = ways.only_item or ways.draw_item(rng)
        groups, free = way.build(here)
        # All parts are shared out before any is filled.
        step, left = way.first, []
        for group in groups:
            assert step is not None
            share: PartDraw = step.only_item or step.draw_item(rng)
            assert share.plan is not None
            work.append((share.plan, group))
            step = share.rest
        while step is not None:
            share = step.only_item or step.draw_item(rng)
            left.append(share)
            step = share.rest
        for slot, kind, share in zip(free, way.kinds, left, strict=True):
            if share.listed is None:
                drawer.draw_into(rng, kind, share.size, slot)
            else:
                slot[0][slot[1]] = share.listed[int(random() * len(share.listed))]
    return holes


def compile_builder(case: RecursionCase) -> Build:
    """The function that writes a case's skeletons into places."""
    lines, slots = ["def build(slots):"], dict[int, str]()
    for i, skeleton in enumerate(case.skeletons):
        _write_skeleton(skeleton, f"slots[{i}]", lines, slots)
    groups = ", ".join(f"[{', '.join(slots[v] for v in g.variables)}]" for g in case.groups)
    free = ", ".join(slots[v] for v, _ in case.free)
    names: dict[str, Any] = {}
    exec("\n".join([*lines, f" return [{groups}], [{free}]"]), names)
    build: Build = names["build"]
    return build


def _write_skeleton(known: PartialTerm, slot: str, lines: list[str], slots: dict[int, str]) -> None:
    """Lines that put a skeleton into a place; a variable is left open, its place noted."""
    if isinstance(known, int):
        slots[known] = slot
        return
    assert known is not None
    node = f"n{len(lines)}"
    lines.append(f" p, i = {slot}; p[i] = {node} = [{known[0]}{', None' * (len(known) - 1)}]")
    for i, arg in enumerate(known[1:], 1):
        _write_skeleton(arg, f"({node}, {i})", lines, slots)
