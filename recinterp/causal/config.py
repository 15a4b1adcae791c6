"""The thresholds and sizes of the network half, each with its unit and the reason for its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """How pairs of steps for interchange interventions are drawn.

    Attributes:
        max_variables: Variables of a machine that are looked for. Each takes seconds; a machine
            whose guards were learned as trees reads hundreds of positions, none of them a state.
        max_base_steps: Base steps that are searched for pairs, per variable. 600 bound the time for
            variables that seldom decide a token.
        candidates_per_base: Candidate sources per base step, from the one-token variants of its
            input and again from the other inputs of its length. It bounds the time for base steps
            that no source fits.
        min_one_input_pairs: Pairs of steps of one input from which on a pointer is not tested on
            pairs of two inputs. In one input nothing but the pointers differs; 40 pairs are enough
            to place a pointer.
    """

    max_variables: int = 10
    max_base_steps: int = 600
    candidates_per_base: int = 12
    min_one_input_pairs: int = 40


@dataclass(frozen=True, kw_only=True)
class SiteConfig:
    """When an activation counts as the site of a variable.

    Attributes:
        min_accuracy: Interchange accuracy that a site must reach, and share of same-value sources
            that must leave the output unchanged, in [0, 1]. 0.85 allows a few model errors.
        max_control: Largest accuracy of random directions of the same norm, in [0, 1]. A patch
            whose random control is higher changes the output whatever is put in.
        min_single_accuracy: Accuracy from which on a single place is reported beside a joint site,
            in [0, 1]: below one half it does not store the variable on its own.
        strict_selection_accuracy: Accuracy that a patch must reach on the pairs that select it, if
            the patches selected at `min_accuracy` were not accepted on the other pairs. On so
            few pairs a patch passes 0.85 by luck more often than 0.92.
        selection_pairs: Pairs that select among the patches; an upper bound.
        report_pairs: Pairs on which accuracy and controls are reported; an upper bound. 60 give an
            interval of about ±0.08 at an accuracy of 0.9.
        min_pairs: Pairs below which a variable is not placed; subspaces are also judged on no
            fewer. 20 of 20 exclude an accuracy under 0.84.
        random_directions: Random directions whose accuracies are averaged for the control.
    """

    min_accuracy: float = 0.85
    max_control: float = 0.2
    min_single_accuracy: float = 0.5
    strict_selection_accuracy: float = 0.92
    selection_pairs: int = 40
    report_pairs: int = 60
    min_pairs: int = 20
    random_directions: int = 4

    @property
    def pairs(self) -> int:
        """Pairs drawn per variable: those that select and those that are reported on."""
        return self.selection_pairs + self.report_pairs


@dataclass(frozen=True, kw_only=True)
class SubspaceConfig:
    """How the subspace of a variable is learned.

    Attributes:
        third_token_pairs: Pairs whose source writes a third token; an upper bound. Only they
            distinguish the variable from the source's answer, so most pairs are of this kind.
        unrestricted_pairs: Pairs drawn without that condition; an upper bound.
        same_value_pairs: Pairs of equal value, whose interchange must change nothing; an upper
            bound.
        max_sources_per_base: Sources per base step. With more, the pairs of one base would
            dominate.
        d_model_per_dim: Dimensions of the residual stream per dimension of the subspace. One in
            five leaves room for other variables at the same place.
        max_variables: Variables whose subspace is learned. Each is a gradient descent of seconds.
    """

    third_token_pairs: int = 600
    unrestricted_pairs: int = 240
    same_value_pairs: int = 120
    max_sources_per_base: int = 3
    d_model_per_dim: int = 5
    max_variables: int = 6


@dataclass(frozen=True, kw_only=True)
class MechanismConfig:
    """The two tests of the mechanism.

    Attributes:
        min_effect: Share of trials from which on a test counts as changing the output as predicted,
            in [0, 1]: the majority.
        min_trials: Trials below which a test claims nothing: it counts as not made.
        max_trials: Trials of each test. 120 give an interval of about ±0.09 at one half.
        candidates_per_trial: Combinations of base, source and step that are looked at, per trial.
            Only in some of them do the two predictions differ.
        same_length_sources: Sources per base input drawn from the inputs of its length, beside all
            one-token variants.
        steps_per_source: Steps per base and source input; more of one pair of inputs are alike.
    """

    min_effect: float = 0.5
    min_trials: int = 30
    max_trials: int = 120
    candidates_per_trial: int = 40
    same_length_sources: int = 6
    steps_per_source: int = 4


@dataclass(frozen=True, kw_only=True)
class ForcedPrefixConfig:
    """How forced-prefix rules are learned.

    Attributes:
        max_steps: Steps of the machine's runs before which other outputs are forced.
        own_run_inputs: Inputs, beside those at hand, whose own runs no rule may change.
        max_rules: Rules that are learned.
        max_conditions: Features in the condition of one rule; with four, rules are no longer read.
        min_gain: Inputs on which a rule must be better than the machine without it, less the cost
            of its condition. Fewer may be a coincidence among a few hundred inputs.
        min_precision: Share of the trials a rule covers in which it must be right, in [0, 1].
        condition_cost: Inputs that a rule must gain for each feature beyond the first. The feature
            `instead` costs one more than that, for it compares two outputs.
        max_modes: Modes of a machine above which no rule continues in another mode: each mode is
            tried for each condition.
    """

    max_steps: int = 1_800
    own_run_inputs: int = 2_000
    max_rules: int = 6
    max_conditions: int = 3
    min_gain: int = 10
    min_precision: float = 0.5
    condition_cost: int = 2
    max_modes: int = 12


@dataclass(frozen=True, kw_only=True)
class ContinuationConfig:
    """How it is decided where a model goes on after an output that it would not have written.

    Attributes:
        min_trials: Trials, telling two continuations apart, below which nothing is claimed.
        per_round: Forced outputs between two tests of whether the trials decide.
        max_rounds: Rounds after which trials end.
        quantile: Normal quantile of the tests between two continuations; 2.58 is an error of 1 % in
            each of at most five rounds, so of 5 % in all.
        enough: Share of the telling trials that follow the best continuation from which on no more
            trials are made, and no mixture is looked for, once the trials decide.
        min_gain: Share of forced outputs that a mixture must predict beyond the best continuation.
        head_trials: Telling trials on which heads are ablated.
        max_heads: Heads that are reported.
    """

    min_trials: int = 30
    per_round: int = 300
    max_rounds: int = 5
    quantile: float = 2.58
    enough: float = 0.95
    min_gain: float = 0.02
    head_trials: int = 150
    max_heads: int = 4


@dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """The trials on which the machine's predictions of interventions are counted.

    Attributes:
        trials_per_kind: Interventions of each kind; an upper bound. Six kinds of 60 give the match
            an interval of about ±0.03.
        steps_per_trial: Steps that are looked at for each trial of a swapped input token: most
            swaps change nothing.
        swaps_per_step: One-token variants tried per step.
    """

    trials_per_kind: int = 60
    steps_per_trial: int = 12
    swaps_per_step: int = 6


@dataclass(frozen=True, kw_only=True)
class CausalConfig:
    """Everything that can be set about the network half of an explanation.

    Attributes:
        measured_inputs: Inputs on which heads, sites and mechanism are measured; an upper bound.
            They bound the time: each site is tried on every one of them.
        fitted_inputs: Inputs on which subspaces and forced-prefix rules are learned and counted; an
            upper bound. A third of them is never learned from.
        pairs: How pairs of steps are drawn.
        sites: When an activation counts as a site.
        subspaces: How subspaces are learned.
        mechanism: The two tests of the mechanism.
        forced_prefixes: How forced-prefix rules are learned.
        continuations: How it is decided where the model goes on after forced outputs.
        prediction: Trials of the interventional match.
    """

    measured_inputs: int = 200
    fitted_inputs: int = 600
    pairs: PairConfig = PairConfig()
    sites: SiteConfig = SiteConfig()
    subspaces: SubspaceConfig = SubspaceConfig()
    mechanism: MechanismConfig = MechanismConfig()
    forced_prefixes: ForcedPrefixConfig = ForcedPrefixConfig()
    continuations: ContinuationConfig = ContinuationConfig()
    prediction: PredictionConfig = PredictionConfig()


DEFAULTS = CausalConfig()
