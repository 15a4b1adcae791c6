"""Which continuation a model follows: forced outputs, in rounds, until they decide."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recinterp.causal.config import DEFAULTS, ContinuationConfig
from recinterp.causal.continuations.candidates import FAMILIES, eligible_continuations
from recinterp.causal.continuations.fit_pulls import fit_pulls
from recinterp.causal.continuations.heads import find_carrying_heads
from recinterp.causal.continuations.trials import ForcedTrial, draw_forced_outputs, run_forced
from recinterp.causal.pairs import PairSampler
from recinterp.causal.pulls import continue_by_pulls, pulled_step
from recinterp.causal.results import ContinuationFinding, ContinuationScore, Pull
from recinterp.machine.continuation import Continuation, continue_output
from recinterp.splits import in_fit_split
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.synthesis.dataset import Dataset


def find_continuation(
    adapter: Adapter,
    sampler: PairSampler,
    dataset: Dataset,
    config: ContinuationConfig = DEFAULTS.continuations,
) -> tuple[ContinuationFinding, tuple[ForcedTrial, ...]]:
    """Decide how a model finds where it goes on, by outputs that are forced on it.

    Args:
        adapter: the model.
        sampler: gives the inputs and the machine's runs.
        dataset: what the model was queried with: a continuation that explains fewer of its outputs
            is not considered.
        config: the thresholds.

    Returns:
        The finding, and the trials in which the continuations differ. Nothing is decided where only
        one continuation explains the outputs.
    """
    eligible = eligible_continuations(sampler.machine, dataset)
    if len(eligible) <= 1:
        return ContinuationFinding(chosen=sampler.machine.continuation), ()
    trials = _run_rounds(adapter, sampler, eligible, config)
    counted = [x for x in trials if not in_fit_split(x.forced.tokens)]
    fitting = [x for x in trials if in_fit_split(x.forced.tokens)]
    telling = [x for x in trials if x.tells(eligible)]
    best = max(eligible, key=lambda c: sum(x.follows(c) for x in telling))
    scores = tuple(
        ContinuationScore(continuation=c, followed=Rate.of(x.follows(c) for x in telling))
        for c in eligible
    )
    if not _is_decided(trials, best, eligible, config):
        undecided = ContinuationFinding(chosen=sampler.machine.continuation, scores=scores)
        return undecided, tuple(telling)
    fitted = fit_pulls(fitting) if fitting else ()
    chosen = _choose_variant(best, fitting, fitted, sampler.seed)
    pulls = _mixture(fitted, counted, chosen, config)
    finding = ContinuationFinding(
        chosen=chosen,
        decided=True,
        scores=_with_chosen(scores, chosen, telling),
        pulls=pulls,
        predicted=_predicted(counted, chosen, pulls),
        heads=find_carrying_heads(adapter, sampler.task, telling, chosen, config),
    )
    return finding, tuple(telling)


def _run_rounds(
    adapter: Adapter,
    sampler: PairSampler,
    eligible: Sequence[Continuation],
    config: ContinuationConfig,
) -> list[ForcedTrial]:
    """Rounds of trials until they decide clearly, or there are no more."""
    count = config.per_round * config.max_rounds
    forced = draw_forced_outputs(adapter, sampler, sampler.seed, count)
    trials: list[ForcedTrial] = []
    for start in range(0, count, config.per_round):
        trials += run_forced(adapter, sampler.task, forced[start : start + config.per_round])
        telling = [x for x in trials if x.tells(eligible)]
        shares = {c: Rate.of(x.follows(c) for x in telling) for c in eligible}
        best = max(eligible, key=lambda c: shares[c].hits)
        clear = bool(telling) and shares[best].value >= config.enough
        if clear and _is_decided(trials, best, eligible, config):
            break
    return trials


def _is_decided(
    trials: Sequence[ForcedTrial],
    best: Continuation,
    eligible: Sequence[Continuation],
    config: ContinuationConfig,
) -> bool:
    """Whether the best is followed more often than every other, where the two differ."""
    for other in eligible:
        if other == best:
            continue
        apart = [(x.follows(best), x.follows(other)) for x in trials]
        wins = Rate.of(a for a, b in apart if a != b)
        if wins.total < config.min_trials or wins.wilson_interval(config.quantile)[0] <= 0.5:
            return False
    return True


def _with_chosen(
    scores: tuple[ContinuationScore, ...], chosen: Continuation, telling: Sequence[ForcedTrial]
) -> tuple[ContinuationScore, ...]:
    """The scores, with the chosen variant of a family in place of the family's first."""
    return tuple(
        ContinuationScore(continuation=chosen, followed=Rate.of(x.follows(chosen) for x in telling))
        if chosen in FAMILIES[score.continuation]
        else score
        for score in scores
    )


def _choose_variant(
    best: Continuation, fitting: Sequence[ForcedTrial], pulls: Sequence[Pull], seed: int
) -> Continuation:
    """How the best continuation chooses among several steps that it names.

    In the domain it seldom names several. The pulls, which were fitted in it, say what becomes of
    a repeated token: one token of each output is replaced by another of it, and the variant is
    taken whose outputs are most often those of the pulls.
    """
    variants = FAMILIES[best]
    if not pulls or len(variants) == 1:
        return best
    rng = random.Random(f"{seed} repeats")
    agreed = dict.fromkeys(variants, 0)
    for own in sorted({x.forced.own for x in fitting}):
        repeated = list(own)
        repeated[rng.randrange(len(own))] = rng.choice(own)
        drawn = continue_by_pulls(repeated, pulls, 2 * len(own))
        for variant in variants:
            agreed[variant] += continue_output(repeated, variant, 2 * len(own))[0] == drawn
    return max(variants, key=lambda c: agreed[c])


def _mixture(
    pulls: tuple[Pull, ...],
    counted: Sequence[ForcedTrial],
    chosen: Continuation,
    config: ContinuationConfig,
) -> tuple[Pull, ...]:
    """The pulls, where they predict more of other inputs' forced outputs than the chosen does."""
    unmixed = _predicted(counted, chosen, ())
    if len(counted) < config.min_trials or not pulls:
        return ()
    mixed = _predicted(counted, chosen, pulls)
    return pulls if mixed.value >= unmixed.value + config.min_gain else ()


def _predicted(trials: Sequence[ForcedTrial], chosen: Continuation, pulls: Sequence[Pull]) -> Rate:
    if not pulls:
        return Rate.of(x.follows(chosen) for x in trials)
    return Rate.of(
        x.forced.token_at(pulled_step(x.forced.own, x.forced.prefix, pulls)) == x.token
        for x in trials
    )
