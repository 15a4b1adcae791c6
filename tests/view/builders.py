"""An explanation put together by hand, to test the views without a model."""

from __future__ import annotations

from types import SimpleNamespace as Plain
from typing import Any

from recinterp.rate import Rate
from recinterp.tasks import Domain
from tests.view.machines import SUCCESSOR, capped


def shortcut(**changes: Any) -> Any:
    share = [
        Plain(length=n, depth=d, hit=hits, total=hits or 2 ** (n - 2 - d))
        for n in range(2, 11)
        for d in range(n)
        for hits in [2 ** max(n - 2 - d, 0) if d >= 4 else 0]
        if n - 2 - d >= 0 or hits
    ]
    fields: dict[str, Any] = {
        "kinds": ("bounded-depth", "position-keyed"),
        "kind": "bounded-depth",
        "bound": 3,
        "counterexample": ["X1", "X1", "X1", "X1", "01"],
        "expected": ["X0", "X0", "X0", "X0", "X0", "01"],
        "model_output": ["X0", "X0", "X0", "X1", "01"],
        "share": share,
        "rule": "flip3",
        "step": "ι succ X1",
        "text": "it carries three times and then copies",
    }
    return Plain(**fields | changes)


def stratum(name: str, n: int, right: int) -> Any:
    return Plain(
        name=name,
        n=n,
        match=Rate(right, n),
        failure_recall=Rate(right // 2, n // 2),
        failure_precision=Rate(right // 2, n // 2),
        flagged_recall=Rate(n // 2, n // 2),
        flagged_precision=Rate(n // 2, n // 2),
        coverage=Rate(n, n),
        baselines={
            "model is right": Rate(n // 2, n),
            "wrong beyond trained depth": Rate(0, 0),
            "nearest neighbour": Rate(n // 3, n),
        },
    )


def head(layer: int, index: int, recursion: bool) -> Any:
    return Plain(
        layer=layer,
        head=index,
        name=f"L{layer}H{index}",
        role="reads the token at t" if recursion else "",
        score=0.91 if recursion else 0.12,
        effect=0.62 if recursion else 0.03,
        controls={"random": 0.04, "untrained": 0.02},
        recursion=recursion,
        note="",
    )


def explanation(**changes: Any) -> Any:
    """A depth-capped successor's explanation; fields can be replaced."""
    found: dict[str, Any] = {
        "task": Plain(name="binary-successor", order="natural", function="succ"),
        "model_name": "binary-successor-natural-depthcap3",
        "machine": capped(),
        "truth": SUCCESSOR,
        "heads": (head(0, 0, False), head(0, 1, False), head(1, 0, True), head(1, 1, False)),
        "recursion_heads": (),
        "sites": (
            Plain(
                variable="mode",
                where=("layer-0 output at the inputs", "layer-0 output at the query"),
                accuracy=0.95,
                interval=(0.88, 0.98),
                control=0.03,
                pairs=60,
                accepted=True,
                single=False,
                note="held redundantly",
            ),
        ),
        "mechanism": Plain(
            name="computed-from-input",
            forced_prefix=Rate(3, 100),
            source_swap=Rate(95, 100),
            layer=0,
            sentence="The carry is computed while reading and held at the inputs after layer 0.",
        ),
        "diff": Plain(
            verdict="shortcut",
            mechanism="computed-from-input",
            headline="It carries at most three times, then copies: a bounded depth of 3.",
            shortcuts=(shortcut(),),
            unexplained=(),
            region="",
            divergent=4095,
            total=65535,
            exhaustive=True,
        ),
        "fidelity": Plain(
            strata=(stratum("in distribution", 400, 400), stratum("depth 4", 120, 118)),
            interventional=Rate(93, 100),
        ),
        "domain": Domain(max_length=16),
        "runners_up": ("saturating counter in a register: the same function, larger (31)",),
        "layers": (Plain(text="Layer 1 carries the recursion; no single head of layer 0 does."),),
        "seconds": 31.4,
    }
    return Plain(**found | changes)
