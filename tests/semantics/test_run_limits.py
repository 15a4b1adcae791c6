"""Programs that would run for very long are stopped, with the size they reached; large flat ones
are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from recinterp.errors import TaskError
from recinterp.tasks import Task

NUMBERS = """Inductive num := Z | N (n : num).
Fixpoint add (n m : num) : num := match n with Z => m | N k => N (add k m) end.
"""
EXPONENTIAL = {
    "large output": (
        "Fixpoint f (n : num) : num := match n with Z => N Z | N m => add (f m) (f m) end."
    ),
    "many calls": (
        "Fixpoint f (n : num) : bool :="
        " match n with Z => true | N m => if f m then f m else f m end."
    ),
    "shared subterms": (
        "Inductive tree := Leaf | Node (l r : tree). Fixpoint f (n : num) : tree :="
        " match n with Z => Leaf | N m => let t := f m in Node t t end."
    ),
}
INPUT = ["N"] * 40 + ["Z"]


@pytest.mark.parametrize("text", EXPONENTIAL.values(), ids=EXPONENTIAL.keys())
@pytest.mark.slow
def test_exponential_runs_are_stopped_with_the_size_reached(text: str) -> None:
    task = Task.from_gallina(NUMBERS + text, "f")
    assert task.apply(INPUT[-4:])
    with pytest.raises(TaskError, match=r"41 constructors|1,000,000 tokens"):
        task.apply(INPUT)


@pytest.mark.slow
def test_exponential_traces_are_stopped_with_the_size_reached() -> None:
    task = Task.from_gallina(NUMBERS + EXPONENTIAL["many calls"], "f")
    with pytest.raises(TaskError, match=r"100,000 steps, and its term then has [\d,]+ characters"):
        str(task.trace(INPUT))
    with pytest.raises(TaskError, match="41 constructors"):
        task.depth(INPUT)


@pytest.mark.slow
def test_deep_linear_recursion_is_not_stopped() -> None:
    task = Task.from_gallina(NUMBERS, "add")
    assert len(task.apply(["N"] * 100_000 + ["Z", ",", "Z"])) == 100_001


@pytest.mark.slow
def test_a_match_of_150_branches_is_read_run_and_compared() -> None:
    labels = [f"L{i}" for i in range(150)]
    pairs = " | ".join(f"{x}, {x} => true" for x in labels)
    moves = " | ".join(f"{x} => {y}" for x, y in zip(labels, labels[1:] + labels[:1], strict=True))
    source = (
        f"Inductive label := {' | '.join(labels)}.\n"
        f"Definition next (x : label) : label := match x with {moves} end.\n"
        f"Definition same (x y : label) : bool := match x, y with {pairs} | _, _ => false end.\n"
    )
    assert Task.from_gallina(source, "next").apply(["L149"]) == ["L0"]
    same = Task.from_gallina(source, "same")
    assert [same.apply(["L7", ",", x]) for x in ("L7", "L8")] == [["true"], ["false"]]


def test_a_text_without_functions_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "empty.v"
    path.write_text("(* nothing yet *)\n", encoding="utf-8")
    with pytest.raises(TaskError, match="the text defines no function"):
        Task.from_gallina(path, "f")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "mark.v"
    path.write_text(NUMBERS, encoding="utf-8-sig")
    assert Task.from_gallina(path, "add").apply(["N", "Z", ",", "Z"]) == ["N", "Z"]
    assert Task.from_gallina("\ufeff" + NUMBERS, "add").source == NUMBERS


def test_names_of_any_script_give_tokens_and_machines() -> None:
    source = "Inductive α := β₁ | γ (x₁ : α).\nFixpoint λ' (x₁ x1 : α) : α :=" + (
        " match x₁ with β₁ => x1 | γ é => γ (λ' é x1) end."
    )
    task = Task.from_gallina(source, "λ'")
    assert task.apply(["γ", "β₁", ",", "γ", "γ", "β₁"]) == ["γ", "γ", "γ", "β₁"]
    inputs = list(task.inputs(6))
    assert task.machine.run_many(inputs) == task.apply_many(inputs)
    assert type(task.machine).parse(str(task.machine)).run_many(inputs) == task.apply_many(inputs)


def test_names_that_python_would_merge_stay_apart() -> None:
    source = "Definition f (a' a_q ﬁ fi : bool) : bool := if ﬁ then a' else if fi then a_q else fi."
    assert Task.from_gallina(source, "f").apply(
        ["true", ",", "false", ",", "false", ",", "true"]
    ) == ["false"]
