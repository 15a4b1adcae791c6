"""Forced-prefix rules: what a model does after an output that it would not have written itself.

A machine reads its state off the input. A model often also reads it off its own output; as long as
the model writes that output itself, the two agree. So other outputs are forced on it, and rules are
learned: in this state, after such an output, the model continues as in that mode, or ends.

A condition that holds at any step of the machine's own runs, on the inputs at hand and many more,
is not allowed, so that those runs do not change. Rules are learned by sequential covering from one
part of the inputs and counted on the others.
Reference: Clark and Niblett, The CN2 induction algorithm (1989).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from recinterp.causal.agreement import steps_where_model_agrees
from recinterp.causal.config import DEFAULTS, ForcedPrefixConfig
from recinterp.causal.pairs import PairSampler, Step
from recinterp.causal.pulls import pulled_step
from recinterp.causal.results import Condition, ForcedPrefixRule, PrefixFeature, Pull
from recinterp.causal.traces import Trace, trace_run
from recinterp.causal.variables import resume_from
from recinterp.machine.continuation import next_step
from recinterp.machine.execution.interpreter import MachineRun
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_tokens
from recinterp.splits import in_fit_split
from recinterp.stats import Rate
from recinterp.tokens import EOS, TokenTuple

if TYPE_CHECKING:
    from recinterp.machine.machine import Machine
    from recinterp.models import Adapter


class PrefixedState(NamedTuple):
    """A state of the machine with an output prefix that is forced on it.

    Attributes:
        state: the state that emits output t in the machine's own run.
        t: index of the output token.
        prefix: the t output tokens that are put before it.
    """

    state: MachineRun
    t: int
    prefix: TokenTuple

    def predict(self, mode: str | None = None) -> str | None:
        """Output token t of the machine, in another mode if one is given; None: no prediction."""
        state = self.state if mode is None else replace(self.state, mode=mode)
        return resume_from(state, state.tokens, self.t, self.prefix[: len(state.out)])

    def features(self) -> dict[PrefixFeature, str]:
        """The features that conditions refer to; empty text where a feature does not apply."""
        rule, out = self.state.enabled_rule(), self.state.out
        last_differs = len(out) == self.t and out[-1] != self.prefix[-1]
        return {
            PrefixFeature.MODE: self.state.mode,
            PrefixFeature.RULE: "" if rule is None else rule.name,
            PrefixFeature.WRITES: self.predict() or "",
            PrefixFeature.LAST: self.prefix[-1],
            PrefixFeature.INSTEAD: out[-1] if last_differs else "",
            PrefixFeature.BEFORE: self.prefix[-2] if self.t > 1 else "",
            PrefixFeature.ONLY: self.prefix[0] if len(set(self.prefix)) == 1 else "",
        }


def predict_token(at: PrefixedState, rules: Sequence[ForcedPrefixRule] = ()) -> str | None:
    """Predict output token t after a forced prefix.

    Args:
        at: the state with the prefix.
        rules: forced-prefix rules; the first that fits decides.

    Returns:
        The token, EOS where the output ends, or None where the machine makes no prediction.
    """
    features = at.features() if rules and at.t else {}
    first = next((rule for rule in rules if features and rule.fits(features)), None)
    if first is None:
        return at.predict()
    return EOS if first.then is None else at.predict(first.then)


@dataclass(frozen=True, kw_only=True)
class NextTokenPredictor:
    """What a machine predicts after any output, its own or one that is forced on the model.

    Attributes:
        machine: the machine.
        forced_prefix_rules: rules for prefixes that are not the machine's own, where it carries its
            position.
        pulls: how strongly each thing draws the next token, where the model mixes several ways to
            go on after such a prefix.
    """

    machine: Machine
    forced_prefix_rules: Sequence[ForcedPrefixRule] = ()
    pulls: Sequence[Pull] = ()

    def predict(self, run: Trace, prefix: TokenTuple) -> str | None:
        """Predict the token that follows a prefix.

        Args:
            run: the run of the machine's rules on the input.
            prefix: the output so far.

        Returns:
            The token, EOS where the output ends, or None where the machine makes no prediction.
        """
        own = tuple(x for x in run.outputs if x != EOS)
        if self.pulls and prefix != own[: len(prefix)]:
            return self._token_at(run, own, pulled_step(own, prefix, self.pulls))
        if self.machine.continuation:
            step = next_step(own, prefix, self.machine.continuation)
            return self._token_at(run, own, step)
        if len(prefix) < len(run.emitting_states):
            at = PrefixedState(run.emitting_states[len(prefix)], len(prefix), prefix)
            return predict_token(at, self.forced_prefix_rules)
        ends = len(prefix) == len(run.emitting_states) and self._halts(run, own)
        return EOS if ends else None

    def _token_at(self, run: Trace, own: TokenTuple, step: int) -> str | None:
        if step < len(own):
            return own[step]
        return EOS if self._halts(run, own) else None

    def _halts(self, run: Trace, own: TokenTuple) -> bool:
        """Whether the run ends, with a rule of its own or with its last token."""
        plain = self.machine.with_continuation()
        return run.outputs[-1:] == (EOS,) or plain.run(run.tokens) == list(own)


def predict_next_token(
    machine: Machine,
    tokens: TokenTuple,
    prefix: TokenTuple,
    forced_prefix_rules: Sequence[ForcedPrefixRule] = (),
    pulls: Sequence[Pull] = (),
) -> str | None:
    """Predict the token that follows an output prefix on an input.

    Args:
        machine: the machine.
        tokens: the input.
        prefix: the output so far, the machine's own or another.
        forced_prefix_rules: the rules for prefixes that are not the machine's own.
        pulls: how strongly each thing draws the next token after such a prefix.

    Returns:
        The token, EOS where the output ends, or None where the machine makes no prediction.
    """
    predictor = NextTokenPredictor(
        machine=machine, forced_prefix_rules=forced_prefix_rules, pulls=pulls
    )
    return predictor.predict(trace_run(machine, tokens), prefix)


def learn_forced_prefix_rules(
    adapter: Adapter, sampler: PairSampler, config: ForcedPrefixConfig = DEFAULTS.forced_prefixes
) -> tuple[ForcedPrefixRule, ...]:
    """Learn what a model does after outputs that it would not have written itself.

    Args:
        adapter: the model.
        sampler: gives the inputs and the machine's runs. The rules are learned on two thirds of the
            inputs and counted on the others.
        config: the thresholds.

    Returns:
        The rules in order; the first that fits decides.
    """
    trials = list(_run_trials(adapter, sampler, config))
    fitting = [trial for trial in trials if in_fit_split(trial.at.state.tokens)]
    others = [trial for trial in trials if not in_fit_split(trial.at.state.tokens)]
    if not fitting:
        return ()
    modes = sampler.machine.modes
    own = _own_conditions(sampler, config)
    covering = _Covering(fitting, modes if len(modes) <= config.max_modes else (), own, config)
    return tuple(_count(covering.run(), others))


class _ForcedTrial(NamedTuple):
    """A forced prefix, its features, and the token that the model wrote."""

    at: PrefixedState
    features: Mapping[PrefixFeature, str]
    token: str

    def is_explained_by(self, mode: str | None) -> bool:
        """Whether the model writes what the machine writes in a mode, or ends (None)."""
        return self.token == (EOS if mode is None else self.at.predict(mode))

    @property
    def is_expected(self) -> bool:
        """Whether the model writes what the machine writes without any rule."""
        return self.token == self.at.predict()


def _run_trials(
    adapter: Adapter, sampler: PairSampler, config: ForcedPrefixConfig
) -> Iterator[_ForcedTrial]:
    """What the model writes after forced outputs: one or two tokens back, or of other inputs."""
    task, rng = sampler.task, random.Random(f"{sampler.seed} overrides")
    steps = steps_where_model_agrees(adapter, sampler, sampler.seed, config.max_steps)
    drawn = [(step, *_draw_prefixes(sampler, step, rng)) for step in steps]
    sampler.traces(x for *_, others in drawn for x in others)
    states = [at for each in drawn for at in _forced_states(sampler, *each)]
    distinct = list({(at.state.tokens, at.prefix): at for at in states}.values())
    if not distinct:  # outputs of one token leave nothing to force
        return
    rows = build_batch(task, [at.state.tokens for at in distinct], [at.prefix for at in distinct])
    predicted = next_tokens(adapter, task, rows)
    for at, token in zip(distinct, predicted, strict=True):
        yield _ForcedTrial(at, at.features(), token)


def _draw_prefixes(
    sampler: PairSampler, step: Step, rng: random.Random
) -> tuple[list[TokenTuple], tuple[TokenTuple, ...]]:
    """Outputs with one wrong token to be put before a step; inputs whose outputs are to be put."""
    prefixes: list[TokenTuple] = []
    for back, count in ((1, 2), (2, 1)):
        others = [
            x for x in sampler.task.constructors if step.t >= back and x != step.prefix[-back]
        ]
        tokens = rng.sample(others, min(count, len(others)))
        prefixes += [replace_token(step.prefix, back, token) for token in tokens]
    variants = sampler.one_token_variants(step.tokens)
    return prefixes, tuple(rng.sample(variants, min(3, len(variants))))


def _forced_states(
    sampler: PairSampler,
    step: Step,
    prefixes: Sequence[TokenTuple],
    others: Sequence[TokenTuple],
) -> Iterator[PrefixedState]:
    state = sampler.trace(step.tokens).emitting_states[step.t]
    yield from (PrefixedState(state, step.t, prefix) for prefix in prefixes)
    for run in sampler.traces(others):
        if step.t < len(run.emitting_states) and run.outputs[: step.t] != step.prefix:
            yield PrefixedState(run.emitting_states[step.t], step.t, step.prefix)
            yield PrefixedState(state, step.t, run.outputs[: step.t])


def replace_token(prefix: TokenTuple, back: int, token: str) -> TokenTuple:
    """An output with another token `back` places before its end (1: the last token)."""
    at = len(prefix) - back
    return (*prefix[:at], token, *prefix[at + 1 :])


def _own_conditions(sampler: PairSampler, config: ForcedPrefixConfig) -> set[Condition]:
    """Every condition that holds at a step of the machine's own runs, on many inputs."""
    longest = max(map(len, sampler.inputs))
    more = sampler.task.sample(config.own_run_inputs, seed=sampler.seed, max_length=longest)
    features = {
        tuple(PrefixedState(state, t, run.outputs[:t]).features().items())
        for run in sampler.traces({*sampler.inputs, *map(tuple, more)})
        for t, state in enumerate(run.emitting_states)
        if t
    }
    return {c for some in features for c in _conditions(dict(some), config.max_conditions)}


