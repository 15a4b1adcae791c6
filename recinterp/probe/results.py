"""What is found out about heads and layers: roles, measurements and their controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from recinterp.stats import Rate


class HeadRole(StrEnum):
    """What the measurements of a head show. The first role whose condition holds is given.

    Attributes:
        READER: A recursion head: it passes the model's gate, its attention follows a landmark, and
            its transplant changes the output; all of these more than under their controls.
        ATTENTION_ROUTING: Its ablation changes the output, and most of the change disappears if the
            attention patterns of later layers are frozen: it decides where later layers attend.
        DISTRIBUTED: It has a substantial share of the effect, but its attention follows no
            landmark, or the model fails the gate: it shares the computation with other heads.
        INACTIVE: Its ablation changes next to nothing.
        CONTRIBUTING: Its ablation changes some of the output, and no other role applies.
    """

    READER = "reader"
    ATTENTION_ROUTING = "attention-routing"
    DISTRIBUTED = "distributed"
    INACTIVE = "inactive"
    CONTRIBUTING = "contributing"


@dataclass(frozen=True, kw_only=True)
class Head:
    """An attention head and what was measured of it.

    Attributes:
        layer: Index of its layer; of an encoder-decoder, of its block.
        head: Index within the layer.
        role: What the measurements show.
        score: Share of the steps at which the peak of its attention is on `landmark`, 0 to 1.
        effect: Its share of the logits' change under the transplant of all heads. 1 is all of it;
            0 for heads of an encoder, which cannot be transplanted.
        controls: What `score` and `effect` have to beat, and further measurements, by name:
            "random direction" and "random head" (effects), "untrained attention" and "untrained
            effect" (of an untrained twin), "moved" (share of step pairs in which its transplant
            produces the other token), "gate" (that share for all heads together), "ablated"
            and "ablated, later patterns frozen" (shares of tokens that ablation changes).
        recursion: Whether it is a recursion head (a reader).
        follows: Whether `score` reaches its threshold.
        passes_gate: Whether the transplant of all heads changes the output often enough for the
            effect of a single head to mean something.
        landmark: The landmark that its attention follows best, as text; empty if there is none.
        block: Name of its block: L0, or E0, D0, X0 in an encoder-decoder; empty if unknown.
        forced: Share of forced outputs, on which the candidate places differ, at which its
            attention is on `landmark`; 0 of 0 where the model's outputs alone tell them apart.
    """

    layer: int
    head: int
    role: HeadRole
    score: float
    effect: float
    controls: Mapping[str, float] = field(default_factory=dict, hash=False)
    recursion: bool = False
    follows: bool = False
    passes_gate: bool = False
    landmark: str = ""
    block: str = ""
    forced: Rate = field(default_factory=lambda: Rate(0, 0))

    @property
    def name(self) -> str:
        """L1H0; E1H0, D1H0 (self-attention) and X1H0 (cross-attention) of encoder-decoders."""
        return f"{self.block or f'L{self.layer}'}H{self.head}"

    @property
    def is_in_encoder(self) -> bool:
        """Whether it is a head of an encoder: it has run before any output is written."""
        return self.block.startswith("E")


@dataclass(frozen=True, kw_only=True)
class LayerFinding:
    """All heads of a layer together, under transplants at the prediction position.

    Attributes:
        layer: Index of the layer; of an encoder-decoder, of the block.
        moved: Share of the step pairs in which the transplant produces the other step's token.
        effect: The heads' share of the logits' change under the transplant of all heads.
        control: That share for random directions of the same norm.
        carries: Whether the layer carries the recursion.
        recursion_heads: Names of its recursion heads.
        block: Name of the block: L0, or E0, D0, X0 in an encoder-decoder; empty if unknown.
    """

    layer: int
    moved: Rate
    effect: float
    control: float
    carries: bool
    recursion_heads: tuple[str, ...] = ()
    block: str = ""


@dataclass(frozen=True, kw_only=True)
class HeadReport:
    """Every head and every layer of a model.

    Attributes:
        heads: All heads, layer by layer.
        layers: All layers.
        gate: Share of the step pairs in which the transplant of all heads at once produces the
            token of the other step.
    """

    heads: tuple[Head, ...]
    layers: tuple[LayerFinding, ...]
    gate: Rate

    @property
    def recursion(self) -> tuple[Head, ...]:
        """The recursion heads."""
        return tuple(h for h in self.heads if h.recursion)
