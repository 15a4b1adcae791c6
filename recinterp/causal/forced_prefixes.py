"""Behind an output that a model would not have written: in which state does it go on?

A machine reads its state off the input. A model often reads it off its own output as well, and as
long as it is left alone the two say the same. So outputs are forced on it. An override says what
was found: in this state, behind such an output, it goes on as in that mode, or ends.

Nothing that holds at a step of the machine's own runs, on the inputs at hand and many more, may be
a condition, so that those runs stay as they are. Overrides are learned by sequential covering from
one part of the inputs and counted on the others.
Source: Clark and Niblett, The CN2 induction algorithm (1989).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recinterp.causal.agreement import steps_where_model_agrees
from recinterp.causal.pairs import PairSampler, Step
from recinterp.causal.results import Condition, ForcedPrefixRule
from recinterp.causal.traces import trace_run
from recinterp.causal.variables import resume_from
from recinterp.machine.execution.interpreter import MachineRun
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_tokens
from recinterp.splits import in_fit_split
from recinterp.stats import Rate
from recinterp.tokens import EOS, TokenTuple

if TYPE_CHECKING:
    from recinterp.machine.machine import Machine
    from recinterp.models import Adapter

STEPS = 1_800  # at which other outputs are forced
OWN = 2_000  # inputs, beside those at hand, whose runs an override must leave as they are
MOST, LONGEST = 6, 3  # overrides, and conditions of one
GAIN, SURE, COST = 10, 0.5, 2  # inputs better told; hits per trial; inputs per condition
MODES = 12  # in a machine of more, no other mode is tried


class PrefixedState(NamedTuple):
    """A state of the machine with the output that is put before it.

    state: the one that owns output t; prefix: the t tokens put before it.
    """

    state: MachineRun
    t: int
    prefix: TokenTuple

    def predicted(self, mode: str | None = None) -> str | None:
        """Output t of the machine, in another mode if one is given."""
        state = self.state if mode is None else replace(self.state, mode=mode)
        return resume_from(state, state.tokens, self.t, self.prefix[: len(state.out)])

    def features(self) -> dict[str, str]:
        """What conditions ask of: the state, and the output as it stands.

        writes: what the machine would; instead: the last token it would have written, where
        another stands there; only: the one token that the output consists of.
        """
        rule, out = self.state.enabled_rule(), self.state.out
        other = len(out) == self.t and out[-1] != self.prefix[-1]
        return {
            "mode": self.state.mode,
            "rule": "" if rule is None else rule.name,
            "writes": self.predicted() or "",
            "last": self.prefix[-1],
            "instead": out[-1] if other else "",
            "before": self.prefix[-2] if self.t > 1 else "",
            "only": self.prefix[0] if len(set(self.prefix)) == 1 else "",
        }


def predict_token(at: PrefixedState, rules: Sequence[ForcedPrefixRule] = ()) -> str | None:
    """Output t behind an output put there; the first override that fits says in which mode."""
    seen = at.features() if rules and at.t else {}
    first = next((o for o in rules if seen and o.fits(seen)), None)
    if first is None:
        return at.predicted()
    return EOS if first.then is None else at.predicted(first.then)


def predict_next_token(
    machine: Machine,
    tokens: TokenTuple,
    prefix: TokenTuple,
    forced_prefix_rules: Sequence[ForcedPrefixRule] = (),
) -> str | None:
    """The token behind an output put there, EOS at the end of the machine's own; None: no claim."""
    run, t = trace_run(machine, tokens), len(prefix)
    if t < len(run.emitting_states):
        return predict_token(PrefixedState(run.emitting_states[t], t, prefix), forced_prefix_rules)
    ended = t == len(run.emitting_states) and machine.run(tokens) == list(run.outputs)
    return EOS if ended else None


def learn_forced_prefix_rules(
    adapter: Adapter,
    finder: PairSampler,
) -> tuple[ForcedPrefixRule, ...]:
    """What a model does behind outputs that it would not have written; the first that fits decides.

    Of most inputs of the finder it is learned, on the others counted.
    """
    trials = list(_trials(adapter, finder))
    learned = [trial for trial in trials if in_fit_split(trial.at.state.tokens)]
    rest = [trial for trial in trials if not in_fit_split(trial.at.state.tokens)]
    modes = finder.machine.modes if len(finder.machine.modes) <= MODES else ()
    found = _covered(learned, modes, _own(finder)) if learned else []
    return tuple(_counted(found, rest))


class _Trial(NamedTuple):
    at: PrefixedState
    seen: Mapping[str, str]
    said: str

    def right(self, act: str | None) -> bool:
        """Whether the model says what a mode would, or ends (None)."""
        return self.said == (EOS if act is None else self.at.predicted(act))

    @property
    def expected(self) -> bool:
        """Whether it says what the machine does."""
        return self.said == self.at.predicted()


def _trials(adapter: Adapter, finder: PairSampler) -> Iterator[_Trial]:
    """What the model says behind forced outputs: one or two tokens back, of other inputs."""
    task, rng = finder.task, random.Random(f"{finder.seed} overrides")
    steps = steps_where_model_agrees(adapter, finder, finder.seed, STEPS)
    drawn = [(step, *_drawn(finder, step, rng)) for step in steps]
    finder.traces(x for *_, others in drawn for x in others)
    forced = [at for each in drawn for at in _forced(finder, *each)]
    forced = list({(at.state.tokens, at.prefix): at for at in forced}.values())
    if not forced:  # outputs of one token leave nothing to force
        return
    rows = build_batch(task, [at.state.tokens for at in forced], [at.prefix for at in forced])
    said = next_tokens(adapter, task, rows)
    yield from (_Trial(at, at.features(), token) for at, token in zip(forced, said, strict=True))


