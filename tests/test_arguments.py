"""Arguments of another kind than a function takes: what came, what is wrong, what would do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import recinterp as ri
from recinterp.errors import (
    CheckpointError,
    DomainError,
    IncompatibleModelError,
    InterventionError,
    MachineError,
    MalformedArgumentError,
    ModelError,
    RecinterpError,
    TaskError,
    UnknownNameError,
)
from recinterp.models import Adapter
from recinterp.models.checkpoint import find_contradiction
from recinterp.models.model_lock import hold_model
from recinterp.perturb import Ablate, Unit, head, run, stream, sweep

TASK = ri.task("binary-successor")
SHORT = [["X1", "01"], ["X0", "01"], ["01"], ["X1", "X1", "01"]]
IDS = {"X0": 4, "X1": 5, "01": 3}
CAPPED = "binary-successor-natural-depthcap3"


@pytest.fixture(scope="module")
def model() -> Any:
    return ri.load(CAPPED)


def right(inputs: list[list[str]]) -> list[list[str]]:
    return TASK.apply_many(inputs)


# a function in place of a model
BAD_FUNCTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "ids": (
        lambda xs: [[TASK.ids[t] for t in y] for y in right(xs)],
        r"output 0 is \[1, 1, 0\].*decode the ids",
    ),
    "a tensor": (lambda xs: torch.zeros(len(xs), 3), r"returned a Tensor of shape \(4, 3\)"),
    "a tensor for each": (
        lambda xs: [torch.zeros(3) for _ in xs],
        r"output 0 is a Tensor of shape \(3,\).*decode the ids",
    ),
    "None": (lambda xs: None, "returned None"),
    "None for each": (lambda xs: [None for _ in xs], "output 0 is None"),
    "a dictionary": (lambda xs: dict(enumerate(right(xs))), r"returned \{0: \["),
    "one string": (lambda xs: "X0 01", "returned 'X0 01'"),
    "strings": (lambda xs: [" ".join(y) for y in right(xs)], r"is the string .*y\.split\(\)"),
    "too few": (lambda xs: right(xs)[1:], "given 4 inputs and returned 3 outputs"),
    "one input at a time": (
        TASK.apply,
        r"takes one input: given \['X1', '01'\] it returned.*pass lambda inputs: \[f\(x\)",
    ),
    "one input, rearranged": (lambda x: x[::-1], "takes one input"),
    "one input, shown": (lambda x: [t.lower() for t in x], "takes one input"),
    "an error": (lambda xs: 1 // 0, "raised ZeroDivisionError"),
}


@pytest.mark.parametrize("name", BAD_FUNCTIONS)
def test_a_function_that_returns_something_else_is_refused(name: str) -> None:
    function, message = BAD_FUNCTIONS[name]
    with pytest.raises(IncompatibleModelError, match=message):
        ri.predict(function, TASK, SHORT)
    with pytest.raises(IncompatibleModelError, match="query the function"):
        ri.explain(function, TASK, domain=ri.Domain(max_length=4))
    with pytest.raises(IncompatibleModelError, match="query the function"):
        ri.fidelity(function, TASK, TASK.machine, domain=ri.Domain(max_length=6))


def test_outputs_that_are_inputs_are_no_fault_of_a_function() -> None:
    assert ri.predict(lambda xs: [list(x) for x in xs], TASK, SHORT) == SHORT
    assert ri.predict(right, TASK, SHORT) == right(SHORT)
    assert ri.predict(lambda xs: (tuple(y) for y in right(xs)), TASK, SHORT) == right(SHORT)


# inputs
@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (["X1 X0 01"], MalformedArgumentError, r"input 0 is 'X1 X0 01'.*split it: \['X1', 'X0'"),
        ("X1 X0 01", MalformedArgumentError, "the inputs are 'X1 X0 01'"),
        (["X1", "01"], MalformedArgumentError, "which is one input"),
        ([[5, 3]], MalformedArgumentError, "5 is no token.*give tokens, not ids"),
        (torch.zeros(2, 3), MalformedArgumentError, "Tensor of shape.*give tokens, not ids"),
        ([["X1", "X9", "01"]], UnknownNameError, "there is no 'X9'"),
        ([["X1", None]], MalformedArgumentError, "None is no token"),
        (None, MalformedArgumentError, "the inputs are None"),
        ({"X1": 1}, MalformedArgumentError, "the inputs are"),
        (7, MalformedArgumentError, "the inputs are 7"),
        ([["X1"] * 60 + ["01"]], IncompatibleModelError, "positions and the model has"),
    ],
)
def test_inputs_of_another_kind_are_refused(
    model: Any, inputs: Any, error: type[RecinterpError], message: str
) -> None:
    plan = [Ablate(head(1, 0))]
    with pytest.raises(error, match=message):
        run(model, TASK, inputs, plan)
    with pytest.raises(error, match=message):
        sweep(model, TASK, inputs, [plan])
    with pytest.raises(error, match=message):
        list(stream(model, TASK, inputs, [plan]))
    with pytest.raises(RecinterpError):
        ri.predict(model, TASK, inputs)


def test_plans_of_another_kind_are_refused(model: Any) -> None:
    step = Ablate(head(1, 0))
    for plan, message in [
        (step, "the plan is one Ablate.*into a list"),
        (None, "the plan is None"),
        ([head(1, 0)], "a Unit is no intervention"),
        ([[step]], "is no intervention"),
    ]:
        with pytest.raises(InterventionError, match=message):
            run(model, TASK, SHORT, plan)  # type: ignore[arg-type]
        with pytest.raises(InterventionError):
            sweep(model, TASK, SHORT, [plan])  # type: ignore[list-item]


def test_interventions_of_another_kind_are_refused_as_they_are_made() -> None:
    for make, message in [
        (lambda: Ablate(((1, 0),)), r"a unit is \(1, 0\).*use head\(1, 0\)"),
        (lambda: head(1, "0"), "the head is '0', which is no index"),
        (lambda: Unit(7), "its hook is 7"),
        (lambda: Unit("blocks.0.attn.hook_z", 0.5), "the head is 0.5"),
        (lambda: Unit("blocks.0.attn.hook_z", 0, "all"), "they are 'all'"),
        (lambda: ri.perturb.Redirect(0, 0, 3), "they are 3"),
        (lambda: ri.perturb.Swap(("X1",)), "a swap is 'X1'"),
        (lambda: ri.perturb.ForcePrefix(("X0 01",)), r"the prefixes are \('X0 01',\)"),
        (lambda: ri.perturb.PathPatch(0, (1, 1), "v", (), ()), "the sender is 0"),
        (lambda: ri.perturb.Transplant(((0, 0),), (), (), "v"), "no such activation"),
        (lambda: ri.perturb.Steer(head(1, 0), [1.0]), "the direction is"),
    ]:
        with pytest.raises(InterventionError, match=message):
            make()


def test_models_on_other_devices_are_refused(model: Any) -> None:
    bare = ri.load(CAPPED)
    bare.to("meta")
    for call in (
        lambda: ri.predict(bare, TASK, SHORT),
        lambda: run(bare, TASK, SHORT, []),
        lambda: ri.explain(bare, TASK, domain=ri.Domain(max_length=4)),
    ):
        with pytest.raises(IncompatibleModelError, match="on the meta device"):
            call()


# tasks, models, domains
def test_swapped_and_named_arguments_are_refused(model: Any) -> None:
    domain = ri.Domain(max_length=4)
    for call, error, message in [
        (lambda: ri.explain(TASK, model), IncompatibleModelError, "pass the model first"),
        (lambda: ri.explain(CAPPED, TASK), IncompatibleModelError, rf"pass ri.load\('{CAPPED}'\)"),
        (
            lambda: ri.explain(model, "binary-successor"),
            TaskError,
            r"the task is 'binary-successor'.*pass ri.task\('binary-successor'\)",
        ),
        (lambda: ri.explain(model, TASK, domain=7), DomainError, r"Domain\(max_length=7\)"),
        (lambda: ri.explain(model, TASK, domain=domain, seed="x"), MalformedArgumentError, "seed"),
        (lambda: ri.explain(model, TASK, domain=domain, config={}), MalformedArgumentError, "conf"),
        (lambda: ri.explain(type(model), TASK), IncompatibleModelError, "not its class"),
        (lambda: ri.fidelity(TASK, model, TASK.machine), TaskError, "the task is a"),
        (lambda: ri.fidelity(model, TASK, "truth"), MachineError, "the machine is 'truth'"),
        (lambda: ri.predict(TASK, TASK, SHORT), IncompatibleModelError, "the model is a Task"),
        (lambda: ri.predict(model, "succ", SHORT), TaskError, "the task is 'succ'"),
        (lambda: ri.train("succ"), TaskError, "the task is 'succ'"),
        (lambda: ri.train(TASK, {}), ModelError, r"the config is \{\}"),
        (lambda: ri.TrainConfig(steps="9"), ModelError, "steps is '9'"),
        (lambda: ri.TrainConfig(learning_rate=float("nan")), ModelError, "learning_rate is nan"),
    ]:
        with pytest.raises(error, match=message):
            call()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("bound", [-1, 0, "7", 7.0, True, [7]])
def test_bounds_of_a_domain_are_whole_numbers(bound: Any) -> None:
    with pytest.raises(DomainError, match=r"max_length is"):
        ri.Domain(bound)
    if bound != 0 or bound is True:
        with pytest.raises(DomainError, match=r"max_depth is"):
            ri.Domain(max_depth=bound)
    with pytest.raises(DomainError, match="exclude is"):
        ri.Domain(7, exclude="X1")  # type: ignore[arg-type]
    assert ri.Domain(torch.tensor(7)).max_length == 7  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [None, -100, -1, 4.5, "4", True])
def test_ids_are_whole_numbers(bad: Any) -> None:
    with pytest.raises(TaskError, match="the id of X0 is"):
        TASK.with_vocab(IDS | {"X0": bad}, pad=0, sep=1, eos=2)
    for name in ("pad", "sep"):
        with pytest.raises(TaskError, match=f"the id of {name.upper()} is"):
            TASK.with_vocab(IDS, **({"pad": 0, "sep": 1, "eos": 2} | {name: bad}))


def test_bos_and_the_template_go_together() -> None:
    with pytest.raises(TaskError, match=r"bos=7 is given, and the template .* has no \{bos\}"):
        TASK.with_vocab(IDS, pad=0, sep=1, eos=2, bos=7)
    with pytest.raises(TaskError, match=r"no id for \{bos\}"):
        TASK.with_vocab(IDS, pad=0, sep=1, eos=2, template="{bos}{input}{sep}{output}{eos}")


def test_names_of_models(model: Any, tmp_path: Path) -> None:
    for name, message in [
        ("", "the name is ''"),
        (7, "the name is 7"),
        (None, "the name is None"),
        ("a\0b", "the name is"),
        ("x" * 5000, "the name is"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            ri.load(name)  # type: ignore[arg-type]
    saved = tmp_path / "dup.ex"
    saved.write_text('{"format": "recinterp-explanation/3"}')
    with pytest.raises(CheckpointError, match=r"it is a saved explanation.*Explanation.load"):
        ri.load(saved)


def test_a_checkpoint_that_contradicts_the_task(model: Any) -> None:
    other = ri.task("binary-successor", order="reverse")
    assert find_contradiction(model, other) == (
        "the checkpoint says natural order and the task reverse order"
    )
    assert find_contradiction(model, TASK) == ""
    assert find_contradiction(right, TASK) == ""
    assert "the function succ and the task pred" in find_contradiction(
        model, ri.task("binary-predecessor")
    )
    ids = dict(TASK.ids)
    foreign = TASK.with_vocab(
        {"X0": ids["X1"], "X1": ids["X0"], "01": ids["01"]},
        pad=ids["PAD"], sep=ids["SEP"], eos=ids["EOS"],
    )  # fmt: skip
    with pytest.raises(IncompatibleModelError, match="was trained with id 1 for X0"):
        ri.predict(model, foreign, SHORT)


def test_a_checkpoint_of_the_other_order_is_refused(model: Any) -> None:
    other = ri.task("binary-successor", order="reverse")
    with pytest.raises(IncompatibleModelError, match="natural order and the task reverse order"):
        ri.explain(model, other, domain=ri.Domain(max_length=4))


# threads
@pytest.mark.slow
def test_threads_on_one_model_wait_for_each_other() -> None:
    model = ri.load(CAPPED)
    inputs = TASK.sample(40, seed=1)
    plan = [Ablate(Unit("hook_embed"))]  # the fast backend has no such point: hooks are set
    wanted, clean = run(model, TASK, inputs, plan), ri.predict(model, TASK, inputs)
    edited: list[Any] = []
    outputs: list[Any] = []

    def edit() -> None:
        edited.extend(run(model, TASK, inputs, plan) for _ in range(15))

    def predict() -> None:
        watch = [("hook_embed", lambda value, hook: None)]  # no cache: the model's own forward
        adapter = Adapter(model, TASK)
        outputs.extend(adapter.generate(inputs, hooks=watch) for _ in range(4))

    threads = [threading.Thread(target=work) for work in (edit, predict, edit, predict)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(edited), len(outputs)) == (30, 8)
    assert all(torch.equal(effects.logits, wanted.logits) for effects in edited)
    assert all(torch.equal(effects.clean_logits, wanted.clean_logits) for effects in edited)
    assert all(found == clean for found in outputs)


@pytest.mark.slow
def test_a_held_model_is_waited_for() -> None:
    model, order = ri.load(CAPPED), []

    def predict() -> None:
        ri.explain(model, TASK, domain=ri.Domain(max_length=4), progress=order.append)

    thread = threading.Thread(target=predict)
    with hold_model(model):
        thread.start()
        thread.join(timeout=1.0)
        assert thread.is_alive()
        order.append("released")
    thread.join()
    assert order[0] == "released"
    assert len(order) > 1
