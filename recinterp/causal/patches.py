"""Patches: places of a network whose values another run gives, and what the model writes then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recinterp.causal.pairs import Pair, Step
from recinterp.perturb import (
    INPUTS,
    OUTPUTS,
    QUERY,
    SEP,
    At,
    Interchange,
    PromptBatch,
    Unit,
    build_batch,
    next_tokens,
)
from recinterp.stats import Rate

if TYPE_CHECKING:
    from torch import Tensor

    from recinterp.models import Adapter
    from recinterp.tasks import Task

WORDS = {
    "query": "the query",
    "sep": "SEP",
    "read": "the input read",
    "changed": "the inputs changed",
    "others": "the other inputs",
    "inputs": "the inputs",
    "outputs": "the previous outputs",
}
OTHERS_THAN = "others than "
READING = ("read", "changed", "others", "inputs")


def words(position: str) -> str:
    """A class of positions in words; `at p` is where the pointer p stands."""
    if position.startswith(OTHERS_THAN):
        return f"the inputs other than at {position.removeprefix(OTHERS_THAN)}"
    return WORDS.get(position) or f"the input {position}"


@dataclass(frozen=True)
class PatchLocation:
    """One place of a patch: a hook point (or one head of it) at a class of positions.

    position: query, sep, changed, others, inputs, outputs, read, `at` a pointer of the machine, or
    `others than` where that stands.
    block: what its block is called, where that is not its number (E0, D0, X0 of encoder-decoders).
    """

    hook: str
    position: str
    head: int | None = None
    block: str = ""

    @property
    def layer(self) -> int:
        """The layer whose output it is; -1: the embeddings'."""
        number = int(self.hook.split(".")[1])
        return number - 1 if self.hook.endswith("resid_pre") else number

    @property
    def while_reading(self) -> bool:
        """Whether it lies before the output begins."""
        return self.position in READING or self.position.startswith(("at ", OTHERS_THAN))

    @property
    def stage(self) -> int:
        """Its place in the order of computation: embeddings 0, attention 1, layer output 2, …"""
        return 2 * self.layer + (1 if self.hook.endswith("hook_z") else 2)

    @property
    def place(self) -> str:
        """Which activation, in words."""
        if self.hook.endswith("hook_z"):
            alone = f"{self.block or f'L{self.layer}'}H{self.head}"
            whole = f"{self.block or f'layer-{self.layer}'} attention"
            return f"in {whole if self.head is None else alone}"
        after = f"after {self.block or f'layer {self.layer}'}"
        return "in the embedding" if self.layer < 0 else after

    def named(self, adapter: Adapter) -> PatchLocation:
        """The same with its block's name."""
        told = adapter.architecture == "encoder-decoder" and self.layer >= 0
        return replace(self, block=adapter.block_names[self.layer]) if told else self

    def __str__(self) -> str:
        return f"{self.place} at {words(self.position)}"


Patch = tuple[PatchLocation, ...]


def described(patch: Patch) -> str:
    """A patch in words: parts of one place together."""
    places = dict.fromkeys(part.place for part in patch)
    return " and ".join(
        f"{place} at " + " and ".join(words(part.position) for part in patch if part.place == place)
        for place in places
    )


def is_single(patch: Patch) -> bool:
    """Whether a patch is one site: one place, or the one token in which the runs differ."""
    return len(patch) == 1 and patch[0].position not in ("others", "inputs", "outputs")


@dataclass(frozen=True)
class PatchSpec:
    """What of a patch is put in: all of it, or less.

    scramble: the seed of a random direction of the same norm; bases: of subspaces, one per part, if
    no more than what lies in them is to be put in.
    """

    patch: Patch
    scramble: int | None = None
    bases: Sequence[Tensor] | None = None


def build_interchanges(put: PatchSpec, pairs: Sequence[Pair]) -> list[Interchange]:
    """The intervention that puts the sources' values of a patch into the bases of the pairs."""
    sources = tuple(p.source.tokens for p in pairs)
    prefixes = tuple(p.source.prefix for p in pairs)
    return [
        Interchange(
            (Unit(part.hook, part.head, _at(part.position, pairs, base=True)),),
            sources,
            prefixes,
            _at(part.position, pairs, base=False),
            put.scramble,
            None if put.bases is None else (put.bases[number],),
        )
        for number, part in enumerate(put.patch)
    ]


def _at(position: str, pairs: Sequence[Pair], *, base: bool) -> At:
    match position:
        case "query":
            return QUERY
        case "sep":
            return SEP
        case "inputs":
            return INPUTS
        case "outputs":
            return OUTPUTS
        case "changed":
            return At("some", tuple(p.changed_positions for p in pairs))
    # A pair in which either side reads nothing has no such position on either side.
    both = [(_place(p.base, position), _place(p.source, position)) for p in pairs]
    index = tuple(None if None in ends else ends[0 if base else 1] for ends in both)
    return At("others" if position.startswith("others") else "input", index)


def _place(step: Step, position: str) -> int | None:
    for front in ("at ", OTHERS_THAN):
        if position.startswith(front):
            return step.position_of(position.removeprefix(front))
    return step.read_position


def build_base_batch(task: Task, pairs: Sequence[Pair]) -> PromptBatch:
    """The base steps of some pairs, as rows."""
    return build_batch(task, [p.base.tokens for p in pairs], [p.base.prefix for p in pairs])


def answers(adapter: Adapter, task: Task, pairs: Sequence[Pair], put: PatchSpec) -> list[str]:
    """What the model writes at the bases with the sources' values put in."""
    return next_tokens(adapter, task, build_base_batch(task, pairs), build_interchanges(put, pairs))


def accuracy(adapter: Adapter, task: Task, pairs: Sequence[Pair], put: PatchSpec) -> Rate:
    """How often that is what the machine writes with the variable set."""
    if not pairs:
        return Rate(0, 0)
    said = answers(adapter, task, pairs, put)
    return Rate.of(a == p.counterfactual for a, p in zip(said, pairs, strict=True))
