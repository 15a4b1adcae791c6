"""Which heads carry the recursion: attention *and* causal effect, each beside its controls.

Content has moved by the time it is read, so a head is not redirected by pointing it at a token. It
is given its own z from another step of the same input (row transplant). Three thresholds, measured
on trained and untrained models:

    the model passes the gate: all heads' z at the query, transplanted, move the token  >= GATE
    the head's share of that movement of the logits                                     >= SHARE
    its attention's peak follows a landmark of the datatype                             >= FOLLOW

Of 204 heads of untrained models, 17 of 18 models pass on share alone and none passes both.

An encoder's heads have written before the first query, so none of them is a reader: their attention
is looked at from each input position, and their effect is what their ablation changes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recinterp.errors import IncompatibleModelError
from recinterp.models import Adapter
from recinterp.perturb.controls import random_heads, untrained_twin
from recinterp.perturb.liveness import is_live
from recinterp.perturb.lowering.sources import source_cache
from recinterp.perturb.plan import Ablate, FreezePatterns, Transplant, head
from recinterp.perturb.positions import (
    ALL,
    INPUTS,
    OUTPUTS,
    PREDICTION,
    SEP,
    PromptBatch,
    build_batch,
)
from recinterp.perturb.runner import next_logits
from recinterp.probe.encoder_heads import attention_while_reading, is_encoders, told_of_encoders
from recinterp.probe.landmarks import Landmark, Step, best, landmarks
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.tasks import Task

GATE, SHARE, FOLLOW = 0.8, 0.15, 0.3
PAIRS, STEPS, SHORTEST = 120, 360, 4
WRITTEN = (SEP, OUTPUTS, PREDICTION)  # a decoder's positions, where it has an encoder beside it
Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Head:
    """A head and what was measured of it.

    score: share of steps at which its attention's peak follows `landmark`; effect: its share of
    the logits' movement under row transplant; controls: what these have to beat, and ablations.
    """

    layer: int
    head: int
    role: str
    score: float
    effect: float
    controls: Mapping[str, float] = field(default_factory=dict, hash=False)
    recursion: bool = False
    note: str = ""
    landmark: str = ""
    block: str = ""

    @property
    def name(self) -> str:
        """The field's name for it: L1H0; E1H0, D1H0 (self) and X1H0 (cross) of encoder-decoders."""
        return f"{self.block or f'L{self.layer}'}H{self.head}"


@dataclass(frozen=True)
class LayerFinding:
    """All heads of a layer together, under row transplant at the query."""

    layer: int
    moved: Rate
    effect: float
    control: float
    carries: bool
    text: str
    block: str = ""


@dataclass(frozen=True)
class HeadReport:
    """Every head, every layer, and the model gate: all heads' z at the query moves the token."""

    heads: tuple[Head, ...]
    layers: tuple[LayerFinding, ...]
    gate: Rate

    @property
    def recursion(self) -> tuple[Head, ...]:
        """The heads that pass by attention and by causal effect."""
        return tuple(h for h in self.heads if h.recursion)


def head_scores(
    adapter: Adapter, task: Task, inputs: Sequence[Sequence[str]], seed: int = 0
) -> tuple[Head, ...]:
    """Every head, scored by attention and by causal effect on these inputs (see `probe_heads`)."""
    return probe_heads(adapter, task, inputs, seed).heads


def probe_heads(
    adapter: Adapter, task: Task, inputs: Sequence[Sequence[str]], seed: int = 0
) -> HeadReport:
    """Every head and layer, scored on the model's own runs over these inputs."""
    with source_cache():
        measured = _measure(adapter, task, inputs, seed)
    twin = _twin(adapter, task, inputs, seed)
    ablated = _ablations(adapter, task, measured)
    heads = tuple(
        _judge(adapter, (layer, h), measured, twin, ablated.get((layer, h), (0.0, 0.0)), seed)
        for layer in range(adapter.n_layers)
        for h in range(adapter.n_heads)
    )
    layers = tuple(
        _layer(layer, name, heads, measured) for layer, name in enumerate(adapter.block_names)
    )
    return HeadReport(heads, layers, measured.gate)


