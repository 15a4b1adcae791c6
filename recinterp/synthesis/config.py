"""Every threshold of the search for a machine, by the stage that reads it.

Costs and gains are counted in inputs: an input whose output the machine gets wrong costs 1.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class QueryConfig:
    """Which inputs the oracle is queried with.

    Attributes:
        max_listed_per_length: inputs; a length that has no more is queried completely, because
            short inputs name a fault in the fewest tokens.
        per_cell: inputs drawn for each pair of length and depth. Coverage of the cells matters more
            than volume, and a rule that fires in a cell at all fires in most of 14 inputs.
        min_cells: cells; a length with fewer depths draws as many inputs as one with this many.
        default_max_length: tokens, where a domain names no greatest length.
        full_sample_size: inputs of the large sample on which guard trees are fitted. 30,000 run in
            seconds, and a tree with 150 leaves has 200 inputs for each.
        max_enumerated: inputs; a domain with no more is listed and shuffled, a larger one sampled.
        screened: natural inputs on which the machine is compared with the ground truth, without a
            query, in search of inputs on which it predicts a failure.
        max_predicted_failures: queries on inputs for which the machine predicts a failure.
        max_natural: queries on inputs drawn from the natural distribution. With 3,000 a failure
            rate of 0.5 % is seen 15 times.
    """

    max_listed_per_length: int = 40
    per_cell: int = 14
    min_cells: int = 4
    default_max_length: int = 16
    full_sample_size: int = 30_000
    max_enumerated: int = 100_000
    screened: int = 20_000
    max_predicted_failures: int = 300
    max_natural: int = 3_000


@dataclass(frozen=True, kw_only=True)
class GuardConfig:
    """Which guards an edit may add to a rule, and how they are chosen.

    Attributes:
        false_fire_weight: events that should fire the guard for one that should not. Above 1, as a
            rule that was right there becomes wrong.
        max_atoms: atoms of a conjunction. Four would separate any small set of events by chance.
        beam_width: shorter guards that each longer guard grows from.
        atom_cost: events that an atom has to gain, so that the shorter of equal guards is chosen.
        max_events: events on which a guard is scored, evenly spaced where there are more. On far
            fewer, guards that differ look alike.
        max_ranked: guards, best first, among which those that fire on the same events are grouped.
        max_guards: guards returned for one set of events.
        max_vocab_for_runs: tokens; run lengths are offered for vocabularies up to this size, since
            each token adds four atoms for every pointer.
    """

    false_fire_weight: float = 2.0
    max_atoms: int = 3
    beam_width: int = 12
    atom_cost: float = 0.1
    max_events: int = 20_000
    max_ranked: int = 150
    max_guards: int = 6
    max_vocab_for_runs: int = 6


@dataclass(frozen=True, kw_only=True)
class EditConfig:
    """The beam search for small edits of the ground-truth machine.

    Attributes:
        beam_width: machines that are edited further in each round.
        max_rounds: edits in a chain; also the number of rules that abstain.
        max_candidates: candidates run in each round, those with the greatest bound on their gain.
        max_fully_scored: candidates scored on every input, after all were scored on a sample.
        max_children: edited machines that a round keeps of each parent.
        sample_size: inputs of that sample, half of them failing.
        max_runs_in_memory: runs of variants that are held in memory together.
        max_steps: steps of a run of an edited machine; an edit may loop while it writes.
        min_support: inputs that an edit has to explain at least, or it is a table entry.
        min_support_share: share of the unexplained inputs that an edit has to explain at least.
        node_cost: inputs for a node that an edit adds, up to `readable_size`.
        readable_size: nodes that a reader can follow. Beyond this size each node costs
            `excess_node_cost`, so that only a table that explains very much is accepted.
        excess_node_cost: inputs for a node beyond `readable_size`.
        fixed_place_penalty: nodes added to an edit's size when it copies from a fixed place of the
            input. Reading beside the pointer takes more nodes, but is more often the same rule on
            inputs of another length.
        late_difference_discount: cost saved, out of 1, when an output first differs at its very
            end. It leads the beam towards edits that are right for longer.
        min_fault_events: events of one rule that have to be faulty before it is edited.
        max_event_sets: sets of faulty events, largest first, that a rule's other actions explain.
        max_equal_guards: guards with equal events that are tried when a pointer moves otherwise;
            after such an edit they no longer fire on the same events.
        max_omission_guards: guards tried when a rule leaves an update out.
        max_goto_guards: guards tried when a rule goes to another control state.
        max_words: emitted words tried for a rule, multiplied by two for the empty word and by one
            more for each further token.
        max_word_length: tokens of an emitted word.
        end_places: places at either end of the input from which a token may be copied.
        max_modes_for_gotos: control states; machines with more are not tried with another goto
            unless an output token shows it.
    """

    beam_width: int = 3
    max_rounds: int = 4
    max_candidates: int = 500
    max_fully_scored: int = 18
    max_children: int = 6
    sample_size: int = 240
    max_runs_in_memory: int = 60_000
    max_steps: int = 2_000
    min_support: int = 3
    min_support_share: float = 0.02
    node_cost: float = 0.05
    readable_size: int = 70
    excess_node_cost: float = 0.2
    fixed_place_penalty: int = 3
    late_difference_discount: float = 0.5
    min_fault_events: int = 2
    max_event_sets: int = 10
    max_equal_guards: int = 6
    max_omission_guards: int = 60
    max_goto_guards: int = 12
    max_words: int = 6
    max_word_length: int = 3
    end_places: int = 6
    max_modes_for_gotos: int = 8


@dataclass(frozen=True, kw_only=True)
class AbstentionConfig:
    """The decision tree that restricts a machine to inputs on which it is reliable.

    Attributes:
        min_leaf_accuracy: share of a leaf's inputs that the machine has to get right to cover it.
            Slightly above the 0.95 that makes a leaf of failures "reliably wrong".
        min_leaf_inputs: inputs on each side of a split.
        max_depth: questions on the way to a leaf; with more the region is no longer readable.
        max_impurity_ratio: impurity after a split over the impurity before it.
    """

    min_leaf_accuracy: float = 0.97
    min_leaf_inputs: int = 8
    max_depth: int = 3
    max_impurity_ratio: float = 0.98


@dataclass(frozen=True, kw_only=True)
class GuardTreeConfig:
    """Guard trees fitted to the ground-truth machine's control states.

    Attributes:
        folds: folds of the validation by which the number of leaves is chosen.
        small_dataset: inputs; a dataset with no more is validated in `small_folds`, and trees are
            fitted to every candidate machine instead of the most promising ones.
        small_folds: folds for a small dataset, so that trees are fitted to nearly all of it.
        max_leaves: leaves of all trees together; a larger machine explains nothing to a reader.
        patience: leaves added without one more explained validation input before growth stops.
        leaf_gain: validation inputs that a leaf has to explain.
        leaf_cost: inputs for a leaf when a tree is ranked against other hypotheses.
        slack: share of the failures that may be missed for fewer leaves.
        target_recall: share of the failures that should be explained; 0.9 with a little to spare.
        min_leaf_accuracy: share of a leaf's inputs that validation has to explain; other leaves
            that change the output abstain.
        failure_weight: greatest weight of an event of a failing input, so that few failures are
            not outvoted.
        small_failure_weight: the greater weight tried beside it on datasets of `screening_size`.
        screening_size: inputs by which the machines to fit trees on are compared.
        offsets: places around each pointer from which a token may be read.
        end_places: places counted from either end of the input.
        max_tail: tokens beyond the machine's own output that a tree may predict.
        max_classes: actions distinguished in one node.
        min_side_events: events on each side of a split.
        initial_atoms: single atoms from which a vote is grown.
        max_votes: atoms of a vote.
        min_vote_gain: factor by which one more atom has to improve a vote.
        split_sample_size: events by which the best split is chosen.
    """

    folds: int = 4
    small_dataset: int = 2_500
    small_folds: int = 10
    max_leaves: int = 150
    patience: int = 120
    leaf_gain: float = 1.0
    leaf_cost: float = 0.5
    slack: float = 0.01
    target_recall: float = 0.905
    min_leaf_accuracy: float = 0.7
    failure_weight: float = 2.0
    small_failure_weight: float = 6.0
    screening_size: int = 6_000
    offsets: tuple[int, ...] = (0, 1, -1, 2, -2)
    end_places: int = 16
    max_tail: int = 24
    max_classes: int = 10
    min_side_events: int = 2
    initial_atoms: int = 2
    max_votes: int = 4
    min_vote_gain: float = 1.05
    split_sample_size: int = 6_000


@dataclass(frozen=True, kw_only=True)
class MergeConfig:
    """State merging: machines learned from inputs and outputs only.

    Attributes:
        max_states: control states; a machine with more is no explanation.
        max_rules: rules of the merged states, one for each way to act on a token; a view with more
            has not found what labels have in common.
        max_missed_share: share of the validation inputs that a machine may miss; one that misses
            more is a table of the others.
        max_conflict_share: steps in conflict for each input of the dataset; a view with more cannot
            express the function.
        conflicts_per_error: steps in conflict for each unexplained output that is acceptable.
        good_error_share: share of wrong outputs with which no bounded view is tried any more.
        good_states: control states with which no bounded view is tried any more.
        bounded_views: views, fewest conflicts first, that are tried with a bound.
        bounds_per_view: bounds tried on each of those.
        error_weight: machine nodes for a wrong output, about what it takes to write it down.
        fact_weight: machine nodes for a fact that the view has to know ahead.
        min_count_match: share of the outputs whose length the token counts have to predict.
        max_machines: learned machines that are compared with the edits.
    """

    max_states: int = 24
    max_rules: int = 1_000
    max_missed_share: float = 0.08
    max_conflict_share: float = 0.2
    conflicts_per_error: int = 2
    good_error_share: float = 0.01
    good_states: int = 8
    bounded_views: int = 2
    bounds_per_view: int = 2
    error_weight: int = 25
    fact_weight: int = 10
    min_count_match: float = 0.9
    max_machines: int = 3


@dataclass(frozen=True, kw_only=True)
class AlternativesConfig:
    """Machines that agree with the chosen one on the whole domain.

    Attributes:
        max_per_edit: machines with another guard that are compared, for each edit.
        extra_length: tokens beyond the domain's greatest length where a difference is looked for.
        sampled: inputs of the domain, and inputs beyond it, that are compared.
        max_queries: inputs that the oracle is queried with because two machines differ there.
    """

    max_per_edit: int = 6
    extra_length: int = 4
    sampled: int = 1_500
    max_queries: int = 40


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """The thresholds of `synthesize`; `dataclasses.replace(config, field=…)` changes one of them.

    Attributes:
        queries: which inputs the oracle is queried with.
        guards: which guards an edit may add.
        edits: the search for small edits of the ground-truth machine.
        abstention: where a machine makes no claim.
        trees: guard trees.
        merging: state merging.
        alternatives: equivalent machines.
        abstention_cost: inputs for one on which the machine makes no full claim. Between 0 and 1:
            better than a wrong claim, worse than a right one.
        flagged_failure_cost: inputs for one on which the machine makes no claim but flags the
            model's failure.
        reliably_wrong_rate: share of failing outputs from which a region is flagged as failing.
        max_unexplained: share of the failures that a strategy may leave unexplained without another
            strategy being tried.
        max_unexplained_full_sample: the stricter share on the full sample; where more are left,
            guard trees are fitted.
        max_unexplained_preferred: share up to which a machine that predicts failing outputs is
            preferred to one that only flags them.
        min_failures: failures in the dataset without which nothing is learned from it.
        max_wrong_natural: share of predicted failures, among natural inputs, that may be wrong
            before the search is repeated with them.
        max_added: natural inputs added then, of those the machine gets wrong and of those it gets
            right each.
        max_rejected: rejected hypotheses that are reported.
        max_readable_size: nodes of a machine that people can read. A larger one is a predictor,
            which says what comes out, and no algorithm.
        max_readable_extra: nodes by which a readable machine may exceed the ground truth's.
    """

    queries: QueryConfig = QueryConfig()
    guards: GuardConfig = GuardConfig()
    edits: EditConfig = EditConfig()
    abstention: AbstentionConfig = AbstentionConfig()
    trees: GuardTreeConfig = GuardTreeConfig()
    merging: MergeConfig = MergeConfig()
    alternatives: AlternativesConfig = AlternativesConfig()
    abstention_cost: float = 0.35
    flagged_failure_cost: float = 0.1
    reliably_wrong_rate: float = 0.95
    max_unexplained: float = 0.10
    max_unexplained_full_sample: float = 0.05
    max_unexplained_preferred: float = 0.15
    min_failures: int = 8
    max_wrong_natural: float = 0.02
    max_added: int = 300
    max_rejected: int = 6
    max_readable_size: int = 150
    max_readable_extra: int = 60

    @property
    def unexplained_tiers(self) -> tuple[float, ...]:
        """Shares of unexplained failures that separate better hypotheses from worse, ascending."""
        return (
            self.max_unexplained_full_sample,
            self.max_unexplained,
            self.max_unexplained_preferred,
        )


DEFAULTS = SearchConfig()
