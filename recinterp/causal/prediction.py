"""Does the machine foretell what interventions on the model do? The machine is set likewise.

A prediction counts where the machine says that the token changes; where it says that nothing
changes, a change of the model's is a *false effect*, counted apart.

Beside the machine, which reads its state off the input, stands a rival: the same machine carrying
its state in the output. Where the two foretell different tokens, the model decides between them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from recinterp.causal.agreement import pairs_where_model_agrees, steps_where_model_agrees
from recinterp.causal.forced_prefixes import PrefixedState, predict_token, swapped
from recinterp.causal.pairs import PairSampler, Step, split_selection_report
from recinterp.causal.patches import PatchSpec, predict_patched
from recinterp.causal.results import ForcedPrefixRule, Site
from recinterp.causal.variables import resume_from
from recinterp.machine.execution.interpreter import MachineRun
from recinterp.perturb.liveness import is_live
from recinterp.perturb.lowering.sources import source_cache
from recinterp.perturb.plan import Transplant, head
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_tokens
from recinterp.splits import in_fit_split
from recinterp.stats import Rate
from recinterp.tokens import TokenTuple

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task


@dataclass(frozen=True)
class Interventional:
    """How well a machine foretells interventions on the model.

    match: share foretold, of those that should change the token; by_kind: the same, apart;
    unpredicted_changes: share of changed tokens among interventions that should change nothing;
    carried_state_contrast: share foretold, of those at which the machine carried in the output
    says other.
    """

    match: Rate
    by_kind: Mapping[str, Rate]
    unpredicted_changes: Rate
    carried_state_contrast: Rate


class Trial(NamedTuple):
    """One intervention: should and did the token change, was it foretold; do the rivals part."""

    should: bool
    did: bool
    hit: bool
    parts: bool = False


def measure_interventional_match(
    adapter: Adapter,
    finder: PairSampler,
    found: Sequence[Site],
    *,
    forced_prefix_rules: Sequence[ForcedPrefixRule] = (),
    each: int = 60,
) -> Interventional:
    """Intervene, and compare with the machine set likewise. found: its sites.

    Kinds: a wrong token forced into the output; an input token swapped before, at, after the
    place that is read, the output held; all heads given their z of another step (the pointer is
    set); each accepted site interchanged (its variable is set). forced_prefix_rules: what happens
    behind outputs that are put there; nothing is forced or swapped in inputs they were learned
    from. `each`: trials a kind.
    """
    asked = _Asked(adapter, finder, forced_prefix_rules, each)
    trials = {
        "forced token": _forced_tokens(asked),
        **_swaps(asked),
        "row transplant": _transplants(asked),
    }
    for site in found:
        if site.accepted:
            kind = f"site of {site.variable}"
            trials[kind] = trials.get(kind, []) + _at_site(asked, site)
    by_kind = {
        kind: Rate.of(trial.hit for trial in done if trial.should) for kind, done in trials.items()
    }
    every = [trial for done in trials.values() for trial in done]
    scored = [rate for rate in by_kind.values() if rate.total]
    return Interventional(
        Rate(sum(r.hits for r in scored), sum(r.total for r in scored)),
        {k: r for k, r in by_kind.items() if r.total},
        Rate.of(trial.did for trial in every if not trial.should),
        Rate.of(trial.hit for trial in every if trial.parts),
    )


@dataclass(frozen=True)
class _Asked:
    """What is intervened on, and what foretells it."""

    adapter: Adapter
    finder: PairSampler
    forced_prefix_rules: Sequence[ForcedPrefixRule]
    each: int

    @property
    def task(self) -> Task:
        """What the model was meant to learn."""
        return self.finder.task

    @property
    def seed(self) -> int:
        """Of all that is drawn."""
        return self.finder.seed

    def may(self, tokens: TokenTuple) -> bool:
        """Whether an input may be used: nothing was learned from it."""
        return not (self.forced_prefix_rules and in_fit_split(tokens))

    def steps(self, seed: int, count: int) -> list[Step]:
        """Steps of such inputs at which the model writes what the machine writes."""
        return steps_where_model_agrees(self.adapter, self.finder, seed, count, may=self.may)

    def behind(
        self, steps: Sequence[Step], forced: Sequence[PrefixedState], rivals: Sequence[str | None]
    ) -> list[Trial]:
        """Trials of the steps with other inputs or outputs, beside what a rival foretells."""
        if not steps:
            return []
        rows = build_batch(
            self.task, [at.state.tokens for at in forced], [at.prefix for at in forced]
        )
        replies = next_tokens(self.adapter, self.task, rows)
        done = []
        for step, at, rival, said in zip(steps, forced, rivals, replies, strict=True):
            trial = _trial(step.output, said, predict_token(at, self.forced_prefix_rules))
            done.append(trial._replace(parts=rival is not None and rival != at.predicted()))
        return done


def _forced_tokens(asked: _Asked) -> list[Trial]:
    """One token of the output replaced, the last one or the one before it."""
    task, finder = asked.task, asked.finder
    rng = random.Random(f"{asked.seed} forced")
    steps = asked.steps(asked.seed, asked.each) if len(task.constructors) > 1 else []
    carried = _states(finder)
    forced: list[PrefixedState] = []
    contrasts: list[str | None] = []
    for step in steps:
        back = rng.choice((1, 1, 1, 2)) if step.t > 1 else 1
        wrong = rng.choice([x for x in task.constructors if x != step.prefix[-back]])
        owner = finder.trace(step.tokens).emitting_states[step.t]
        forced.append(PrefixedState(owner, step.t, swapped(step.prefix, back, wrong)))
        state = carried.get((len(step.tokens), forced[-1].prefix))
        contrasts.append(
            None if state is None else resume_from(state, step.tokens, step.t, state.out)
        )
    return asked.behind(steps, forced, contrasts)


def _states(finder: PairSampler) -> dict[tuple[int, TokenTuple], MachineRun]:
    """In which state a machine stands behind an output, by the input's length; one alone each."""
    found = dict[tuple[int, TokenTuple], dict[object, MachineRun]]()
    for x in finder.inputs:
        line = finder.trace(x)
        for t, owner in enumerate(line.emitting_states):
            state = (owner.mode, *owner.registers.items(), *owner.stack, len(owner.out))
            found.setdefault((len(x), tuple(line.outputs[:t])), {})[state] = owner
    return {key: next(iter(all_.values())) for key, all_ in found.items() if len(all_) == 1}


