"""Interventional match: does the machine predict what interventions on the model do?

Each intervention on the model has a counterpart on the machine: a forced output, a changed input
token, a variable that is set. A prediction counts where the machine says that the next token
changes. Where it says that nothing changes, a change of the model's is an *unpredicted change*,
counted apart.

Beside the machine, which reads its state off the input, stands a contrast: a machine that carries
its state in the output. Where the two predict different tokens, the model decides between them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from recinterp.causal.agreement import pairs_where_model_agrees, steps_where_model_agrees
from recinterp.causal.config import DEFAULTS, PredictionConfig
from recinterp.causal.forced_prefixes import NextTokenPredictor, PrefixedState, replace_token
from recinterp.causal.pairs import Pair, PairSampler, Step, split_selection_report
from recinterp.causal.patches import PatchSpec, predict_patched
from recinterp.causal.results import Site
from recinterp.causal.variables import VariableKind, resume_from
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


@dataclass(frozen=True, kw_only=True)
class InterventionalMatch:
    """How well a machine predicts interventions on the model.

    Attributes:
        match: share of exactly predicted tokens, of the interventions that should change the token.
        by_kind: the same share for each kind of intervention.
        unpredicted_changes: share of changed tokens, of the interventions that should change
            nothing.
        carried_state_contrast: share of exactly predicted tokens, of the interventions on which a
            machine that carries its state in the output predicts another token.
    """

    match: Rate
    by_kind: Mapping[str, Rate]
    unpredicted_changes: Rate
    carried_state_contrast: Rate


class InterventionTrial(NamedTuple):
    """One intervention on the model, beside the machine's prediction.

    Attributes:
        should_change: whether the machine predicts another token than without the intervention.
        did_change: whether the model writes another token.
        hit: whether the model writes exactly the predicted token.
        is_contrast: whether a machine that carries its state in the output predicts another token.
    """

    should_change: bool
    did_change: bool
    hit: bool
    is_contrast: bool = False

    @classmethod
    def of(cls, clean: str, written: str, predicted: str | None) -> InterventionTrial:
        """A trial from the token without the intervention, the model's, and the prediction."""
        return cls(predicted != clean, written != clean, written == predicted)


def measure_interventional_match(
    adapter: Adapter,
    sampler: PairSampler,
    sites: Sequence[Site],
    *,
    predictor: NextTokenPredictor | None = None,
    config: PredictionConfig = DEFAULTS.prediction,
) -> InterventionalMatch:
    """Intervene on the model, and compare it with the machine under the same intervention.

    The kinds: a wrong token is forced into the output; an input token before, at or after the
    position that is read is swapped, after the same output; all heads are given their output of
    another step (the pointer is set); each accepted site is interchanged (its variable is set).

    Args:
        adapter: the model.
        sampler: gives the inputs, the machine's runs, and pairs of steps.
        sites: the sites of the machine's variables; those not accepted are left out.
        predictor: predicts the token after forced outputs; by default the machine alone. No output
            is forced and no token swapped in the inputs from which it was learned.
        config: the numbers of trials.
    """
    predictor = predictor or NextTokenPredictor(machine=sampler.machine)
    trials = _Interventions(adapter, sampler, predictor, config).run(sites)
    by_kind = {
        kind: Rate.of(trial.hit for trial in some if trial.should_change)
        for kind, some in trials.items()
    }
    every = [trial for some in trials.values() for trial in some]
    scored = {kind: rate for kind, rate in by_kind.items() if rate.total}
    return InterventionalMatch(
        match=Rate.of(trial.hit for trial in every if trial.should_change),
        by_kind=scored,
        unpredicted_changes=Rate.of(t.did_change for t in every if not t.should_change),
        carried_state_contrast=Rate.of(trial.hit for trial in every if trial.is_contrast),
    )


