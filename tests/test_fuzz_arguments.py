# ruff: noqa: E501  (the table of calls reads line by line)
"""Random wrong types, ids, shapes and paths in each public function: only this library's errors."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recinterp as ri
from recinterp import perturb as P
from recinterp.errors import RecinterpError

TASK = ri.task("binary-successor")
INPUTS = [["X1", "01"], ["X0", "X1", "01"]]
IDS = {"X0": 4, "X1": 5, "01": 3}
SECONDS = 10.0  # for one call
SOURCE = (("X0", "01"), ("X1", "X1", "01"))
NONE = ((), ())


class Odd:
    """An object that has nothing."""


JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 7, 12, -100, 4.5, float("nan"), float("inf"), 1j, b"X1",
    "", "X1", "X1 X0 01", "no such", "a\0b", "../..", "/", "x" * 5000, "é≥\ud800",
    [], [[]], [None], [7], [[7]], ["X1"], [["X9"]], [["X1", None]], [[["X1"]]], ["X1 X0 01"], INPUTS,
    (), ("X1",), ((),), {}, {"X1": 1}, {"X1"}, {1: 2}, object(), Odd(), Odd, int, len, lambda x: x,
    torch.zeros(0), torch.zeros(2, 3), torch.tensor(3), torch.zeros(2, dtype=torch.long),
    np.zeros(3), np.int64(3), np.array(["X1"]), Path("/"), Path("none"), Path(""), range(3),
    slice(1), ValueError("x"), TASK, P.ALL, P.head(1, 0), P.At("input", 1), ri.Domain(3),
]  # fmt: skip


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Callable[..., Any], Any]]:
    """By name: a function, and arguments that it takes."""
    folder = tmp_path_factory.mktemp("fuzz")
    model = ri.load("binary-successor-natural-depthcap3")
    machine, domain = TASK.machine, ri.Domain(3)
    ex = ri.explain(TASK.apply_many, TASK, domain=domain)
    ex.save(folder / "one.ex")
    plan = [P.Ablate(P.head(1, 0))]
    tiny = ri.TrainConfig(max_length=4, steps=2, d_model=8, batch_size=2)
    term = TASK.term("X1 One")
    specials = {"pad": 0, "sep": 1, "eos": 2, "bos": None}
    gallina = TASK.source

    def run(plan: Any) -> Any:
        return P.run(model, TASK, INPUTS, plan)

    def intervene(make: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return run([make(*given, **named)])

    rows: dict[str, tuple[Callable[..., Any], Any]] = {
        "task": (ri.task, {"name": "list-append", "order": "natural"}),
        "from_gallina": (
            ri.Task.from_gallina,
            {"source": gallina, "function": "succ", "order": "natural", "tokens": {"One": "01"}},
        ),
        "with_vocab": (TASK.with_vocab, {"ids": IDS, **specials, "template": "{input}{sep}{output}{eos}"}),
        "term": (TASK.term, {"text": "One"}),
        "encode": (TASK.encode, [term]),
        "encode_output": (TASK.encode_output, {"term": term}),
        "stepwise": (TASK.stepwise, {"k": 1}),
        "count": (TASK.count, {"length": 3}),
        "depths": (TASK.depths, {"length": 3}),
        "inputs": (lambda **given: list(TASK.inputs(**given)), {"max_length": 3}),
        "inputs_of": (lambda **given: list(TASK.inputs_of(**given)), {"length": 3}),
        "sample": (
            TASK.sample,
            {
                "n": 3, "seed": 0, "depth": None, "length": None, "distribution": "balanced",
                "max_length": 8, "max_depth": None, "exclude": None,
            },
        ),
        "trace": (lambda **given: str(TASK.trace(**given)), {"tokens": INPUTS[0], "strategy": "cbv"}),
        "apply_many": (TASK.apply_many, {"inputs": INPUTS}),
        "Domain": (ri.Domain, {"max_length": 5, "max_depth": None, "exclude": None, "min_length": None}),
        "Domain.contains": (domain.contains, {"task": TASK, "tokens": INPUTS[0]}),
        "Domain.sample": (domain.sample, {"task": TASK, "n": 2, "seed": 0, "distribution": "balanced"}),
        "Domain.inputs": (lambda **given: list(domain.inputs(**given)), {"task": TASK, "limit": 3}),
        "TrainConfig": (
            ri.TrainConfig,
            {
                "architecture": "decoder-only", "n_layers": 2, "n_heads": 2, "d_model": 8, "steps": 3,
                "norm": "LN", "learning_rate": 0.1, "seed": 0, "exclude": None, "d_mlp": None,
            },
        ),
        "train": (partial(ri.train, progress=False), {"task": TASK, "config": tiny, "work": None}),
        "load": (ri.load, {"name_or_path": "no such"}),
        "predict": (ri.predict, {"model": model, "task": TASK, "inputs": INPUTS}),
        "explain": (
            ri.explain,
            {
                "model": TASK.apply_many, "task": TASK, "domain": domain, "seed": 0,
                "config": ri.ExplainConfig(),
            },
        ),
        "fidelity": (
            ri.fidelity,
            {"model": TASK.apply_many, "task": TASK, "machine": machine, "domain": domain, "seed": 0},
        ),
        "diff": (ri.diff, {"a": machine, "b": ex, "domain": domain}),
        "Explanation.load": (ri.Explanation.load, {"path": folder / "one.ex"}),
        "Explanation.save": (ex.save, {"path": folder / "one.ex"}),
        "will_fail": (ex.will_fail, {"inputs": INPUTS}),
        "predict_next": (ex.predict_next, {"tokens": INPUTS[0], "prefix": []}),
        "run": (
            P.run,
            {"model": model, "task": TASK, "inputs": INPUTS, "plan": plan, "prefixes": [[], []]},
        ),
        "sweep": (
            P.sweep,
            {"model": model, "task": TASK, "inputs": INPUTS, "plans": [plan], "prefixes": None},
        ),
        "stream": (
            lambda **given: list(P.stream(**given)),
            {"model": model, "task": TASK, "inputs": INPUTS, "plans": [plan], "prefixes": None},
        ),
        "stratum": (P.stratum, {"task": TASK, "n": 3, "depth": None, "length": None, "seed": 0}),
        "At": (lambda **given: intervene(P.Ablate, P.head(0, 0, P.At(**given))), {"kind": "input", "index": 1}),
        "head": (lambda **given: intervene(P.Ablate, P.head(**given)), {"layer": 0, "head": 0, "at": P.ALL}),
        "Unit": (
            lambda **given: intervene(P.Ablate, P.Unit(**given)),
            {"hook": "blocks.0.attn.hook_v", "head": 0, "at": P.ALL},
        ),
        "Ablate": (
            partial(intervene, P.Ablate),
            {"unit": P.head(0, 0), "kind": "mean", "reference": SOURCE, "seed": 0},
        ),
        "Redirect": (partial(intervene, P.Redirect), {"layer": 0, "head": 0, "to": P.INPUTS}),
        "PathPatch": (
            partial(intervene, P.PathPatch),
            {
                "sender": (0, 0), "receiver": (1, 1), "through": "v", "inputs": SOURCE,
                "prefixes": NONE, "at": P.ALL, "mlps": False,
            },
        ),
        "Transplant": (
            partial(intervene, P.Transplant),
            {"heads": ((0, 0),), "inputs": SOURCE, "prefixes": NONE, "through": "z"},
        ),
        "FreezePatterns": (partial(intervene, P.FreezePatterns), {"layers": (0,)}),
        "Swap": (partial(intervene, P.Swap), {"tokens": ((0, "X1"), (0, "X0"))}),
        "ForcePrefix": (partial(intervene, P.ForcePrefix), {"prefixes": (("X0",), ())}),
        "Interchange": (
            partial(intervene, P.Interchange),
            {"units": (P.layer_output(0, P.PREDICTION),), "inputs": SOURCE, "prefixes": NONE},
        ),
        "Steer": (
            partial(intervene, P.Steer),
            {"unit": P.layer_output(0), "direction": torch.zeros(64), "scale": 1.0},
        ),
    }  # fmt: skip
    methods = ("apply", "decode", "depth", "length", "well_formed", "full_depth", "decode_output")
    rows |= {name: (getattr(TASK, name), {"tokens": INPUTS[0]}) for name in methods}
    return rows


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the paths that are tried can be written."""
    monkeypatch.chdir(tmp_path)