def _trial(old: str, said: str, told: str | None) -> Trial:
    return Trial(told != old, said != old, said == told)


def _swaps(asked: _Asked) -> dict[str, list[Trial]]:
    """One input token swapped with the output held; a machine's state is computed anew."""
    finder, each = asked.finder, asked.each
    rng = random.Random(f"{asked.seed} swaps")
    chosen: dict[str, list[tuple[Step, TokenTuple]]] = {"before": [], "at": [], "after": []}
    idle: dict[str, int] = dict.fromkeys(chosen, 0)
    for step in asked.steps(asked.seed + 1, 12 * each):
        flips = list(filter(asked.may, finder.one_token_variants(step.tokens)))
        for new in rng.sample(flips, min(6, len(flips))):
            where = _side(step, new)
            if (
                where is None
                or step.t >= len(finder.trace(new).emitting_states)
                or len(chosen[where]) >= each
            ):
                continue
            still = finder.trace(new).outputs[step.t] == step.output
            if still and idle[where] >= each // 2:
                continue  # most swaps change nothing: leave room for those that should
            idle[where] += still
            chosen[where].append((step, new))
    return {
        f"swap {where} the pointer": _swapped(asked, picked)
        for where, picked in chosen.items()
        if picked
    }


def _side(step: Step, new: TokenTuple) -> str | None:
    at = next(i for i, (a, b) in enumerate(zip(step.tokens, new, strict=True)) if a != b)
    if step.read_position is None:
        return None
    return "at" if at == step.read_position else "before" if at < step.read_position else "after"


def _swapped(asked: _Asked, picked: Sequence[tuple[Step, TokenTuple]]) -> list[Trial]:
    finder = asked.finder
    forced: list[PrefixedState] = []
    contrasts: list[str | None] = []
    for step, new in picked:
        forced.append(PrefixedState(finder.trace(new).emitting_states[step.t], step.t, step.prefix))
        owner = finder.trace(step.tokens).emitting_states[step.t]
        contrasts.append(resume_from(owner, new, step.t, owner.out))
    return asked.behind([step for step, _ in picked], forced, contrasts)


def _transplants(asked: _Asked) -> list[Trial]:
    """All heads act at the query as at another step of the input: the pointer is set."""
    adapter, task, finder, each = asked.adapter, asked.task, asked.finder, asked.each
    pairs = [
        pair
        for variable in finder.variables
        if variable.kind == "pointer"
        for pair in finder.sample(variable, each)
        if pair.base.tokens == pair.source.tokens
    ]
    kept = pairs_where_model_agrees(adapter, task, pairs)[:each]
    if not kept:
        return []
    layers = [i for i in range(adapter.n_layers) if is_live(adapter, task, head(i).hook)]
    every = tuple((i, h) for i in layers for h in range(adapter.n_heads))
    plan = [
        Transplant(
            every, tuple(p.source.tokens for p in kept), tuple(p.source.prefix for p in kept)
        )
    ]
    rows = build_batch(task, [p.base.tokens for p in kept], [p.base.prefix for p in kept])
    said = next_tokens(adapter, task, rows, plan)
    return [_trial(p.base.output, a, p.counterfactual) for a, p in zip(said, kept, strict=True)]


def _at_site(asked: _Asked, site: Site) -> list[Trial]:
    """Interchange at an accepted site: sources of another value, and of the same.

    Of inputs by which no site was chosen.
    """
    adapter, task, finder, each = asked.adapter, asked.task, asked.finder, asked.each
    variable = next(v for v in finder.variables if v.name == site.variable)
    other, same = (finder.sample(variable, 2 * each, same_value=equal) for equal in (False, True))
    _, moved = split_selection_report(pairs_where_model_agrees(adapter, task, other))
    _, held = split_selection_report(pairs_where_model_agrees(adapter, task, same))
    kept = [*moved[:each], *held[: each // 2]]
    if not kept:
        return []
    with source_cache():
        said = predict_patched(adapter, task, kept, PatchSpec(site.patch))
    return [_trial(p.base.output, a, p.counterfactual) for a, p in zip(said, kept, strict=True)]
