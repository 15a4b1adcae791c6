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

from recinterp.machine.run import Run
from recinterp.perturb import Transplant, head, is_live, lay_out, say, sources_kept
from recinterp.rate import Rate
from recinterp.reconstruct.pairs import Pairs, Step, Tokens, faithful, fits
from recinterp.reconstruct.sites import Site, answers
from recinterp.reconstruct.variables import from_state

if TYPE_CHECKING:
    from recinterp.machine.syntax import Machine
    from recinterp.models import Adapter
    from recinterp.tasks import Task


@dataclass(frozen=True)
class Interventional:
    """How well a machine foretells interventions on the model.

    match: share foretold, of those that should change the token; by_kind: the same, apart;
    false_effects: share of changed tokens among interventions that should change nothing;
    rivals_apart: share foretold, of those at which the machine carried in the output says other.
    """

    match: Rate
    by_kind: Mapping[str, Rate]
    false_effects: Rate
    rivals_apart: Rate


class Trial(NamedTuple):
    """One intervention: should and did the token change, was it foretold, does a rival differ."""

    should: bool
    did: bool
    hit: bool
    parts: bool = False


def interventional(
    adapter: Adapter,
    task: Task,
    machine: Machine,
    found: Sequence[Site],
    inputs: Sequence[Sequence[str]],
    seed: int = 0,
    *,
    each: int = 60,
) -> Interventional:
    """Intervene, and compare with the machine set likewise. found: its sites.

    Kinds: a wrong token forced into the output; an input token swapped before, at, after the
    place that is read, the output held; all heads given their z of another step (the pointer is
    set); each accepted site interchanged (its variable is set). `each`: trials a kind.
    """
    finder = Pairs(task, machine, inputs, seed)
    trials = {
        "forced token": _forced_tokens(adapter, task, finder, seed, each),
        **_swaps(adapter, task, finder, seed, each),
        "row transplant": _transplants(adapter, task, finder, each),
    }
    for site in found:
        if site.accepted:
            kind = f"site of {site.variable}"
            trials[kind] = trials.get(kind, []) + _at_site(adapter, task, finder, site, each)
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


def _faithful_steps(
    adapter: Adapter, task: Task, finder: Pairs, seed: int, count: int
) -> list[Step]:
    """Steps at which the model writes what the machine writes."""
    rng = random.Random(f"{seed} steps")
    steps = [finder.step(x, t) for x in finder.inputs for t in range(1, len(finder.run(x).owners))]
    steps = [s for s in rng.sample(steps, min(count, len(steps))) if fits(adapter, task, s)]
    if not steps:
        return []
    rows = lay_out(task, [s.tokens for s in steps], [s.prefix for s in steps])
    said = say(adapter, task, rows)
    return [s for a, s in zip(said, steps, strict=True) if a == s.says]


def _forced_tokens(
    adapter: Adapter, task: Task, finder: Pairs, seed: int, each: int
) -> list[Trial]:
    rng = random.Random(f"{seed} forced")
    steps = _faithful_steps(adapter, task, finder, seed, each)
    if not steps or len(task.constructors) < 2:
        return []
    carried = _states(finder)
    prefixes, told, rivals = [], [], []
    for step in steps:
        back = rng.choice((1, 1, 1, 2)) if step.t > 1 else 1
        wrong = rng.choice([x for x in task.constructors if x != step.prefix[-back]])
        prefix = (*step.prefix[: step.t - back], wrong, *step.prefix[step.t - back + 1 :])
        owner = finder.run(step.tokens).owners[step.t]
        out = prefix[: len(owner.out)]
        prefixes.append(prefix)
        told.append(from_state(owner, step.tokens, step.t, out))
        state = carried.get((len(step.tokens), prefix))
        rivals.append(None if state is None else from_state(state, step.tokens, step.t, state.out))
    said = say(adapter, task, lay_out(task, [s.tokens for s in steps], prefixes))
    return [_trial(s.says, a, b, c) for s, a, b, c in zip(steps, said, told, rivals, strict=True)]


