"""An explanation put together by hand, to test the views without a model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import recinterp as ri
from recinterp.causal.results import (
    ContinuationFinding,
    ForcedPrefixRule,
    Mechanism,
    MechanismKind,
    PatchLocation,
    PrefixFeature,
    Site,
)
from recinterp.causal.variables import VariableKind
from recinterp.divergence import (
    Coverage,
    Diff,
    Divergence,
    ErrorCell,
    FeatureKind,
    InputCondition,
    Region,
    Shortcut,
    ShortcutKind,
    Verdict,
)
from recinterp.explanation import Explanation
from recinterp.judge import Fidelity, Stratum
from recinterp.probe import Head, HeadRole, LayerFinding
from recinterp.stats import Rate
from recinterp.synthesis.hypothesis import (
    RejectedHypothesis,
    RejectionReason,
    Strategy,
    StrategyKind,
)
from recinterp.view.notebook.session import Session
from tests.cases import load_shipped
from tests.view.machines import SUCCESSOR, capped

DEEP, RIGHT = ("X1", "X1", "X1", "X1", "01"), ("X0", "X0", "X0", "X0", "X0", "01")
WRONG = ("X0", "X0", "X0", "X1", "01")


ERRORS = tuple(
    ErrorCell(length=n, depth=d, errors=Rate(size if d >= 4 else 0, size))
    for n in range(2, 11)
    for d in range(n)
    if (size := max(2 ** (n - 2 - d), 1))
)

REJECTED = RejectedHypothesis(
    strategy=Strategy(kind=StrategyKind.EDITS),
    size=31,
    wrong=0,
    abstained=0,
    queried=791,
    reason=RejectionReason.LARGER,
    difference=0,
    chosen_size=24,
)


def shortcut(**changes: Any) -> Shortcut:
    found = Shortcut(
        bounds=((ShortcutKind.BOUNDED_DEPTH, 3), (ShortcutKind.POSITION_KEYED, 3)),
        counterexample=list(DEEP),
        expected=list(RIGHT),
        model_output=list(WRONG),
        share=ERRORS,
        rule="flip3",
        step="ι succ X1",
    )
    return replace(found, **changes)


def stratum(name: str, n: int, right: int) -> Stratum:
    half = Rate(n // 2, n // 2)
    return Stratum(
        name=name,
        n=n,
        match=Rate(right, n),
        failure_recall=Rate(right // 2, n // 2),
        failure_precision=Rate(right // 2, n // 2),
        flagged_recall=half,
        flagged_precision=half,
        coverage=Rate(n, n),
        baselines={
            "model is right": Rate(n // 2, n),
            "wrong beyond trained depth": Rate(0, 0),
            "nearest neighbour": Rate(n // 3, n),
        },
    )


def head(layer: int, index: int, recursion: bool) -> Head:
    return Head(
        layer=layer,
        head=index,
        role=HeadRole.READER if recursion else HeadRole.INACTIVE,
        score=0.91 if recursion else 0.12,
        effect=0.62 if recursion else 0.03,
        controls={"untrained attention": 0.02, "random direction": 0.04},
        recursion=recursion,
        follows=recursion,
        passes_gate=True,
        landmark="t + 1" if recursion else "",
    )


OVERRIDE = ForcedPrefixRule(
    when=((PrefixFeature.MODE, "carry"), (PrefixFeature.LAST, "X1")),
    then="copy",
    observed=Rate(34, 50),
    without_rule=Rate(15, 50),
)
SITE = Site(
    variable="mode",
    kind=VariableKind.MODE,
    patch=(
        PatchLocation("blocks.0.hook_resid_post", "inputs"),
        PatchLocation("blocks.0.hook_resid_post", "prediction"),
    ),
    accuracy=0.95,
    interval=(0.88, 0.98),
    pairs=60,
    control=0.03,
    same_value_control=1.0,
    accepted=True,
    d_model=64,
)
MECHANISM = Mechanism(
    kind=MechanismKind.COMPUTED_FROM_INPUT,
    forced_prefix=Rate(3, 100),
    source_swap=Rate(95, 100),
    variable="mode",
    variable_kind=VariableKind.MODE,
    site=SITE,
)


def divergence(
    tokens: tuple[str, ...],
    expected: tuple[str, ...],
    model_output: tuple[str, ...],
    machine_output: tuple[str, ...] | None,
) -> Divergence:
    return Divergence(
        input=tokens,
        expected=expected,
        model_output=model_output,
        machine_output=machine_output,
    )


CASE = divergence(DEEP, RIGHT, WRONG, None)
TOO_DEEP = InputCondition(kind=FeatureKind.DEPTH, at_least=True, bound=4)
DIFF = Diff(
    verdict=Verdict.SHORTCUT,
    mechanism="computed-from-input",
    shortcuts=(shortcut(),),
    unexplained=(),
    coverage=Coverage(conditions=(), covered=Rate(65535, 65535), correct=Rate(65535, 65535)),
    region=Region(
        wrong_where=((TOO_DEEP,),),
        right=Rate(61695, 61695),
        recall=Rate(3840, 3840),
        precision=Rate(3840, 3840),
        right_held_out=Rate(12300, 12300),
        recall_held_out=Rate(800, 800),
        precision_held_out=Rate(800, 800),
    ),
    divergent=4095,
    total=65535,
    exhaustive=True,
    errors=ERRORS,
    exact_recall=Rate(4095, 4095),
    exact_precision=Rate(4095, 4095),
    trained_length=16,
    counterexample=CASE,
)


def explanation(**changes: Any) -> Explanation:
    """A depth-capped successor's explanation; its fields and its diff's can be replaced."""
    own = {k: changes.pop(k) for k in list(changes) if k in vars(DIFF)}
    found = Explanation(
        model_name="binary-successor-natural-depthcap3",
        task=ri.task("binary-successor"),
        domain=ri.Domain(max_length=16),
        machine=capped(),
        truth=SUCCESSOR,
        diff=replace(DIFF, **own),
        fidelity=Fidelity(
            strata=(stratum("in distribution", 400, 400), stratum("depth 4", 120, 118)),
            overall=stratum("all held out", 520, 518),
            interventional=Rate(93, 100),
            unpredicted_changes=Rate(4, 90),
        ),
        heads=(head(0, 0, False), head(0, 1, False), head(1, 0, True), head(1, 1, False)),
        layers=(LayerFinding(layer=1, moved=Rate(61, 120), effect=0.5, control=0.1, carries=True),),
        sites=(SITE,),
        continuation=ContinuationFinding(),
        forced_prefix_rules=(OVERRIDE,),
        mechanism=MECHANISM,
        rejected_hypotheses=(REJECTED,),
        query_count=791,
        seconds=31.4,
    )
    return replace(found, **changes)


@cache
def session() -> Session:
    """The session of that explanation with its model, loaded once."""
    return Session(explanation(model=load_shipped()))
