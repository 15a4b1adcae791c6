"""The thresholds of head roles, each with its unit and the reason for its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """Thresholds of `probe_heads`.

    The three tests of a recursion head were set on trained and untrained models together: of 204
    heads of untrained models none passes all three, and 17 of 18 models have one that passes on
    effect alone.

    Attributes:
        min_gate: Share of the step pairs in which transplanting all heads at once must produce the
            token of the other step. Below it a model does not keep its state in its heads, and the
            share of a single head means nothing.
        min_effect: Share of the logits' change that a transplant of one head must cause.
        min_followed: Share of the steps at which the peak of a head's attention must be on its
            landmark.
        min_layer_moved: Share of the step pairs in which transplanting the heads of one layer must
            produce the other token for the layer to carry the recursion: more often than not.
        min_ablation_change: Share of the tokens that the ablation of an attention-routing head
            must change; less cannot be distinguished from chance on some hundred steps.
        min_routed_share: Share of that change that must disappear when the patterns of later layers
            are frozen: clearly more than half.
        max_inactive_change: Share of the tokens below which the change by ablation counts as none.
        max_pairs: Step pairs that transplants and ablations are measured on; the 95 % interval of a
            share is then at most 9 points wide to either side.
        max_steps: Steps that attention is measured on, which needs one run only.
        min_input_length: Tokens; shorter inputs are left out if there are longer ones, because
            several landmarks coincide on them.
    """

    min_gate: float = 0.8
    min_effect: float = 0.15
    min_followed: float = 0.3
    min_layer_moved: float = 0.5
    min_ablation_change: float = 0.1
    min_routed_share: float = 0.6
    max_inactive_change: float = 0.02
    max_pairs: int = 120
    max_steps: int = 360
    min_input_length: int = 4


DEFAULTS = HeadConfig()