def _states(finder: Pairs) -> dict[tuple[int, Tokens], Run]:
    """In which state a machine stands behind an output, by the input's length; one alone each."""
    found = dict[tuple[int, Tokens], dict[object, Run]]()
    for x in finder.inputs:
        line = finder.run(x)
        for t, owner in enumerate(line.owners):
            state = (owner.mode, *owner.registers.items(), *owner.stack, len(owner.out))
            found.setdefault((len(x), tuple(line.says[:t])), {})[state] = owner
    return {key: next(iter(all_.values())) for key, all_ in found.items() if len(all_) == 1}


def _trial(old: str, said: str, told: str | None, rival: str | None = None) -> Trial:
    return Trial(told != old, said != old, said == told, rival is not None and rival != told)


def _swaps(
    adapter: Adapter, task: Task, finder: Pairs, seed: int, each: int
) -> dict[str, list[Trial]]:
    """One input token swapped with the output held; a machine's state is computed anew."""
    rng = random.Random(f"{seed} swaps")
    chosen: dict[str, list[tuple[Step, Tokens]]] = {"before": [], "at": [], "after": []}
    idle: dict[str, int] = dict.fromkeys(chosen, 0)
    for step in _faithful_steps(adapter, task, finder, seed + 1, 12 * each):
        flips = finder.flips(step.tokens)
        for new in rng.sample(flips, min(6, len(flips))):
            where = _side(step, new)
            if where is None or step.t >= len(finder.run(new).owners) or len(chosen[where]) >= each:
                continue
            still = finder.run(new).says[step.t] == step.says
            if still and idle[where] >= each // 2:
                continue  # most swaps change nothing: leave room for those that should
            idle[where] += still
            chosen[where].append((step, new))
    return {
        f"swap {where} the pointer": _swapped(adapter, task, finder, picked)
        for where, picked in chosen.items()
        if picked
    }


def _side(step: Step, new: Tokens) -> str | None:
    at = next(i for i, (a, b) in enumerate(zip(step.tokens, new, strict=True)) if a != b)
    if step.reads is None:
        return None
    return "at" if at == step.reads else "before" if at < step.reads else "after"


def _swapped(
    adapter: Adapter, task: Task, finder: Pairs, picked: Sequence[tuple[Step, Tokens]]
) -> list[Trial]:
    rows = lay_out(task, [new for _, new in picked], [step.prefix for step, _ in picked])
    said = say(adapter, task, rows)
    done = []
    for a, (step, new) in zip(said, picked, strict=True):
        owner = finder.run(step.tokens).owners[step.t]
        rival = from_state(owner, new, step.t, owner.out)
        done.append(_trial(step.says, a, finder.run(new).says[step.t], rival))
    return done


def _transplants(adapter: Adapter, task: Task, finder: Pairs, each: int) -> list[Trial]:
    """All heads act at the query as at another step of the input: the pointer is set."""
    pairs = [
        pair
        for variable in finder.variables
        if variable.kind == "pointer"
        for pair in finder.find(variable, each)
        if pair.base.tokens == pair.source.tokens
    ]
    kept = faithful(adapter, task, pairs)[:each]
    if not kept:
        return []
    layers = [i for i in range(adapter.n_layers) if is_live(adapter, task, head(i).hook)]
    every = tuple((i, h) for i in layers for h in range(adapter.n_heads))
    plan = [
        Transplant(
            every, tuple(p.source.tokens for p in kept), tuple(p.source.prefix for p in kept)
        )
    ]
    rows = lay_out(task, [p.base.tokens for p in kept], [p.base.prefix for p in kept])
    said = say(adapter, task, rows, plan)
    return [_trial(p.base.says, a, p.goal) for a, p in zip(said, kept, strict=True)]


def _at_site(adapter: Adapter, task: Task, finder: Pairs, site: Site, each: int) -> list[Trial]:
    """Interchange at an accepted site: sources of another value, and of the same."""
    variable = next(v for v in finder.variables if v.name == site.variable)
    pairs = [*finder.find(variable, each), *finder.find(variable, each // 2, same=True)]
    kept = faithful(adapter, task, pairs)
    if not kept:
        return []
    with sources_kept():
        said = answers(adapter, task, kept, site.patch)
    return [_trial(p.base.says, a, p.goal) for a, p in zip(said, kept, strict=True)]
