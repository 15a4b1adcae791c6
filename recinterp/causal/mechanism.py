"""How a model comes by its machine's state: carried in the output, or computed from the input anew.

Two tests. *Forced prefix*: the output so far is replaced by that of another input whose run is in
another state; a model that carries its state in the output then writes what that state says.
*Source swap*: the input is replaced by that other one with the prefix held; a model that computes
its state from the input writes what the other input's state says. Both are scored only where the
two predictions differ.

    moved by      the prefix   not the prefix
    the input     redundant    computed-from-input
    not the input carried      neither
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from recinterp.causal.agreement import pairs_where_model_agrees
from recinterp.causal.pairs import Pair, PairSampler
from recinterp.causal.results import Mechanism, MechanismKind, Site
from recinterp.causal.sites import FEWEST, find_sites
from recinterp.causal.traces import Trace
from recinterp.causal.variables import VariableKind, find_read_position, resume_from
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_tokens
from recinterp.stats import Rate
from recinterp.tokens import TokenTuple

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

MOVES = 0.5  # from here on a test counts as moving the model
WANTED = 120


def decide_mechanism(
    adapter: Adapter,
    finder: PairSampler,
    *,
    found: Sequence[Site] | None = None,
) -> Mechanism:
    """Decide how a model obtains its machine's state: the two tests, and the state's site.

    Args:
        adapter: the model.
        finder: draws the inputs of both tests.
        found: the sites of the machine's variables, if they are known; else they are searched for.
    """
    prefix_pairs, swap_pairs = state_pairs(finder)
    forced = _forced_prefix(adapter, finder.task, prefix_pairs)
    swapped = _source_swap(adapter, finder.task, swap_pairs)
    if found is None:
        found = find_sites(adapter, finder)
    candidates = _sites_of_state(found)
    site = _best_site(candidates)
    return Mechanism(
        kind=_kind(forced, swapped) if forced.total or swapped.total else _untested_kind(finder),
        forced_prefix=forced,
        source_swap=swapped,
        variable=candidates[0].variable if candidates else "",
        variable_kind=candidates[0].kind if candidates else None,
        site=site,
        partial_site=_partial_site(site, found),
    )


def state_pairs(finder: PairSampler) -> tuple[list[Pair], list[Pair]]:
    """Pairs for the two tests: inputs of one length whose runs part at step t.

    Forced prefix: goal is the base input's token from the source's state. Source swap: it is the
    source's token; pairs that read the same token at the same place come first, as only their
    state can tell them apart, and any others only where those are too few.
    """
    prefixes: list[Pair] = []
    swaps: list[Pair] = []
    loose: list[Pair] = []
    for base, source, t in _meetings(finder, random.Random(f"{finder.seed} mechanism")):
        one, other = finder.trace(base), finder.trace(source)
        pair = Pair(
            base=finder.build_step(base, t),
            source=finder.build_step(source, t),
            counterfactual=other.outputs[t],
            others_match=False,
        )
        state = other.emitting_states[t]
        carried = resume_from(state, base, t, state.out)
        if carried not in (None, one.outputs[t]) and len(prefixes) < WANTED:
            prefixes.append(replace(pair, counterfactual=str(carried)))
        if other.outputs[t] != one.outputs[t]:
            (swaps if _same_reading(one, other, t) else loose).append(pair)
    enough = swaps if len(swaps) >= FEWEST else swaps + loose
    return prefixes, enough[:WANTED]


def _meetings(finder: PairSampler, rng: random.Random) -> list[tuple[TokenTuple, TokenTuple, int]]:
    """(input, other input of its length, step): one token flipped where the task allows it."""
    found = []
    groups: dict[int, list[TokenTuple]] = {}
    for x in finder.inputs:
        groups.setdefault(len(x), []).append(x)
    for x in finder.inputs:
        near = [
            *finder.one_token_variants(x),
            *rng.sample(groups[len(x)], min(6, len(groups[len(x)]))),
        ]
        for other in near:
            shared = min(
                len(finder.trace(x).emitting_states), len(finder.trace(other).emitting_states)
            )
            if other != x and shared > 1:
                found += [(x, other, t) for t in rng.sample(range(1, shared), min(4, shared - 1))]
    rng.shuffle(found)
    return found[: 40 * WANTED]


def _same_reading(one: Trace, other: Trace, t: int) -> bool:
    """Whether both read the same token at the same place: only the state can tell them apart."""
    here, there = (
        find_read_position(one.emitting_states[t]),
        find_read_position(other.emitting_states[t]),
    )
    if here is None or here != there:
        return False
    return one.tokens[here] == other.tokens[here]


def _forced_prefix(adapter: Adapter, task: Task, pairs: Sequence[Pair]) -> Rate:
    """How often the base's input, after the source's output, is answered as carried state says."""
    kept = pairs_where_model_agrees(adapter, task, pairs)
    if not kept:
        return Rate(0, 0)
    rows = build_batch(task, [p.base.tokens for p in kept], [p.source.prefix for p in kept])
    said = next_tokens(adapter, task, rows)
    told = [(a, p) for a, p in zip(said, kept, strict=True) if p.base.prefix != p.source.prefix]
    return Rate.of(a == p.counterfactual for a, p in told)


def _source_swap(adapter: Adapter, task: Task, pairs: Sequence[Pair]) -> Rate:
    """How often the source's input with the base's output before it is answered as the source's."""
    kept = pairs_where_model_agrees(adapter, task, pairs)
    if not kept:
        return Rate(0, 0)
    rows = build_batch(task, [p.source.tokens for p in kept], [p.base.prefix for p in kept])
    return Rate.of(
        a == p.counterfactual for a, p in zip(next_tokens(adapter, task, rows), kept, strict=True)
    )


