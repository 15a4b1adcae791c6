"""What the network half of an explanation finds: places, sites, mechanism, forced-prefix rules.

These are plain values, free of torch: the report and saved explanations need no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from recinterp.causal.variables import VariableKind
from recinterp.machine.continuation import Continuation
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.models import Adapter

UNSEEN = Rate(0, 0)
AT_POINTER, OTHERS_THAN = "at ", "others than "
READING = ("read", "changed", "others", "inputs")


@dataclass(frozen=True)
class PatchLocation:
    """One place of a patch: a hook point, or one head of it, at a class of positions.

    Attributes:
        hook: the hook point's name, such as `blocks.0.hook_resid_post`.
        position: `prediction` (where the next token is predicted), `sep`, `read` (the input
        position
            that is read), `changed` (where base and source input differ), `others` (all inputs but
            the one read), `inputs`, `outputs`; `at p` for a pointer p of the machine, and `others
            than p` for all inputs but the one at p.
        head: a head's index, where the hook point has one value per head; None for all of them.
        block: the block's name where that is not its number (E0, D0, X0 of encoder-decoders).
    """

    hook: str
    position: str
    head: int | None = None
    block: str = ""

    @property
    def layer(self) -> int:
        """The layer whose output it is; -1 for the embeddings."""
        number = int(self.hook.split(".")[1])
        return number - 1 if self.hook.endswith("resid_pre") else number

    @property
    def is_attention(self) -> bool:
        """Whether it is an output of attention heads, before the output projection."""
        return self.hook.endswith("hook_z")

    @property
    def is_layer_output(self) -> bool:
        """Whether it is the residual stream after a layer."""
        return self.hook.endswith("resid_post")

    @property
    def while_reading(self) -> bool:
        """Whether it lies before the output begins."""
        return self.position in READING or self.position.startswith((AT_POINTER, OTHERS_THAN))

    @property
    def stage(self) -> int:
        """The place in the order of computation: embeddings 0, attention 1, layer output 2, …"""
        return 2 * self.layer + (1 if self.is_attention else 2)

    def with_block_name(self, adapter: Adapter) -> PatchLocation:
        """This place with the name of its block, for models whose blocks have names."""
        if adapter.architecture != "encoder-decoder" or self.layer < 0:
            return self
        return replace(self, block=adapter.block_names[self.layer])


Patch: TypeAlias = tuple[PatchLocation, ...]


def is_single(patch: Patch) -> bool:
    """Whether a patch is one site: one place, or the one token in which the runs differ."""
    return len(patch) == 1 and patch[0].position not in ("others", "inputs", "outputs")


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a variable of the machine is stored in the network, with the evidence for it.

    Attributes:
        variable: the variable's name.
        kind: what the variable is.
        patch: the places whose activations were interchanged; empty where too few pairs of steps
            distinguish the variable's values to place it.
        accuracy: share of interchanges after which the model writes the counterfactual token, in
            [0, 1]; NaN where it was not placed.
        interval: Wilson's 95 % interval of the accuracy.
        pairs: number of pairs that the accuracy is counted on.
        control: the accuracy of random directions of the same norm (mean of four), in [0, 1].
        same_value_control: share of sources of the same value that leave the output unchanged, in
            [0, 1]; NaN where there are no such pairs.
        accepted: whether accuracy and controls pass the thresholds.
        third_token_accuracy: the accuracy on pairs whose source writes a third token, so that
            copying the source's answer is as wrong as keeping the base's.
        unrestricted_accuracy: the accuracy on pairs drawn without that condition.
        dims: dimensions of the learned subspace at each place, where only that was interchanged;
            0 where the complete activation was.
        d_model: dimensions of the residual stream.
    """

    variable: str
    kind: VariableKind
    patch: Patch = ()
    accuracy: float
    interval: tuple[float, float]
    pairs: int
    control: float
    same_value_control: float
    accepted: bool
    third_token_accuracy: Rate = UNSEEN
    unrestricted_accuracy: Rate = UNSEEN
    dims: int = 0
    d_model: int

    @property
    def single(self) -> bool:
        """Whether the variable is stored at one place, and not jointly at several."""
        return is_single(self.patch)


class MechanismKind(StrEnum):
    """How a model obtains its machine's state at each step.

    CARRIED: it reads the state off the output written so far. COMPUTED_FROM_INPUT: it computes the
    state from the input. REDUNDANT: it does both. NEITHER: neither test changes the output as
    predicted. NO_TRIALS: no two runs distinguish the values of the state. OUTPUTS_ONLY: the model
    is a function whose activations cannot be read.
    """

    CARRIED = "carried"
    COMPUTED_FROM_INPUT = "computed-from-input"
    REDUNDANT = "redundant"
    NEITHER = "neither"
    NO_TRIALS = "no-trials"
    OUTPUTS_ONLY = "outputs-only"


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """How a model obtains its machine's state, and the evidence for it.

    Attributes:
        kind: which of the two tests changes the output.
        forced_prefix: share of trials that follow the state of a forced output prefix.
        source_swap: share of trials that follow a swapped input after the same output prefix.
        variable: name of the variable that makes the state; empty where none could be tested.
        variable_kind: what that variable is; None where none could be tested.
        site: the first accepted site of the state; where none is accepted, the most accurate one;
            None where the state could not be placed.
        partial_site: where the site is a joint one, a single place of the same stage that stores
            the state in part.
    """

    kind: MechanismKind
    forced_prefix: Rate = UNSEEN
    source_swap: Rate = UNSEEN
    variable: str = ""
    variable_kind: VariableKind | None = None
    site: Site | None = None
    partial_site: Site | None = None

    @property
    def was_tested(self) -> bool:
        """Whether there was any trial of the two tests."""
        return bool(self.forced_prefix.total or self.source_swap.total)

    @property
    def layer(self) -> int | None:
        """The layer whose output stores the state; -1: the embeddings; None: no accepted site."""
        if self.site is None or not self.site.accepted:
            return None
        return self.site.patch[-1].layer