def _twin(
    adapter: Adapter, task: Task, inputs: Sequence[Sequence[str]], seed: int
) -> _Measured | None:
    """The same measurements of an untrained twin; None where none can be built."""
    try:
        fresh = Adapter(untrained_twin(adapter.model, seed), task)
    except IncompatibleModelError:
        return None
    with source_cache():
        return _measure(fresh, task, inputs, seed, control=True)


@dataclass(frozen=True)
class _Measured:
    """Raw measurements: attention per head, transplant effects per set of (live) heads."""

    steps: list[tuple[Step, tuple[str, ...]]]
    live: Pairs  # encoders' heads too, which have no share
    follows: dict[tuple[int, int], tuple[Landmark, Rate] | None]
    gate: Rate
    moved: dict[Pairs, Rate]
    share: dict[Pairs, float]
    noise: dict[Pairs, float]


def _measure(
    adapter: Adapter,
    task: Task,
    inputs: Sequence[Sequence[str]],
    seed: int,
    *,
    control: bool = False,
) -> _Measured:
    """control: of single heads the share alone, which is all that a twin is asked for."""
    usable = [tuple(x) for x in inputs if len(x) >= SHORTEST] or [tuple(x) for x in inputs]
    outputs = [
        [y for y in out if y in task.ids] for out in adapter.generate([list(x) for x in usable])
    ]
    steps = [
        ((x, t), tuple(y)) for x, y in zip(usable, outputs, strict=True) for t in range(len(y))
    ]
    if not steps:  # it writes nothing, or nothing that the task knows
        heads = [(i, h) for i in range(adapter.n_layers) for h in range(adapter.n_heads)]
        return _Measured([], (), dict.fromkeys(heads), Rate(0, 0), {}, {}, {})
    random.Random(seed).shuffle(steps)
    follows = _attention(adapter, task, steps[:STEPS])
    layers = [i for i in range(adapter.n_layers) if is_live(adapter, task, head(i).hook)]
    every = tuple((layer, h) for layer in layers for h in range(adapter.n_heads))
    write = tuple(pair for pair in every if not is_encoders(adapter, pair[0]))
    pairs = _pairs(steps, seed)
    if not pairs or not every:
        return _Measured(steps, every, follows, Rate(0, 0), {}, {}, {})
    trial = _Trial(adapter, task, pairs)
    sets = list(dict.fromkeys([write, *_by_layer(write), *((one,) for one in write)]))
    share = {heads: trial.share(heads) for heads in sets if not control or len(heads) == 1}
    moved = {heads: trial.moved(heads) for heads in share}
    noise = {heads: trial.share(heads, control_seed=seed + 1) for heads in share if not control}
    return _Measured(steps, every, follows, moved.get(write, Rate(0, 0)), moved, share, noise)


def _by_layer(every: Pairs) -> list[Pairs]:
    layers = sorted({layer for layer, _ in every})
    return [tuple(pair for pair in every if pair[0] == layer) for layer in layers]


def _attention(
    adapter: Adapter, task: Task, steps: Sequence[tuple[Step, tuple[str, ...]]]
) -> dict[tuple[int, int], tuple[Landmark, Rate] | None]:
    """For each head: the landmark that its attention's peak follows best."""
    rows = build_batch(task, [x for (x, _), _ in steps], [y[:t] for (_, t), y in steps])
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(adapter.n_layers)]
    cache = adapter.cache(rows.ids, names)
    found: dict[tuple[int, int], tuple[Landmark, Rate] | None] = {}
    places = landmarks(task)
    asked = [step for step, _ in steps]
    for layer, name in enumerate(names):
        if is_encoders(adapter, layer):
            found |= attention_while_reading(layer, cache[name], rows, places)
            continue
        peak = cache[name][torch.arange(len(rows)), :, rows.prediction].argmax(-1).cpu()
        for h in range(adapter.n_heads):
            at = (peak[:, h] - rows.start).tolist()
            found[layer, h] = best(places, asked, at)
    return found