def _kind(forced: Rate, swapped: Rate) -> MechanismKind:
    by_prefix = bool(forced.total) and forced.value >= MOVES
    by_input = bool(swapped.total) and swapped.value >= MOVES
    if by_prefix:
        return MechanismKind.REDUNDANT if by_input else MechanismKind.CARRIED
    return MechanismKind.COMPUTED_FROM_INPUT if by_input else MechanismKind.NEITHER


def _untested_kind(finder: PairSampler) -> MechanismKind:
    """Without a trial: an answer of one token has no output before it that could carry a state."""
    outputs = [y for x in finder.inputs if (y := finder.machine.run(x)) is not None]
    if outputs and all(len(y) == 1 for y in outputs):
        return MechanismKind.COMPUTED_FROM_INPUT
    return MechanismKind.NO_TRIALS


def _sites_of_state(found: Sequence[Site]) -> list[Site]:
    """The sites of the machine's state: of its mode, else its top frame, else its lookaheads.

    For a machine without a state, those of its pointers or of the tokens read, whichever has an
    accepted site.
    """
    by_kind = {kind: [site for site in found if site.kind is kind] for kind in VariableKind}
    state = [VariableKind.MODE, VariableKind.FRAME, VariableKind.LOOKAHEAD]
    for kind in state:
        if by_kind[kind]:
            return by_kind[kind]
    reading = [by_kind[VariableKind.POINTER], by_kind[VariableKind.CONTENT]]
    placed = [sites for sites in reading if any(site.accepted for site in sites)]
    return next((sites for sites in (*placed, *reading) if sites), [])


def _best_site(candidates: Sequence[Site]) -> Site | None:
    accepted = next((site for site in candidates if site.accepted), None)
    placed = [site for site in candidates if site.patch]
    return accepted or max(placed, key=lambda site: site.accuracy, default=None)


def _partial_site(site: Site | None, found: Sequence[Site]) -> Site | None:
    """A single place beside a joint site, if it is of the same stage of the computation."""
    if site is None or site.single:
        return None
    others = (s for s in found if s.variable == site.variable and s.single)
    first = next(others, None)
    same_stage = first is not None and first.patch[0].stage == site.patch[0].stage
    return first if same_stage else None
