"""Which heads carry the recursion: attention *and* causal effect, each beside its controls.

A recursion head passes three tests, whose thresholds are in `HeadConfig`:

    the gate        transplanting all heads at the prediction position changes the token
    the effect      the head has a share of that change of the logits
    the attention   its peak follows a landmark of the datatype

The heads of an encoder have run before the first output token, so none of them is a reader: their
attention is measured at each input position, and their effect is what their ablation changes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from recinterp.errors import IncompatibleModelError
from recinterp.models import Adapter
from recinterp.perturb.controls import random_heads, untrained_twin
from recinterp.perturb.liveness import is_live
from recinterp.perturb.lowering.sources import source_cache
from recinterp.perturb.plan import head
from recinterp.probe.attention import Followed, HeadIndex, is_in_encoder, measure_attention
from recinterp.probe.config import DEFAULTS, HeadConfig
from recinterp.probe.landmarks import Step
from recinterp.probe.results import Head, HeadReport, HeadRole, LayerFinding
from recinterp.probe.transplants import (
    HeadSet,
    TransplantTrial,
    draw_step_pairs,
    measure_ablations,
)
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.tasks import Task

WrittenStep: TypeAlias = tuple[Step, tuple[str, ...]]  # a step, and the whole output


def head_scores(
    adapter: Adapter,
    task: Task,
    inputs: Sequence[Sequence[str]],
    seed: int = 0,
    *,
    config: HeadConfig = DEFAULTS,
) -> tuple[Head, ...]:
    """Score every head by its attention and its causal effect.

    Args:
        adapter: The model.
        task: Its task.
        inputs: Token lists; the model is measured on its own runs over them.
        seed: Draws the steps, the step pairs and the controls.
        config: The thresholds.

    Returns:
        All heads, layer by layer.
    """
    return probe_heads(adapter, task, inputs, seed, config=config).heads


def probe_heads(
    adapter: Adapter,
    task: Task,
    inputs: Sequence[Sequence[str]],
    seed: int = 0,
    *,
    config: HeadConfig = DEFAULTS,
) -> HeadReport:
    """Score every head and every layer by attention and causal effect, beside their controls.

    Args:
        adapter: The model.
        task: Its task.
        inputs: Token lists; the model is measured on its own runs over them.
        seed: Draws the steps, the step pairs and the controls.
        config: The thresholds.

    Returns:
        Heads with their roles, layers, and the share of step pairs that pass the model's gate;
        none where the attention patterns are out of reach.
    """
    if not adapter.has_patterns:
        return HeadReport(heads=(), layers=(), gate=Rate(0, 0))
    with source_cache():
        measured = _measure(adapter, task, inputs, seed, config)
    twin = _measure_twin(adapter, task, inputs, seed, config)
    ablated = measure_ablations(adapter, task, measured.steps[: config.max_pairs], measured.live)
    heads = tuple(
        _assess_head(
            adapter, (layer, h), measured, twin, ablated.get((layer, h), (0.0, 0.0)), seed, config
        )
        for layer in range(adapter.n_layers)
        for h in range(adapter.n_heads)
    )
    layers = tuple(
        _assess_layer(layer, name, heads, measured, config)
        for layer, name in enumerate(adapter.block_names)
    )
    return HeadReport(heads=heads, layers=layers, gate=measured.gate)


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Raw measurements: attention per head, transplant effects per set of heads.

    Attributes:
        steps: The steps measured, in random order.
        live: Heads whose hooks are live; those of an encoder have no transplant.
        follows: The landmark that each head follows.
        gate: Moved tokens under the transplant of all heads.
        moved, share, noise: By set of heads: moved tokens, share of the logits' change, and that
            share for random directions.
    """

    steps: list[WrittenStep]
    follows: Followed
    live: HeadSet = ()
    gate: Rate = field(default_factory=lambda: Rate(0, 0))
    moved: Mapping[HeadSet, Rate] = field(default_factory=dict)
    share: Mapping[HeadSet, float] = field(default_factory=dict)
    noise: Mapping[HeadSet, float] = field(default_factory=dict)


def _measure_twin(
    adapter: Adapter, task: Task, inputs: Sequence[Sequence[str]], seed: int, config: HeadConfig
) -> _Measured | None:
    """The measurements of an untrained twin; None where none can be built."""
    try:
        twin = Adapter(untrained_twin(adapter.model, seed), task)
    except IncompatibleModelError:
        return None
    with source_cache():
        return _measure(twin, task, inputs, seed, config, only_single_heads=True)


