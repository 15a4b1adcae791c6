"""Mechanism: how a model obtains its machine's state, from its output or from its input.

Two tests. *Forced prefix*: the output so far is replaced by that of another input whose run is in
another state; a model that carries its state in the output then writes the token of that state.
*Source swap*: the input is replaced by that other one after the same output prefix; a model that
computes its state from the input writes the token of the other input's state. Both are counted only
where the two predictions differ.

A test of fewer than 30 pairs claims nothing. Where the outputs alone do not tell how the model
finds the place where it goes on, that is decided first (`causal/continuations/`).

    output follows   the forced prefix   not the prefix
    the input        redundant           computed-from-input
    not the input    carried             neither
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from recinterp.causal.agreement import pairs_where_model_agrees
from recinterp.causal.config import DEFAULTS, CausalConfig, MechanismConfig
from recinterp.causal.pairs import Pair, PairSampler
from recinterp.causal.results import ContinuationFinding, Mechanism, MechanismKind, Site
from recinterp.causal.sites import find_sites
from recinterp.causal.traces import Trace
from recinterp.causal.variables import VariableKind, find_read_position, resume_from
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_tokens
from recinterp.stats import Rate
from recinterp.tokens import TokenTuple

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task


class StateTests(NamedTuple):
    """The pairs of both tests; the counterfactual token is what the state's model would write."""

    forced_prefix: list[Pair]
    source_swap: list[Pair]


def decide_mechanism(
    adapter: Adapter,
    sampler: PairSampler,
    *,
    sites: Sequence[Site] | None = None,
    config: CausalConfig = DEFAULTS,
) -> Mechanism:
    """Decide how a model obtains its machine's state: the two tests, and the state's site.

    Args:
        adapter: the model.
        sampler: draws the inputs of both tests.
        sites: the sites of the machine's variables, if they are known; else they are searched for.
        config: the thresholds.
    """
    tests = draw_state_tests(sampler, config)
    forced_prefix = _count_forced_prefix(adapter, sampler.task, tests.forced_prefix)
    source_swap = _count_source_swap(adapter, sampler.task, tests.source_swap)
    if sites is None:
        sites = find_sites(adapter, sampler, config.sites)
    candidates = _sites_of_state(sites)
    site = _best_site(candidates)
    decided = _decide_kind(forced_prefix, source_swap, config.mechanism)
    return Mechanism(
        kind=_untested_kind(sampler) if decided is None else decided,
        forced_prefix=forced_prefix,
        source_swap=source_swap,
        variable=candidates[0].variable if candidates else "",
        variable_kind=candidates[0].kind if candidates else None,
        site=site,
        partial_site=_partial_site(site, sites),
    )


def draw_state_tests(sampler: PairSampler, config: CausalConfig = DEFAULTS) -> StateTests:
    """Draw pairs for the two tests: inputs of one length whose runs differ at step t.

    The counterfactual of a forced prefix is the token that the source's state writes on the base's
    input; that of a source swap is the source's token. Swaps whose two runs read the same token at
    the same position come first, as only the state distinguishes them; others are used only where
    those are too few.
    """
    limit = config.mechanism.max_trials
    prefixes: list[Pair] = []
    swaps: list[Pair] = []
    other_swaps: list[Pair] = []
    rng = random.Random(f"{sampler.seed} mechanism")
    for base, source, t in _draw_candidates(sampler, rng, config.mechanism):
        run, other = sampler.trace(base), sampler.trace(source)
        pair = Pair(
            base=sampler.build_step(base, t),
            source=sampler.build_step(source, t),
            counterfactual=other.outputs[t],
            others_match=False,
        )
        state = other.emitting_states[t]
        carried = resume_from(state, base, t, state.out)
        if carried not in (None, run.outputs[t]) and len(prefixes) < limit:
            prefixes.append(replace(pair, counterfactual=str(carried)))
        if other.outputs[t] != run.outputs[t]:
            (swaps if _read_the_same(run, other, t) else other_swaps).append(pair)
    enough = swaps if len(swaps) >= config.sites.min_pairs else swaps + other_swaps
    return StateTests(prefixes, enough[:limit])


def _draw_candidates(
    sampler: PairSampler, rng: random.Random, config: MechanismConfig
) -> list[tuple[TokenTuple, TokenTuple, int]]:
    """(input, other input of its length, step), with one-token variants where the task has any."""
    found = []
    by_length: dict[int, list[TokenTuple]] = {}
    for x in sampler.inputs:
        by_length.setdefault(len(x), []).append(x)
    for x in sampler.inputs:
        pool = by_length[len(x)]
        drawn = rng.sample(pool, min(config.same_length_sources, len(pool)))
        for other in (*sampler.one_token_variants(x), *drawn):
            lengths = [len(sampler.trace(y).emitting_states) for y in (x, other)]
            steps = range(1, min(lengths))
            if other != x and len(steps):
                some = rng.sample(steps, min(config.steps_per_source, len(steps)))
                found += [(x, other, t) for t in some]
    rng.shuffle(found)
    return found[: config.candidates_per_trial * config.max_trials]


