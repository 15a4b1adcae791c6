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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from recinterp.causal.agreement import pairs_where_model_agrees
from recinterp.causal.pairs import Pair, PairSampler
from recinterp.causal.patches import described, words
from recinterp.causal.sites import FEWEST, Site, find_sites
from recinterp.causal.traces import Trace
from recinterp.causal.variables import find_read_position, resume_from
from recinterp.perturb import build_batch, next_tokens
from recinterp.stats import Rate
from recinterp.tokens import TokenTuple

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

Name = Literal["carried", "computed-from-input", "redundant", "neither"]
MOVES = 0.5  # from here on a test counts as moving the model
TELLS = 0.1  # and from here on it is worth a clause
WANTED = 120


@dataclass(frozen=True)
class Mechanism:
    """Which of the two tests moves the model, the layer at which interchange works, in a sentence.

    forced_prefix: share that follows the state of a forced prefix; source_swap: share that follows
    a swapped input with the prefix held; layer: whose attention or output first holds the state
    (-1: the embeddings; None: no accepted site).
    """

    name: Name
    forced_prefix: Rate
    source_swap: Rate
    layer: int | None
    sentence: str


def decide_mechanism(
    adapter: Adapter,
    finder: PairSampler,
    *,
    found: Sequence[Site] | None = None,
) -> Mechanism:
    """Decide how a model comes by its machine's state. found: its sites, if they are known."""
    prefix_pairs, swap_pairs = state_pairs(finder)
    forced = _forced_prefix(adapter, finder.task, prefix_pairs)
    swapped = _source_swap(adapter, finder.task, swap_pairs)
    if found is None:
        found = find_sites(adapter, finder)
    site = _state_site(found)
    layer = site.patch[-1].layer if site and site.patch else None
    if forced.total or swapped.total:
        name = _name(forced, swapped)
        sentence = _sentence(name, forced, swapped, site, found)
    else:
        name, sentence = _untested(finder, site, found)
    return Mechanism(name, forced, swapped, layer, sentence)


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


def _name(forced: Rate, swapped: Rate) -> Name:
    by_prefix = bool(forced.total) and forced.value >= MOVES
    by_input = bool(swapped.total) and swapped.value >= MOVES
    if by_prefix:
        return "redundant" if by_input else "carried"
    return "computed-from-input" if by_input else "neither"


def _untested(finder: PairSampler, site: Site | None, found: Sequence[Site]) -> tuple[Name, str]:
    """Where no two runs tell: an answer of one token has no output before it to read off."""
    of_state = _of_state(found)
    what = _state_name(of_state)
    claims = [said for x in finder.inputs if (said := finder.machine.run(x)) is not None]
    if claims and all(len(said) == 1 for said in claims):
        held = _held(site, found) if site else _unheld(of_state)
        why = "no output stands before the answer"
        return "computed-from-input", f"{what} is computed from the input {held}; {why}."
    return "neither", f"How {what} comes about is not known: too few runs tell its values apart."


def _state_site(found: Sequence[Site]) -> Site | None:
    """The first accepted site of what makes the machine's state: its mode, else its frame, …"""
    of_state = _of_state(found)
    return next((site for site in of_state if site.accepted), None)


def _of_state(found: Sequence[Site]) -> list[Site]:
    """The sites of the state; of a machine that has none, those of what could be placed."""
    by_kind = {
        kind: [site for site in found if site.kind == kind]
        for kind in ("mode", "frame", "lookahead", "pointer", "content")
    }
    state = [by_kind[kind] for kind in ("mode", "frame", "lookahead") if by_kind[kind]]
    if state:
        return state[0]
    reading = [by_kind["pointer"], by_kind["content"]]
    placed = [of_kind for of_kind in reading if any(site.accepted for site in of_kind)]
    return next((of_kind for of_kind in (*placed, *reading) if of_kind), [])


def _sentence(
    name: Name, forced: Rate, swapped: Rate, site: Site | None, found: Sequence[Site]
) -> str:
    """The mechanism as a person would put it, with the two tests' counts."""
    of_state = _of_state(found)
    what = _state_name(of_state)
    tests = f"a forced output prefix moves {forced}, a swapped input with the prefix held {swapped}"
    if name == "carried":
        return f"{what} is carried in the output written so far ({tests})."
    held = _held(site, found) if site else _unheld(of_state)
    if name == "computed-from-input":
        also = ", though that moves it too" if bool(forced.total) and forced.value >= TELLS else ""
        text = f"{what} is computed from the input {held}; the output does not carry it{also}"
    elif name == "redundant":
        text = f"{what} is kept twice: computed from the input {held}, and read off the output"
    else:
        text = f"{what} follows neither the input alone nor the output alone {held}"
    return f"{text} ({tests})."


def _state_name(of_state: Sequence[Site]) -> str:
    if not of_state:
        return "the state"
    name = of_state[0].variable
    names = {
        "mode": "the mode",
        "frame": "the frame on top of the stack",
        "lookahead": f"the lookahead {name}",
        "pointer": f"the pointer {name}",
    }
    return names.get(of_state[0].kind, f"the token read, {name},")


def _unheld(of_state: Sequence[Site]) -> str:
    known = [site for site in of_state if site.patch]
    if not known:
        return "(too few runs tell its values apart to say where)"
    best = max(known, key=lambda site: site.accuracy)
    return f"(no place that was tried holds it; best {best.accuracy:.0%}, {described(best.patch)})"


def _held(site: Site, found: Sequence[Site]) -> str:
    """While reading, if it is found at input positions before the last layer; else at each step."""
    when = "while reading" if any(part.while_reading for part in site.patch) else "at each step"
    text = f"{when}, and held {described(site.patch)}"
    beside = [s for s in found if s.variable == site.variable and s.single and s is not site]
    if not site.single and beside and beside[0].patch[0].stage == site.patch[0].stage:
        alone = beside[0]
        text += f" ({words(alone.patch[0].position)} alone: {alone.accuracy:.0%})"
    return text