def _drawn(
    finder: PairSampler, step: Step, rng: random.Random
) -> tuple[list[TokenTuple], tuple[TokenTuple, ...]]:
    """Outputs to be put before a step, and inputs whose outputs are to be."""
    prefixes: list[TokenTuple] = []
    for back, many in ((1, 2), (2, 1)):
        others = [x for x in finder.task.constructors if step.t >= back and x != step.prefix[-back]]
        tokens = rng.sample(others, min(many, len(others)))
        prefixes += [swapped(step.prefix, back, token) for token in tokens]
    flips = finder.one_token_variants(step.tokens)
    return prefixes, tuple(rng.sample(flips, min(3, len(flips))))


def _forced(
    finder: PairSampler, step: Step, prefixes: Sequence[TokenTuple], others: Sequence[TokenTuple]
) -> Iterator[PrefixedState]:
    state = finder.trace(step.tokens).emitting_states[step.t]
    yield from (PrefixedState(state, step.t, prefix) for prefix in prefixes)
    for run in finder.traces(others):
        if step.t < len(run.emitting_states) and run.outputs[: step.t] != step.prefix:
            yield PrefixedState(run.emitting_states[step.t], step.t, step.prefix)
            yield PrefixedState(state, step.t, run.outputs[: step.t])


def swapped(prefix: TokenTuple, back: int, token: str) -> TokenTuple:
    """An output with another token so far back."""
    at = len(prefix) - back
    return (*prefix[:at], token, *prefix[at + 1 :])


def _own(finder: PairSampler) -> set[Condition]:
    """Every condition that holds at a step of the machine's own runs, on many inputs."""
    longest = max(map(len, finder.inputs))
    more = finder.task.sample(OWN, seed=finder.seed, max_length=longest)
    seen = [
        PrefixedState(owner, t, run.outputs[:t]).features()
        for run in finder.traces({*finder.inputs, *map(tuple, more)})
        for t, owner in enumerate(run.emitting_states)
        if t
    ]
    return {c for features in map(dict, {tuple(s.items()) for s in seen}) for c in _of(features)}


def _of(seen: Mapping[str, str]) -> Iterator[Condition]:
    """All conditions of a few features. A rule belongs to one mode: both would say one thing."""
    known = [(feature, value) for feature, value in seen.items() if value]
    for many in range(1, LONGEST + 1):
        for some in combinations(known, many):
            if not {"mode", "rule"} <= {feature for feature, _ in some}:
                yield some


def _covered(
    trials: Sequence[_Trial], modes: Sequence[str], own: set[Condition]
) -> list[tuple[Condition, str | None]]:
    """Conditions with what happens there, each time the pair that explains most of the rest."""
    groups: dict[Condition, list[int]] = {}
    for i, trial in enumerate(trials):
        for condition in _of(trial.seen):
            if condition not in own:
                groups.setdefault(condition, []).append(i)
    places = {c: np.array(some) for c, some in groups.items() if len(some) >= GAIN}
    acts: list[str | None] = [None, *modes]
    hits = np.array([[trial.right(act) for trial in trials] for act in acts])
    now = np.array([trial.expected for trial in trials])
    names = {tokens: i for i, tokens in enumerate(dict.fromkeys(t.at.state.tokens for t in trials))}
    owner = np.array([names[trial.at.state.tokens] for trial in trials])
    found: list[tuple[Condition, str | None]] = []
    while places and len(found) < MOST:
        best = max(_gains(places, hits, now, owner), default=None)
        if best is None:
            break
        *_, condition, act = best
        found.append((condition, acts[act]))
        gone = places[condition]
        places = {c: np.setdiff1d(some, gone) for c, some in places.items()}
        places = {c: some for c, some in places.items() if len(some) >= GAIN}
    return found


def _gains(
    places: Mapping[Condition, np.ndarray], hits: np.ndarray, now: np.ndarray, owner: np.ndarray
) -> Iterator[tuple[int, int, Condition, int]]:
    """On how many more inputs each condition is better than worse, less its cost; and trials.

    Trials of one input are much alike, so that inputs are counted (`owner`: whose a trial is).
    """
    for condition, some in places.items():
        right = hits[:, some].sum(axis=1)
        act = int(right.argmax())
        more = np.bincount(owner[some], hits[act, some].astype(int) - now[some])
        gain = int(np.sign(more).sum()) - _cost(condition)
        if gain >= GAIN and right[act] >= SURE * len(some):
            yield gain, int(more.sum()), condition, act


def _cost(condition: Condition) -> int:
    """What stands there is asked of before what should: that takes more to know."""
    guessed = any(feature == "instead" for feature, _ in condition)
    return COST * (len(condition) - 1) + (COST + 1) * guessed


def _counted(
    found: Iterable[tuple[Condition, str | None]], rest: Sequence[_Trial]
) -> Iterator[ForcedPrefixRule]:
    """With counts on inputs kept apart; a trial counts for the first that fits."""
    left = list(rest)
    for when, then in found:
        one = ForcedPrefixRule(when=when, then=then, held=Rate(0, 0), alone=Rate(0, 0))
        here = [trial for trial in left if one.fits(trial.seen)]
        left = [trial for trial in left if not one.fits(trial.seen)]
        held = Rate.of(trial.right(then) for trial in here)
        yield replace(one, held=held, alone=Rate.of(trial.expected for trial in here))