def _pairs(
    steps: Sequence[tuple[Step, tuple[str, ...]]], seed: int
) -> list[tuple[tuple[str, ...], tuple[str, ...], int, int]]:
    """(input, output, step, other step) where the two steps write different tokens."""
    rng, found = random.Random(seed), []
    for (x, t), y in steps:
        others = [u for u in range(len(y)) if y[u] != y[t]]
        if others:
            found.append((x, y, t, rng.choice(others)))
        if len(found) == PAIRS:
            break
    return found


class _Trial:
    """Row transplants over fixed pairs of steps: what moves when heads act as at the other."""

    def __init__(
        self,
        adapter: Adapter,
        task: Task,
        pairs: Sequence[tuple[tuple[str, ...], tuple[str, ...], int, int]],
    ) -> None:
        self.adapter, self.task = adapter, task
        self.inputs = tuple(x for x, _, _, _ in pairs)
        self.rows = build_batch(task, self.inputs, [y[:t] for _, y, t, _ in pairs])
        self.sources = tuple(y[:u] for _, y, _, u in pairs)
        self.old = torch.tensor([task.ids[y[t]] for _, y, t, _ in pairs])
        self.new = torch.tensor([task.ids[y[u]] for _, y, _, u in pairs])
        self.clean = next_logits(adapter, task, self.rows)
        self.goal = next_logits(adapter, task, build_batch(task, self.inputs, self.sources))
        self._seen: dict[tuple[Pairs, int | None], Tensor] = {}

    def logits(self, heads: Pairs, control_seed: int | None = None) -> Tensor:
        key = (heads, control_seed)
        if key not in self._seen:
            plan = [Transplant(heads, self.inputs, self.sources, control_seed=control_seed)]
            self._seen[key] = next_logits(self.adapter, self.task, self.rows, plan)
        return self._seen[key]

    def moved(self, heads: Pairs) -> Rate:
        """How often the token becomes the other step's."""
        return Rate.of((self.logits(heads).argmax(-1) == self.new).tolist())

    def share(self, heads: Pairs, control_seed: int | None = None) -> float:
        """The part of the logit difference (new - old token) that moves, of what could."""
        before, after = self._gap(self.clean), self._gap(self.logits(heads, control_seed))
        whole = (self._gap(self.goal) - before).sum()
        return float((after - before).sum() / whole) if float(whole) else 0.0

    def _gap(self, logits: Tensor) -> Tensor:
        row = torch.arange(len(logits))
        return logits[row, self.new] - logits[row, self.old]


def _ablations(
    adapter: Adapter, task: Task, measured: _Measured
) -> dict[tuple[int, int], tuple[float, float]]:
    """Per head: tokens changed by mean ablation, and by the same with later patterns frozen."""
    steps = measured.steps[:PAIRS]
    if not steps:
        return {}
    rows = build_batch(task, [x for (x, _), _ in steps], [y[:t] for (_, t), y in steps])
    clean = next_logits(adapter, task, rows).argmax(-1)
    found, paired = {}, adapter.architecture == "encoder-decoder"
    blocks = sorted({layer for layer, _ in measured.live})
    frozen = [i for i in blocks if is_live(adapter, task, f"blocks.{i}.attn.hook_pattern")]
    for layer, h in measured.live:
        later = tuple(i for i in frozen if i > layer)
        own = INPUTS if is_encoders(adapter, layer) else WRITTEN if paired else ALL
        cut = Ablate(head(layer, h, own), "mean")
        free = _changed(adapter, task, rows, [cut], clean)
        kept = _changed(adapter, task, rows, [cut, FreezePatterns(later)], clean) if later else free
        found[layer, h] = (free, kept)
    return found


def _changed(
    adapter: Adapter,
    task: Task,
    rows: PromptBatch,
    plan: Sequence[Ablate | FreezePatterns],
    clean: Tensor,
) -> float:
    return float((next_logits(adapter, task, rows, plan).argmax(-1) != clean).float().mean())


