"""What a diff says, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Divergence:
    """One input on which model and truth, or model and machine, differ."""

    input: tuple[str, ...]
    expected: tuple[str, ...]
    model_output: tuple[str, ...]
    machine_output: tuple[str, ...] | None


@dataclass(frozen=True)
class ShareRow:
    """Of the inputs of one length and depth, how many depart in this way."""

    length: int
    depth: int
    hit: int
    total: int


@dataclass(frozen=True)
class Shortcut:
    """One way in which the learned machine leaves the truth.

    kinds: every kind that fits on the domain, smallest first; bound: the first kind's number;
    bounds: each kind's; rule: the learned rule that writes the first differing token; step: the
    ι-step that owns the true one; counterexample: a shortest input, confirmed on the model.
    """

    kinds: tuple[str, ...]
    bound: int | None
    bounds: tuple[tuple[str, int | None], ...]
    counterexample: list[str]
    expected: list[str]
    model_output: list[str]
    share: tuple[ShareRow, ...]
    rule: str
    step: str
    text: str

    @property
    def kind(self) -> str:
        """The first of the kinds."""
        return self.kinds[0]


@dataclass(frozen=True)
class Diff:
    """Verdict, mechanism, shortcuts, and what no machine explains.

    divergent of total: inputs on which model and truth differ; exhaustive: whether total is all.
    """

    verdict: str
    mechanism: str
    headline: str
    shortcuts: tuple[Shortcut, ...]
    unexplained: tuple[Divergence, ...]
    region: str
    divergent: int
    total: int
    exhaustive: bool
    counterexample: Divergence | None = None

    def __str__(self) -> str:
        return self.headline