@dataclass(frozen=True)
class _Interventions:
    """What is intervened on, and what predicts it."""

    adapter: Adapter
    sampler: PairSampler
    predictor: NextTokenPredictor
    config: PredictionConfig

    @property
    def task(self) -> Task:
        """The task whose inputs are used."""
        return self.sampler.task

    def run(self, sites: Sequence[Site]) -> dict[str, list[InterventionTrial]]:
        """All trials by the kind of intervention."""
        trials = {
            "forced token": self._force_tokens(),
            **self._swap_inputs(),
            "row transplant": self._transplant_rows(),
        }
        for site in sites:
            if site.accepted:
                kind = f"site of {site.variable}"
                trials[kind] = trials.get(kind, []) + self._interchange_at(site)
        return trials

    def is_allowed(self, tokens: TokenTuple) -> bool:
        """Whether an input may be used: nothing was learned from it."""
        learned = self.predictor.forced_prefix_rules or self.predictor.pulls
        return not (learned and in_fit_split(tokens))

    def _steps(self, seed: int, count: int) -> list[Step]:
        """Steps of such inputs at which model and machine agree."""
        return steps_where_model_agrees(self.adapter, self.sampler, seed, count, self.is_allowed)

    def _compare(
        self,
        steps: Sequence[Step],
        states: Sequence[PrefixedState],
        contrasts: Sequence[str | None],
    ) -> list[InterventionTrial]:
        """Trials in which input or output are others than the step's own.

        Args:
            steps: the steps without the intervention.
            states: the machine's states with the other inputs or outputs.
            contrasts: the predictions of a machine that carries its state in the output.
        """
        if not steps:
            return []
        rows = build_batch(self.task, [s.state.tokens for s in states], [s.prefix for s in states])
        written = next_tokens(self.adapter, self.task, rows)
        trials = []
        for step, at, contrast, token in zip(steps, states, contrasts, written, strict=True):
            run = self.sampler.trace(at.state.tokens)
            predicted = self.predictor.predict(run, at.prefix)
            trial = InterventionTrial.of(step.output, token, predicted)
            differs = contrast is not None and contrast != at.predict()
            trials.append(trial._replace(is_contrast=differs))
        return trials

    def _force_tokens(self) -> list[InterventionTrial]:
        """One token of the output replaced, the last one or the one before it."""
        tokens = self.task.constructors
        seed, count = self.sampler.seed, self.config.trials_per_kind
        rng = random.Random(f"{seed} forced")
        steps = self._steps(seed, count) if len(tokens) > 1 else []
        states_by_output = _states_by_output(self.sampler)
        states: list[PrefixedState] = []
        contrasts: list[str | None] = []
        for step in steps:
            back = rng.choice((1, 1, 1, 2)) if step.t > 1 else 1
            wrong = rng.choice([x for x in tokens if x != step.prefix[-back]])
            own = self.sampler.trace(step.tokens).emitting_states[step.t]
            prefix = replace_token(step.prefix, back, wrong)
            states.append(PrefixedState(own, step.t, prefix))
            carried = states_by_output.get((len(step.tokens), prefix))
            contrasts.append(
                None if carried is None else resume_from(carried, step.tokens, step.t, carried.out)
            )
        return self._compare(steps, states, contrasts)

    def _swap_inputs(self) -> dict[str, list[InterventionTrial]]:
        """One input token swapped after the same output; the machine computes its state anew."""
        limit = self.config.trials_per_kind
        seed = self.sampler.seed
        rng = random.Random(f"{seed} swaps")
        swaps: dict[str, list[tuple[Step, TokenTuple]]] = {"before": [], "at": [], "after": []}
        unchanged: dict[str, int] = dict.fromkeys(swaps, 0)
        for step in self._steps(seed + 1, self.config.steps_per_trial * limit):
            variants = list(filter(self.is_allowed, self.sampler.one_token_variants(step.tokens)))
            count = min(self.config.swaps_per_step, len(variants))
            for new in rng.sample(variants, count):
                side, run = _side_of_pointer(step, new), self.sampler.trace(new)
                if side is None or step.t >= len(run.emitting_states) or len(swaps[side]) >= limit:
                    continue
                same = run.outputs[step.t] == step.output
                if same and unchanged[side] >= limit // 2:
                    continue  # most swaps change nothing: leave room for those that should
                unchanged[side] += same
                swaps[side].append((step, new))
        return {
            f"swap {side} the pointer": self._compare_swaps(some)
            for side, some in swaps.items()
            if some
        }

    def _compare_swaps(self, swaps: Sequence[tuple[Step, TokenTuple]]) -> list[InterventionTrial]:
        states: list[PrefixedState] = []
        contrasts: list[str | None] = []
        for step, new in swaps:
            state = self.sampler.trace(new).emitting_states[step.t]
            states.append(PrefixedState(state, step.t, step.prefix))
            own = self.sampler.trace(step.tokens).emitting_states[step.t]
            contrasts.append(resume_from(own, new, step.t, own.out))
        return self._compare([step for step, _ in swaps], states, contrasts)

    def _transplant_rows(self) -> list[InterventionTrial]:
        """All heads act at the prediction position as at another step: the pointer is set."""
        limit = self.config.trials_per_kind
        pairs = [
            pair
            for variable in self.sampler.variables
            if variable.kind is VariableKind.POINTER
            for pair in self.sampler.sample(variable, limit)
            if pair.base.tokens == pair.source.tokens
        ]
        pairs = pairs_where_model_agrees(self.adapter, self.task, pairs)[:limit]
        if not pairs:
            return []
        live = [i for i in range(self.adapter.n_layers) if self._is_live(i)]
        heads = tuple((i, h) for i in live for h in range(self.adapter.n_heads))
        if not heads:
            return []
        sources = tuple(p.source.tokens for p in pairs)
        plan = [Transplant(heads, sources, tuple(p.source.prefix for p in pairs))]
        rows = build_batch(
            self.task, [p.base.tokens for p in pairs], [p.base.prefix for p in pairs]
        )
        return _trials_of_pairs(pairs, next_tokens(self.adapter, self.task, rows, plan))

    def _is_live(self, layer: int) -> bool:
        """Whether the attention of a layer reaches the logits."""
        return is_live(self.adapter, self.task, head(layer).hook)

    def _interchange_at(self, site: Site) -> list[InterventionTrial]:
        """Interchange at an accepted site, with sources of another value and of the same.

        Only inputs by which no site was selected are used.
        """
        sampler, limit = self.sampler, self.config.trials_per_kind
        variable = next(v for v in sampler.variables if v.name == site.variable)
        other = sampler.sample(variable, 2 * limit)
        same = sampler.sample(variable, 2 * limit, same_value=True)
        _, other = split_selection_report(pairs_where_model_agrees(self.adapter, self.task, other))
        _, same = split_selection_report(pairs_where_model_agrees(self.adapter, self.task, same))
        pairs = [*other[:limit], *same[: limit // 2]]
        if not pairs:
            return []
        with source_cache():
            tokens = predict_patched(self.adapter, self.task, pairs, PatchSpec(site.patch))
        return _trials_of_pairs(pairs, tokens)


def _trials_of_pairs(pairs: Sequence[Pair], written: Sequence[str]) -> list[InterventionTrial]:
    return [
        InterventionTrial.of(p.base.output, token, p.counterfactual)
        for token, p in zip(written, pairs, strict=True)
    ]


def _states_by_output(sampler: PairSampler) -> dict[tuple[int, TokenTuple], MachineRun]:
    """The machine's state after an output, by input length and output, where there is only one."""
    found = dict[tuple[int, TokenTuple], dict[object, MachineRun]]()
    for x in sampler.inputs:
        run = sampler.trace(x)
        for t, state in enumerate(run.emitting_states):
            values = (state.mode, *state.registers.items(), *state.stack, len(state.out))
            found.setdefault((len(x), run.outputs[:t]), {})[values] = state
    return {key: next(iter(some.values())) for key, some in found.items() if len(some) == 1}


def _side_of_pointer(step: Step, new: TokenTuple) -> str | None:
    """Whether another input differs before, at or after the read position; None without one."""
    at = next(i for i, (a, b) in enumerate(zip(step.tokens, new, strict=True)) if a != b)
    if step.read_position is None:
        return None
    if at == step.read_position:
        return "at"
    return "before" if at < step.read_position else "after"
