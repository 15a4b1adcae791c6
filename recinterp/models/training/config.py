"""How a model is trained: one frozen recipe, recorded in every checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from math import cos, isfinite, pi
from numbers import Integral, Real

from recinterp.errors import ModelError
from recinterp.models.architectures.shape import NORMS, POSITIONS
from recinterp.tasks import Domain
from recinterp.tasks.domain import DrawInputs

Exclude = Callable[[Sequence[str]], bool]
CHOICES = {
    "architecture": ("decoder-only", "encoder-decoder"),
    "loss": ("output", "sequence"),
    "positions": POSITIONS,
    "norm": NORMS,
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training recipe. The defaults reach every depth of binary successor.

    Lengths are in tokens of the input, special tokens not counted.

    Attributes:
        architecture: "decoder-only", or "encoder-decoder" with `n_layers` layers in each half.
        n_layers: Number of layers.
        n_heads: Heads per layer; `d_model` is a multiple of it.
        d_model: Width of the residual stream.
        d_mlp: Width of the hidden layer of an MLP; None: four times `d_model`.
        n_ctx: Most positions of a row; None: the longest training sequence and four more, so that
            somewhat longer inputs can be queried.
        positions: "learned", "rotary" (decoder-only, an even number of features per head) or
            "none".
        attn_only: Whether the layers have no MLP.
        norm: "LN", "LNPre" (LayerNorm without gain and bias) or "none".
        max_length: Longest training input, in tokens.
        max_depth: Deepest training input, in nested unfoldings of the recursive function; None:
            every depth.
        exclude: A predicate on the tokens of an input; where it is true, the input is left out of
            training.
        min_length: Shortest training input, in tokens.
        sampler: A function that draws training inputs, as `Domain` takes it; up to 10,000 inputs
            are drawn once, trained on, and recorded with the model. None: by length and depth.
        distribution: How training inputs are drawn: "balanced" (every depth equally often, given
            the length), "uniform" (the length uniform, then each input of it equally likely) or
            "natural" (each input of the domain equally likely).
        loss: Tokens that the loss counts: "output", or "sequence" (every token after the first;
            decoder-only).
        steps: Optimizer steps.
        warmup: Steps of linear warm-up of the learning rate, at most half of `steps`; a cosine
            decay to zero follows.
        learning_rate: Largest learning rate of AdamW.
        embedding_std: Standard deviation of the initial embeddings; None: 1 / sqrt(d_model).
        weight_decay: Weight decay of AdamW.
        batch_size: Examples per step.
        seed: Seed of the initial weights and of the training inputs.
        save_every: Steps between two saves of an unfinished run.
        save_seconds: Seconds after which an unfinished run is saved in any case.

    Raises:
        ModelError: A value is not allowed, or two values do not fit together.
    """

    architecture: str = "decoder-only"
    n_layers: int = 2
    n_heads: int = 2
    d_model: int = 64
    d_mlp: int | None = None
    n_ctx: int | None = None
    positions: str = "learned"
    attn_only: bool = False
    norm: str = "LN"
    max_length: int = 16
    max_depth: int | None = None
    exclude: Exclude | None = None
    min_length: int | None = None
    sampler: DrawInputs | None = None
    distribution: str = "balanced"
    loss: str = "output"
    steps: int = 3000
    warmup: int = 100
    learning_rate: float = 2e-3
    embedding_std: float | None = None
    weight_decay: float = 0.01
    batch_size: int = 64
    seed: int = 0
    save_every: int = 250
    save_seconds: float = 30.0

    def __post_init__(self) -> None:
        self._check_types()
        self._check_choices()
        self._check_counts()
        self._check_heads()
        if self.architecture == "encoder-decoder":
            self._check_encoder_decoder()

    @property
    def domain(self) -> Domain:
        """The inputs that are trained on."""
        return Domain(self.max_length, self.max_depth, self.exclude, self.min_length, self.sampler)

    def _check_types(self) -> None:
        wanted: dict[str, tuple[type, str]] = {
            "int": (Integral, "a whole number"),
            "float": (Real, "a number"),
            "str": (str, "a text"),
            "bool": (bool, "True or False"),
        }
        for field in fields(self):
            kind, _, rest = str(field.type).partition(" | ")
            value = getattr(self, field.name)
            if kind not in wanted or (value is None and rest == "None"):
                continue
            expected, words = wanted[kind]
            if not isinstance(value, expected) or (isinstance(value, bool) and kind != "bool"):
                raise _invalid(f"{field.name} is {value!r}", f"use {words}")
            if isinstance(value, float) and not isfinite(value):
                raise _invalid(f"{field.name} is {value!r}", "use a finite number")
        if self.exclude is not None and not callable(self.exclude):
            raise _invalid(f"exclude is {self.exclude!r}", "use a function of tokens")

    def _check_choices(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                problem = f"there is no {name} {getattr(self, name)!r}"
                raise _invalid(problem, f"choose {' or '.join(known)}")

    def _check_counts(self) -> None:
        counts = ("n_layers", "n_heads", "d_model", "max_length", "steps", "batch_size")
        for name in (*counts, "save_every"):
            if getattr(self, name) < 1:
                raise _invalid(f"{name} is {getattr(self, name)}", "use 1 or more")

    def _check_heads(self) -> None:
        d_head, rest = divmod(self.d_model, self.n_heads)
        if rest:
            problem = f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}"
            raise _invalid(problem, f"use d_model={self.n_heads * max(1, d_head)}")
        if self.positions == "rotary" and d_head % 2:
            problem = f"a head has {d_head} features and rotary positions turn pairs of them"
            raise _invalid(problem, "use an even d_model / n_heads")

    def _check_encoder_decoder(self) -> None:
        """An encoder reads the whole input at once: no rotation of it, no loss on it."""
        for name, bad, good in (("loss", "sequence", "output"), ("positions", "rotary", "learned")):
            if getattr(self, name) == bad:
                raise _invalid(f"an encoder-decoder has no {name} {bad!r}", f"use {name}={good!r}")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, then a cosine decay to zero.

        Args:
            step: Index of the step, counted from 0.
        """
        warmup = min(self.warmup, self.steps // 2)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * (1 + cos(pi * (step - warmup) / (self.steps - warmup))) / 2

    def to_json(self) -> dict[str, object]:
        """Plain values, without the functions, which the checkpoint's domain describes."""
        functions = ("exclude", "sampler")
        left_out = (*functions, "save_seconds")  # which changes nothing about the model
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in left_out}
        # The first checkpoints do not record these; they are written where not the default.
        added_later = ("min_length", "positions", "attn_only", "norm", "loss")
        defaults = {f.name: f.default for f in fields(self) if f.name in added_later}
        return {k: v for k, v in values.items() if k not in defaults or v != defaults[k]}


def _invalid(problem: str, hint: str) -> ModelError:
    return ModelError("make a TrainConfig", problem, hint)
