"""Models of functions that can be computed in several ways on distinct labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import recinterp as ri
from recinterp.tasks import Matching

PROGRAMS = Path(__file__).parent / "distinct.v"
DISTINCT = Matching(r"(\b[a-h]\b).* \1\b")  # excludes the inputs in which a label is repeated
FUNCTIONS = ("copy", "reverse", "sort", "inorder", "postorder")
POSITIONS = ("learned", "rotary", "none")
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Case:
    """One trained model: its function, kind of positions and seed."""

    function: str
    positions: str
    seed: int

    @property
    def name(self) -> str:
        """The name of its checkpoint."""
        return f"{self.function}-{self.positions}-{self.seed}"

    @property
    def on_trees(self) -> bool:
        """Whether its inputs are trees."""
        return self.function.endswith("order")

    @property
    def task(self) -> ri.Task:
        """The function the model is trained on."""
        if self.on_trees:
            return ri.task(f"tree-{self.function}")
        return ri.Task.from_gallina(PROGRAMS, self.function)

    @property
    def recipe(self) -> ri.TrainConfig:
        """How it is trained: on distinct labels only."""
        return ri.TrainConfig(
            max_length=15 if self.on_trees else 8,
            exclude=DISTINCT,
            steps=2000 if self.on_trees else 1500,
            n_heads=4 if self.on_trees else 2,
            positions=self.positions,
            seed=self.seed,
        )

    @property
    def domain(self) -> ri.Domain:
        """The inputs that its explanation is about."""
        return ri.Domain(max_length=13 if self.on_trees else 6, exclude=DISTINCT)


def cases() -> dict[str, Case]:
    """All models by name."""
    table = (
        Case(function, positions, seed)
        for seed in SEEDS
        for function in FUNCTIONS
        for positions in POSITIONS
    )
    return {case.name: case for case in table}