def _read_the_same(run: Trace, other: Trace, t: int) -> bool:
    """Whether both read the same token at the same position: only the state distinguishes them."""
    here, there = (find_read_position(r.emitting_states[t]) for r in (run, other))
    return here is not None and here == there and run.tokens[here] == other.tokens[here]


def _count_forced_prefix(adapter: Adapter, task: Task, pairs: Sequence[Pair]) -> Rate:
    """How often the model, after the source's output, writes what the carried state would write."""
    pairs = pairs_where_model_agrees(adapter, task, pairs)
    if not pairs:
        return Rate(0, 0)
    rows = build_batch(task, [p.base.tokens for p in pairs], [p.source.prefix for p in pairs])
    predicted = next_tokens(adapter, task, rows)
    return Rate.of(
        token == p.counterfactual
        for token, p in zip(predicted, pairs, strict=True)
        if p.base.prefix != p.source.prefix
    )


def _count_source_swap(adapter: Adapter, task: Task, pairs: Sequence[Pair]) -> Rate:
    """How often the model, on the source's input after the base's output, writes the source's."""
    pairs = pairs_where_model_agrees(adapter, task, pairs)
    if not pairs:
        return Rate(0, 0)
    rows = build_batch(task, [p.source.tokens for p in pairs], [p.base.prefix for p in pairs])
    predicted = next_tokens(adapter, task, rows)
    return Rate.of(token == p.counterfactual for token, p in zip(predicted, pairs, strict=True))


def _decide_kind(
    forced_prefix: Rate, source_swap: Rate, config: MechanismConfig
) -> MechanismKind | None:
    """The kind by the tests that had enough trials; None where they support no claim."""
    by_prefix, by_input = (
        rate.value >= config.min_effect if rate.total >= config.min_trials else None
        for rate in (forced_prefix, source_swap)
    )
    match by_prefix, by_input:
        case True, True:
            return MechanismKind.REDUNDANT
        case True, _:
            return MechanismKind.CARRIED
        case _, True:
            return MechanismKind.COMPUTED_FROM_INPUT
        case False, False:
            return MechanismKind.NEITHER
    return None


def settle_mechanism(mechanism: Mechanism, found: ContinuationFinding) -> Mechanism:
    """The mechanism, where forced outputs decide how the model finds the place where it goes on.

    A place that is looked up in the output is read off the output; one that only depends on how
    many tokens are written is not.
    """
    if not found.decided:
        return mechanism
    carried = MechanismKind.CARRIED if found.chosen else MechanismKind.COMPUTED_FROM_INPUT
    by_output = Rate(
        max((s.followed.hits for s in found.scores if s.continuation), default=0),
        found.telling_trials,
    )
    return replace(mechanism, kind=carried, forced_prefix=by_output)


def _untested_kind(sampler: PairSampler) -> MechanismKind:
    """Without a trial: an answer of one token has no output before it that could carry a state."""
    outputs = [y for x in sampler.inputs if (y := sampler.machine.run(x)) is not None]
    if outputs and all(len(y) == 1 for y in outputs):
        return MechanismKind.COMPUTED_FROM_INPUT
    return MechanismKind.NO_TRIALS


def _sites_of_state(sites: Sequence[Site]) -> list[Site]:
    """The sites of the machine's state: of its mode, else its top frame, else its lookaheads.

    For a machine without a state, those of its pointers or of the tokens read, whichever has an
    accepted site.
    """
    by_kind = {kind: [site for site in sites if site.kind is kind] for kind in VariableKind}
    state = [VariableKind.MODE, VariableKind.FRAME, VariableKind.LOOKAHEAD]
    for kind in state:
        if by_kind[kind]:
            return by_kind[kind]
    reading = [by_kind[VariableKind.POINTER], by_kind[VariableKind.CONTENT]]
    placed = [some for some in reading if any(site.accepted for site in some)]
    return next((some for some in (*placed, *reading) if some), [])


def _best_site(candidates: Sequence[Site]) -> Site | None:
    accepted = next((site for site in candidates if site.accepted), None)
    placed = [site for site in candidates if site.patch]
    return accepted or max(placed, key=lambda site: site.accuracy, default=None)


def _partial_site(site: Site | None, sites: Sequence[Site]) -> Site | None:
    """A single place beside a joint site, if it is of the same stage of the computation."""
    if site is None or site.single:
        return None
    others = (s for s in sites if s.variable == site.variable and s.single)
    first = next(others, None)
    same_stage = first is not None and first.patch[0].stage == site.patch[0].stage
    return first if same_stage else None
