"""Landmarks of attention under forced outputs: on the model's own outputs many of them coincide.

On the outputs that a model writes itself, the position, the place after the last output token and
the first token not yet written are the same place. A head is said to read one of them only if its
attention follows it where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from recinterp.causal.continuations.candidates import AFTER_LAST, CARRIED, UNWRITTEN
from recinterp.causal.variables import find_read_position
from recinterp.machine.continuation import Continuation, next_step
from recinterp.perturb.positions import build_batch
from recinterp.probe.attention import is_in_encoder
from recinterp.probe.results import Head, HeadRole
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.causal.config import ContinuationConfig
    from recinterp.causal.continuations.trials import ForcedTrial
    from recinterp.causal.pairs import PairSampler
    from recinterp.models import Adapter

# The places that a head may read, by the continuation that names a step and how many steps before.
PLACES: dict[str, tuple[Continuation, int]] = {
    "the place at the position": (CARRIED, 0),
    "the place one step back": (CARRIED, 1),
    "the place after the last output token": (AFTER_LAST, 0),
    "the place of the last output token": (AFTER_LAST, 1),
    "the first place not yet written": (UNWRITTEN, 0),
}


def settle_landmarks(
    adapter: Adapter,
    sampler: PairSampler,
    heads: Sequence[Head],
    telling: Sequence[ForcedTrial],
    eligible: Sequence[Continuation],
    config: ContinuationConfig,
    min_followed: float,
) -> tuple[Head, ...]:
    """The heads with the landmarks that their attention follows under forced outputs.

    Args:
        adapter: the model.
        sampler: gives the machine's runs, which say where each step reads.
        heads: the heads with the landmarks that they follow on the model's own outputs.
        telling: forced outputs after which the continuations differ.
        eligible: the continuations.
        config: the thresholds.
        min_followed: share of the forced outputs from which on a place counts as followed.

    Returns:
        The heads in their order. A head that follows no place under forced outputs has no landmark.
    """
    trials = telling[: config.head_trials]
    if len(trials) < config.min_trials:
        return tuple(heads)
    peaks = _peaks(adapter, sampler, trials)
    places = {
        name: [_place(sampler, trial, continuation, back) for trial in trials]
        for name, (continuation, back) in PLACES.items()
        if continuation in eligible
    }
    return tuple(
        _settle(h, peaks[h.layer, h.head], places, min_followed)
        if h.follows and (h.layer, h.head) in peaks
        else h
        for h in heads
    )


def _settle(
    head: Head, peaks: Sequence[int], places: Mapping[str, Sequence[int | None]], least: float
) -> Head:
    scored = {
        name: Rate.of(a == b for a, b in zip(peaks, at, strict=True) if b is not None)
        for name, at in places.items()
    }
    best = max(scored, key=lambda name: scored[name].hits)
    rate = scored[best]
    if not rate.total or rate.value < least:
        role = HeadRole.DISTRIBUTED if head.recursion else head.role
        return replace(head, landmark="", follows=False, recursion=False, role=role, forced=rate)
    by_position = PLACES[best] == (CARRIED, 0)
    return replace(head, landmark=head.landmark if by_position else best, forced=rate)


def _place(
    sampler: PairSampler, trial: ForcedTrial, continuation: Continuation, back: int
) -> int | None:
    """The input position read some steps before the one at which a continuation goes on."""
    states = sampler.trace(trial.forced.tokens).emitting_states
    step = next_step(trial.forced.own, trial.forced.prefix, continuation) - back
    return find_read_position(states[step]) if 0 <= step < len(trial.forced.own) else None


def _peaks(
    adapter: Adapter, sampler: PairSampler, trials: Sequence[ForcedTrial]
) -> dict[tuple[int, int], list[int]]:
    """The input position at the peak of each decoder head's attention, trial by trial."""
    rows = build_batch(
        sampler.task, [x.forced.tokens for x in trials], [x.forced.prefix for x in trials]
    )
    if not adapter.has_patterns:
        return {}
    layers = [i for i in range(adapter.n_layers) if not is_in_encoder(adapter, i)]
    hooks = {i: f"blocks.{i}.attn.hook_pattern" for i in layers}
    cache = adapter.cache(rows.ids, list(hooks.values()))
    found = {}
    for layer, hook in hooks.items():
        peak = cache[hook][torch.arange(len(rows)), :, rows.prediction].argmax(-1).cpu()
        for h in range(adapter.n_heads):
            found[layer, h] = (peak[:, h] - rows.start).tolist()
    return found