def attempts(calls: dict[str, Any], n: int, seed: int) -> Iterator[tuple[str, Any, Any]]:
    draw = random.Random(seed)
    names = sorted(calls)
    for i in range(n):
        name = names[i % len(names)]
        function, good = calls[name]
        if isinstance(good, list):
            yield name, function, [draw.choice(JUNK) for _ in good]
            continue
        wrong = draw.sample(sorted(good), draw.choice((1, 1, 1, min(2, len(good)))))
        yield name, function, {**good, **{key: draw.choice(JUNK) for key in wrong}}


class TooLong(BaseException):
    """A call has taken too long."""


def stop(*_: object) -> None:
    raise TooLong


def show(given: Any) -> str:
    try:
        return repr(given)[:400]
    except Exception:  # of a value that is no text, or a task that a call has spoilt
        return "arguments without a text"


def raw_errors(calls: dict[str, Any], n: int, seed: int) -> list[str]:
    """The calls that ended in another error than this library's, or took too long."""
    found = []
    signal.signal(signal.SIGALRM, stop)
    for name, function, given in attempts(calls, n, seed):
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            function(*given) if isinstance(given, list) else function(**given)
        except TooLong:
            found.append(f"{name}: more than {SECONDS:.0f} s for {show(given)}")
        except RecinterpError:
            continue
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {str(error)[:150]} from {show(given)}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return found


@pytest.mark.slow
def test_only_errors_of_the_library(calls: dict[str, Any]) -> None:
    found = raw_errors(calls, 400, 0)
    assert not found, "\n".join(found)


@pytest.mark.long
def test_only_errors_of_the_library_in_5000_attempts(calls: dict[str, Any]) -> None:
    found = raw_errors(calls, 5000, 1)
    assert not found, "\n".join(found)
