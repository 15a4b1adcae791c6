"""How a model is trained: one frozen recipe, recorded in every checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from recinterp.errors import ModelError

ARCHITECTURES = ("decoder-only", "encoder-decoder")
LOSSES = ("output", "sequence")
NORMS = ("LN", "LNPre", "none")
POSITIONS = ("learned", "rotary", "none")
CHOICES = {
    "architecture": ARCHITECTURES,
    "loss": LOSSES,
    "positions": POSITIONS,
    "norm": NORMS,
}
LATER = (
    "positions",
    "attn_only",
    "norm",
    "loss",
)  # fields that the first checkpoints do not record: written where not the default
Exclude = Callable[[Sequence[str]], bool]


@dataclass(frozen=True)
class TrainConfig:
    """A recipe. `max_depth` and `exclude` (a predicate on tokens) carve inputs out of training.

    Lengths are in tokens, specials not counted. The defaults reach every depth of binary successor.
    """

    architecture: str = "decoder-only"  # or encoder-decoder, with n_layers each
    n_layers: int = 2
    n_heads: int = 2
    d_model: int = 64
    d_mlp: int | None = None  # None: four times d_model
    n_ctx: int | None = (
        None  # None: the longest training sequence, and a little room to look beyond
    )
    positions: str = "learned"  # learned, rotary or none
    attn_only: bool = False
    norm: str = "LN"  # LN, LNPre (without gain and bias) or none
    max_length: int = 16
    max_depth: int | None = None
    exclude: Exclude | None = None
    distribution: str = "balanced"  # balanced, natural or uniform
    loss: str = "output"  # what is asked: the output, or "sequence": all after the first token
    steps: int = 3000
    warmup: int = 100
    learning_rate: float = 2e-3
    embedding_std: float | None = None  # None: 1 / sqrt(d_model)
    weight_decay: float = 0.01
    batch_size: int = 64
    seed: int = 0
    save_every: int = 250

    def __post_init__(self) -> None:
        asked = "TrainConfig"
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                wrong = f"there is no {name} {getattr(self, name)!r}"
                raise ModelError(asked, wrong, " or ".join(known))
        for name in (
            "n_layers",
            "n_heads",
            "d_model",
            "max_length",
            "steps",
            "batch_size",
            "save_every",
        ):
            if getattr(self, name) < 1:
                raise ModelError(asked, f"{name} is {getattr(self, name)}", "1 or more")
        if self.d_model % self.n_heads:
            wrong = f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}"
            raise ModelError(
                asked, wrong, f"for instance {self.n_heads * max(1, self.d_model // self.n_heads)}"
            )
        if self.architecture == "encoder-decoder":
            self._check_encoder_decoder()
        if self.positions == "rotary" and (self.d_model // self.n_heads) % 2:
            wrong = f"a head has {self.d_model // self.n_heads} features and rotary positions turn"
            raise ModelError(asked, f"{wrong} pairs of them", "an even d_model / n_heads")

    def _check_encoder_decoder(self) -> None:
        """An encoder reads all of its input at once: it neither turns it nor is asked for it."""
        for name, bad, good in (("loss", "sequence", "output"), ("positions", "rotary", "learned")):
            if getattr(self, name) == bad:
                wrong = f"an encoder-decoder has no {name} {bad!r}"
                raise ModelError("TrainConfig", wrong, f"{name}={good!r}")

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then a cosine down to zero."""
        from math import cos, pi

        warmup = min(self.warmup, self.steps // 2)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * (1 + cos(pi * (step - warmup) / (self.steps - warmup))) / 2

    def to_json(self) -> dict[str, object]:
        """Plain values; `exclude` is not among them, the checkpoint's domain describes it."""
        said = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "exclude"}
        plain = {f.name: f.default for f in fields(self) if f.name in LATER}
        return {k: v for k, v in said.items() if k not in plain or v != plain[k]}
