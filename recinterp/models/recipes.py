"""The shared table of cases: which models ship, how each is trained, what is known about it.

    recipe("binary-successor-natural-depthcap3")       # Recipe(name, task, config, note)

Tests, benchmarks and the command line read their cases here. `recinterp train NAME` repeats one;
what enumeration found about a shipped checkpoint is in its JSON, under `known`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recinterp.errors import UnknownName
from recinterp.models.config import TrainConfig

if TYPE_CHECKING:
    from recinterp.tasks import Task

LENGTH = 16
SEEDS = (0, 1, 2)
VARIANTS = {
    "": "every depth equally often, given the length",
    "-noall": "balanced, without the inputs of maximal depth from three tokens on (X1 … X1 01)",
    "-depthcap3": "balanced, depth at most 3",
    "-uniform": "uniform integers: deep inputs are as rare as they are among numbers",
}


@dataclass(frozen=True)
class Recipe:
    """How a shipped model was trained. The plain name is seed 0's; others end in `-seedN`."""

    name: str
    task_name: str
    order: str
    variant: str
    seed: int

    @property
    def task(self) -> Task:
        """The task it is trained on."""
        from recinterp.tasks import task

        return task(self.task_name, self.order)

    @property
    def config(self) -> TrainConfig:
        """The recipe proper."""
        from recinterp.tasks import FullDepth

        config = TrainConfig(max_length=LENGTH, seed=self.seed)
        match self.variant:
            case "-noall":
                return replace(config, exclude=FullDepth(self.task, 3))
            case "-depthcap3":
                config = replace(config, max_depth=3)
                if self.order == "natural":
                    # From small embeddings it half learns depth 4, in no systematic way.
                    return replace(config, steps=2500, embedding_std=1.0)
                return config
            case "-uniform":
                return replace(config, distribution="natural")
        return config


def _all() -> Iterator[Recipe]:
    for seed in SEEDS:
        for variant in VARIANTS:
            for order in ("natural", "reverse"):
                name = f"binary-successor-{order}{variant}" + (f"-seed{seed}" if seed else "")
                yield Recipe(name, "binary-successor", order, variant, seed)


RECIPES = {recipe.name: recipe for recipe in _all()}


def recipe(name: str) -> Recipe:
    """The recipe of a shipped model. Raises UnknownName with the nearest."""
    if name not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    return RECIPES[name]