def _judge(
    adapter: Adapter,
    which: tuple[int, int],
    measured: _Measured,
    twin: _Measured | None,
    ablated: tuple[float, float],
    seed: int,
) -> Head:
    key: Pairs = (which,)
    followed = measured.follows[which]
    score = followed[1].value if followed else 0.0
    effect = measured.share.get(key, 0.0)
    other = random_heads(adapter, key, seed)
    controls = {
        "random direction": measured.noise.get(key, 0.0),
        "random head": measured.share.get(other, 0.0),
        **_untrained(twin, which),
        "moved": measured.moved[key].value if key in measured.moved else 0.0,
        "gate": measured.gate.value if measured.gate.total else 0.0,
        "ablated": ablated[0],
        "ablated, later patterns frozen": ablated[1],
    }
    carries = (
        controls["gate"] >= GATE
        and effect >= max(SHARE, controls["random direction"])
        and score >= max(FOLLOW, controls.get("untrained attention", 0.0))
    )
    place, reads = str(followed[0]) if followed else "", is_encoders(adapter, which[0])
    place = place.replace("t", "p") if reads else place
    said = _role(carries, score, effect, controls, place)
    role, note = told_of_encoders(said, score >= FOLLOW, score, place) if reads else said
    block = adapter.block_names[which[0]]
    return Head(*which, role, score, effect, controls, carries, note, place, block)


def _untrained(twin: _Measured | None, which: tuple[int, int]) -> dict[str, float]:
    if twin is None:
        return {}
    followed = twin.follows[which]
    return {
        "untrained attention": followed[1].value if followed else 0.0,
        "untrained effect": twin.share.get((which,), 0.0),
    }


def _role(
    carries: bool, score: float, effect: float, controls: Mapping[str, float], place: str
) -> tuple[str, str]:
    """A role in two words, and the sentence behind it."""
    cut, frozen = controls["ablated"], controls["ablated, later patterns frozen"]
    through = cut - frozen
    if carries:
        text = f"reads {place}: attention {score:.0%}, {effect:.0%} of the effect"
        return "reader", f"{text}; its ablation alone changes {cut:.0%} of the tokens"
    if cut >= 0.1 and through >= 0.6 * cut:
        text = f"ablation changes {cut:.0%} of the tokens, {frozen:.0%} with later patterns frozen"
        return "address", f"{text}: it matters through where later layers look"
    if effect >= SHARE:
        why = "the model fails the gate" if controls["gate"] < GATE else f"its peak {score:.0%}"
        return "shared", f"{effect:.0%} of the effect, and no landmark that it follows ({why})"
    if cut < 0.02:
        return "idle", f"ablation changes {cut:.0%} of the tokens"
    return "support", f"ablation changes {cut:.0%} of the tokens; {effect:.0%} of the effect"


def _layer(layer: int, name: str, heads: Sequence[Head], measured: _Measured) -> LayerFinding:
    key: Pairs = tuple((h.layer, h.head) for h in heads if h.layer == layer)
    moved = measured.moved.get(key, Rate(0, 0))
    share, noise = measured.share.get(key, 0.0), measured.noise.get(key, 0.0)
    gated = bool(measured.gate.total) and measured.gate.value >= GATE
    carries = gated and moved.value >= 0.5 and share >= max(SHARE, noise)
    single = [h.name for h in heads if h.layer == layer and h.recursion]
    here = f"layer {layer}" if name == f"L{layer}" else name
    if name.startswith("E"):
        text = f"{here} reads before anything is written; what it holds is under sites"
    elif carries and not single:
        text = f"no single head carries it, {here} does: its heads together move {moved}"
    elif carries:
        text = f"{here} carries it, through {', '.join(single)}: together they move {moved}"
    else:
        text = f"{here}: its heads together move the token in {moved}"
    return LayerFinding(layer, moved, share, noise, carries, text, name)