def _conditions(features: Mapping[PrefixFeature, str], limit: int) -> Iterator[Condition]:
    """All conditions of up to `limit` features; not of mode and rule, as a rule has one mode."""
    known = [(feature, value) for feature, value in features.items() if value]
    both = {PrefixFeature.MODE, PrefixFeature.RULE}
    for count in range(1, limit + 1):
        for some in combinations(known, count):
            if not both <= {feature for feature, _ in some}:
                yield some


Covered = Int[np.ndarray, "covered"]


@dataclass(frozen=True)
class _Covering:
    """Sequential covering: each time the rule that explains most of what no rule covers yet.

    Attributes:
        trials: what is to be explained.
        modes: modes from which a rule may continue.
        own: conditions that are not allowed.
        config: the thresholds.
    """

    trials: Sequence[_ForcedTrial]
    modes: Sequence[str]
    own: set[Condition]
    config: ForcedPrefixConfig

    def run(self) -> list[tuple[Condition, str | None]]:
        """The rules in order, each as its condition and the mode it continues in."""
        targets: list[str | None] = [None, *self.modes]
        hits = np.array([[t.is_explained_by(mode) for t in self.trials] for mode in targets])
        expected = np.array([trial.is_expected for trial in self.trials])
        inputs = self._input_of_trial()
        covered = self._trials_by_condition()
        found: list[tuple[Condition, str | None]] = []
        while covered and len(found) < self.config.max_rules:
            best = max(self._gains(covered, hits, expected, inputs), default=None)
            if best is None:
                break
            *_, condition, target = best
            found.append((condition, targets[target]))
            done = covered[condition]
            rest = {c: np.setdiff1d(some, done) for c, some in covered.items()}
            covered = {c: some for c, some in rest.items() if len(some) >= self.config.min_gain}
        return found

    def _trials_by_condition(self) -> dict[Condition, Covered]:
        groups: dict[Condition, list[int]] = {}
        for i, trial in enumerate(self.trials):
            for condition in _conditions(trial.features, self.config.max_conditions):
                if condition not in self.own:
                    groups.setdefault(condition, []).append(i)
        minimum = self.config.min_gain
        return {c: np.array(some) for c, some in groups.items() if len(some) >= minimum}

    def _input_of_trial(self) -> Int[np.ndarray, "trials"]:
        inputs = dict.fromkeys(trial.at.state.tokens for trial in self.trials)
        number = {tokens: i for i, tokens in enumerate(inputs)}
        return np.array([number[trial.at.state.tokens] for trial in self.trials])

    def _gains(
        self,
        covered: Mapping[Condition, Covered],
        hits: Bool[np.ndarray, "targets trials"],
        expected: Bool[np.ndarray, "trials"],
        inputs: Int[np.ndarray, "trials"],
    ) -> Iterator[tuple[int, int, Condition, int]]:
        """(inputs gained less the cost, trials gained, condition, index of the target).

        Trials of one input are much alike, so inputs are counted: those on which a rule is better
        than the machine without it, less those on which it is worse.
        """
        config = self.config
        for condition, some in covered.items():
            right = hits[:, some].sum(axis=1)
            target = int(right.argmax())
            more = np.bincount(inputs[some], hits[target, some].astype(int) - expected[some])
            gain = int(np.sign(more).sum()) - self._cost(condition)
            if gain >= config.min_gain and right[target] >= config.min_precision * len(some):
                yield gain, int(more.sum()), condition, target

    def _cost(self, condition: Condition) -> int:
        """What a condition must gain first; `instead` needs two outputs to be compared."""
        cost = self.config.condition_cost
        compares = any(feature is PrefixFeature.INSTEAD for feature, _ in condition)
        return cost * (len(condition) - 1) + (cost + 1) * compares


def _count(
    found: Iterable[tuple[Condition, str | None]], trials: Sequence[_ForcedTrial]
) -> Iterator[ForcedPrefixRule]:
    """The rules with their counts on other trials; a trial counts for the first rule that fits."""
    left = list(trials)
    for when, then in found:
        rule = ForcedPrefixRule(when=when, then=then, observed=Rate(0, 0), without_rule=Rate(0, 0))
        here = [trial for trial in left if rule.fits(trial.features)]
        left = [trial for trial in left if not rule.fits(trial.features)]
        yield replace(
            rule,
            observed=Rate.of(trial.is_explained_by(then) for trial in here),
            without_rule=Rate.of(trial.is_expected for trial in here),
        )