class PrefixFeature(StrEnum):
    """What the condition of a forced-prefix rule refers to.

    MODE: the machine's mode. RULE: the rule that would fire. WRITES: the token that the machine
    would write. LAST: the last output token. INSTEAD: the token that the machine would have written
    there, if another stands there. BEFORE: the output token before the last. ONLY: the one token
    that the output consists of.
    """

    MODE = "mode"
    RULE = "rule"
    WRITES = "writes"
    LAST = "last"
    INSTEAD = "instead"
    BEFORE = "before"
    ONLY = "only"


Condition: TypeAlias = tuple[tuple[PrefixFeature, str], ...]


@dataclass(frozen=True, kw_only=True)
class ForcedPrefixRule:
    """What a model does after an output prefix that it would not have written itself.

    Attributes:
        when: the condition, as features with their values (`PrefixedState.features`); all hold.
        then: the mode from which the model continues; None: the output ends.
        observed: how often the model does that, on inputs from which no rule was learned.
        without_rule: how often the machine without this rule predicts the model's token there.
    """

    when: Condition
    then: str | None
    observed: Rate
    without_rule: Rate

    def fits(self, features: Mapping[PrefixFeature, str]) -> bool:
        """Whether the condition holds for a state with these features."""
        return all(features[feature] == value for feature, value in self.when)


class PullKind(StrEnum):
    """What draws the next output token to a step of the machine's own run.

    POSITION: step t, when t tokens are written. AFTER_LAST: the step after one that wrote the last
    output token. AFTER_TWO: two steps after one that wrote the token before the last. UNWRITTEN: a
    step whose token is not in the output. FIRST_UNWRITTEN: the first of those. END: the end.
    END_WHEN_FULL: the end, when the output is as long as the machine's own.
    """

    POSITION = "position"
    AFTER_LAST = "after-last"
    AFTER_TWO = "after-two"
    UNWRITTEN = "unwritten"
    FIRST_UNWRITTEN = "first-unwritten"
    END = "end"
    END_WHEN_FULL = "end-when-full"


@dataclass(frozen=True, kw_only=True)
class Pull:
    """How strongly one thing draws the next output token to a step of the machine's own run.

    Attributes:
        kind: what draws.
        offset: steps from there; -1 is the step before.
        written: tokens that must be written for it to count; None: any number.
        left: tokens by which the output must be shorter than the machine's own for it to count;
            None: any number.
        weight: what it adds to the score of the step, in logits.
    """

    kind: PullKind
    offset: int = 0
    written: int | None = None
    left: int | None = None
    weight: float


@dataclass(frozen=True, kw_only=True)
class ContinuationScore:
    """How often a model goes on as a machine with some continuation does.

    Attributes:
        continuation: the preferences; none: the position is carried.
        followed: share of the telling trials in which the model writes this machine's token.
    """

    continuation: Continuation
    followed: Rate


@dataclass(frozen=True, kw_only=True)
class ContinuationHead:
    """A head without which a model no longer goes on as its machine does.

    Attributes:
        layer: index of its layer.
        head: index within the layer.
        block: name of its block; L0, or D0 and X0 in an encoder-decoder.
        without: share of the telling trials in which the model goes on as its machine does while
            the head's output is replaced by its mean.
        unforced: control: share of its own steps at which the model still writes the same token
            while the head is ablated.
    """

    layer: int
    head: int
    block: str = ""
    without: Rate
    unforced: Rate

    @property
    def name(self) -> str:
        """L1H0; D1H0 and X1H0 in an encoder-decoder."""
        return f"{self.block or f'L{self.layer}'}H{self.head}"


@dataclass(frozen=True, kw_only=True)
class ContinuationFinding:
    """How a model finds where it goes on, decided by outputs that are forced on it.

    Attributes:
        chosen: the continuation of the learned machine; none: the position is carried.
        decided: whether the interventions tell it from every other that explains the outputs.
        scores: every continuation that explains the outputs, with how often the model follows it.
        pulls: how strongly each thing draws the next token, where a mixture predicts forced outputs
            better than the chosen continuation alone; otherwise empty.
        predicted: share of forced outputs whose next token is predicted, on inputs from which
            nothing was fitted.
        heads: the heads without which the model goes on otherwise.
    """

    chosen: Continuation = ()
    decided: bool = False
    scores: tuple[ContinuationScore, ...] = ()
    pulls: tuple[Pull, ...] = ()
    predicted: Rate = UNSEEN
    heads: tuple[ContinuationHead, ...] = ()

    @property
    def telling_trials(self) -> int:
        """Trials in which not all continuations predict the same token."""
        return max((score.followed.total for score in self.scores), default=0)

    @property
    def followed(self) -> Rate:
        """How often the model goes on as the chosen continuation does."""
        return next((s.followed for s in self.scores if s.continuation == self.chosen), UNSEEN)