def _measure(
    adapter: Adapter,
    task: Task,
    inputs: Sequence[Sequence[str]],
    seed: int,
    config: HeadConfig,
    *,
    only_single_heads: bool = False,
) -> _Measured:
    """Attention, then transplants. only_single_heads: no layers and no random directions."""
    steps = _written_steps(adapter, task, inputs, config)
    if not steps:  # it writes nothing, or nothing that the task knows
        every = [(i, h) for i in range(adapter.n_layers) for h in range(adapter.n_heads)]
        return _Measured(steps=[], follows=dict.fromkeys(every))
    random.Random(seed).shuffle(steps)
    follows = measure_attention(adapter, task, steps[: config.max_steps])
    live_layers = [i for i in range(adapter.n_layers) if is_live(adapter, task, head(i).hook)]
    live = tuple((layer, h) for layer in live_layers for h in range(adapter.n_heads))
    pairs = draw_step_pairs(steps, seed, config.max_pairs)
    if not pairs or not live:
        return _Measured(steps=steps, follows=follows, live=live)
    trial = TransplantTrial(adapter, task, pairs)
    movable = tuple(which for which in live if not is_in_encoder(adapter, which[0]))
    singles = [(one,) for one in movable]
    sets = singles if only_single_heads else [movable, *_by_layer(movable), *singles]
    share = {heads: trial.share(heads) for heads in dict.fromkeys(sets)}
    moved = {heads: trial.moved(heads) for heads in share}
    noise = {}
    if not only_single_heads:
        noise = {heads: trial.share(heads, control_seed=seed + 1) for heads in share}
    return _Measured(
        steps=steps,
        follows=follows,
        live=live,
        gate=moved.get(movable, Rate(0, 0)),
        moved=moved,
        share=share,
        noise=noise,
    )


def _written_steps(
    adapter: Adapter, task: Task, inputs: Sequence[Sequence[str]], config: HeadConfig
) -> list[WrittenStep]:
    """Every step of the model's own outputs, as far as they are tokens of the task."""
    usable = [tuple(x) for x in inputs if len(x) >= config.min_input_length]
    usable = usable or [tuple(x) for x in inputs]
    outputs = [
        [y for y in out if y in task.ids] for out in adapter.generate([list(x) for x in usable])
    ]
    pairs = zip(usable, outputs, strict=True)
    return [((x, t), tuple(y)) for x, y in pairs for t in range(len(y))]


def _by_layer(heads: HeadSet) -> list[HeadSet]:
    layers = sorted({layer for layer, _ in heads})
    return [tuple(which for which in heads if which[0] == layer) for layer in layers]


def _passes_gate(measured: _Measured, config: HeadConfig) -> bool:
    return bool(measured.gate.total) and measured.gate.value >= config.min_gate


def _assess_head(
    adapter: Adapter,
    which: HeadIndex,
    measured: _Measured,
    twin: _Measured | None,
    ablated: tuple[float, float],
    seed: int,
    config: HeadConfig,
) -> Head:
    """A head's measurements beside their controls, and the role that follows from them."""
    key: HeadSet = (which,)
    followed = measured.follows[which]
    score = followed[1].value if followed else 0.0
    effect = measured.share.get(key, 0.0)
    controls = {
        "random direction": measured.noise.get(key, 0.0),
        "random head": measured.share.get(random_heads(adapter, key, seed), 0.0),
        **_untrained(twin, which),
        "moved": measured.moved[key].value if key in measured.moved else 0.0,
        "gate": measured.gate.value if measured.gate.total else 0.0,
        "ablated": ablated[0],
        "ablated, later patterns frozen": ablated[1],
    }
    passes_gate = _passes_gate(measured, config)
    carries = (
        passes_gate
        and effect >= max(config.min_effect, controls["random direction"])
        and score >= max(config.min_followed, controls.get("untrained attention", 0.0))
    )
    place = str(followed[0]) if followed else ""
    return Head(
        layer=which[0],
        head=which[1],
        role=_decide_role(carries, effect, ablated, config),
        score=score,
        effect=effect,
        controls=controls,
        recursion=carries,
        follows=score >= config.min_followed,
        passes_gate=passes_gate,
        landmark=place.replace("t", "p") if is_in_encoder(adapter, which[0]) else place,
        block=adapter.block_names[which[0]],
    )


def _untrained(twin: _Measured | None, which: HeadIndex) -> dict[str, float]:
    if twin is None:
        return {}
    followed = twin.follows[which]
    return {
        "untrained attention": followed[1].value if followed else 0.0,
        "untrained effect": twin.share.get((which,), 0.0),
    }


def _decide_role(
    carries: bool, effect: float, ablated: tuple[float, float], config: HeadConfig
) -> HeadRole:
    changed, frozen = ablated
    if carries:
        return HeadRole.READER
    routed = changed - frozen
    if changed >= config.min_ablation_change and routed >= config.min_routed_share * changed:
        return HeadRole.ATTENTION_ROUTING
    if effect >= config.min_effect:
        return HeadRole.DISTRIBUTED
    if changed < config.max_inactive_change:
        return HeadRole.INACTIVE
    return HeadRole.CONTRIBUTING


def _assess_layer(
    layer: int, block: str, heads: Sequence[Head], measured: _Measured, config: HeadConfig
) -> LayerFinding:
    own = [h for h in heads if h.layer == layer]
    key: HeadSet = tuple((h.layer, h.head) for h in own)
    moved = measured.moved.get(key, Rate(0, 0))
    share, noise = measured.share.get(key, 0.0), measured.noise.get(key, 0.0)
    carries = (
        _passes_gate(measured, config)
        and moved.value >= config.min_layer_moved
        and share >= max(config.min_effect, noise)
    )
    return LayerFinding(
        layer=layer,
        moved=moved,
        effect=share,
        control=noise,
        carries=carries,
        recursion_heads=tuple(h.name for h in own if h.recursion),
        block=block,
    )
