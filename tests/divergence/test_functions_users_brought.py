"""Functions whose faults two sentences describe: each has one kind, and is predicted."""

from __future__ import annotations

import pytest

import recinterp as ri
from recinterp.divergence import ShortcutKind

pytestmark = pytest.mark.slow
COPY = ri.Task.from_gallina(
    """Inductive label := a | b | c | d.
Inductive list (A : Type) : Type := nil | cons (x : A) (l : list A).
Arguments nil {A}.
Arguments cons {A} x l.
Fixpoint copy (l : list label) : list label :=
  match l with nil => nil | cons x t => cons x (copy t) end.""",
    function="copy",
)
SUM = ri.Task.from_gallina(
    """Inductive pair : Set := p00 | p01 | p10 | p11.
Inductive bit : Set := zero | one.
Inductive list (A : Type) : Type := nil | cons (x : A) (l : list A).
Arguments nil {A}.
Arguments cons {A} x l.
Fixpoint add (l : list pair) (c : bit) : list bit :=
  match l with
  | nil => cons c nil
  | cons p t => match c with
    | zero => match p with
      | p00 => cons zero (add t zero) | p11 => cons zero (add t one) | _ => cons one (add t zero)
      end
    | one => match p with
      | p00 => cons one (add t zero) | p11 => cons one (add t one) | _ => cons zero (add t one)
      end
    end
  end.
Definition sum (l : list pair) : list bit := add l zero.""",
    function="sum",
    tokens={"zero": "0", "one": "1"},
)


def drop_repeats(inputs: list[list[str]]) -> list[list[str]]:
    return [list(dict.fromkeys(x)) for x in inputs]


def loop_back(cut: int):
    """Go on after the first place of a repeated token, for ever; the output is cut."""

    def one(x: list[str]) -> list[str]:
        repeat = next((i for i, t in enumerate(x) if t in x[:i]), None)
        if repeat is None:
            return list(x)
        cycle = x[x.index(x[repeat]) : repeat]
        return [*(x[:repeat] + cycle * cut)[:cut], "…"]

    return lambda inputs: [one(x) for x in inputs]


def carry_three_places(inputs: list[list[str]]) -> list[list[str]]:
    outputs = []
    for x in inputs:
        column = [int(p[1]) + int(p[2]) for p in x] + [0]
        for _ in range(3):
            carry = [v > 1 for v in column]
            column = [
                v - 2 * b + a for v, b, a in zip(column, carry, [False, *carry], strict=False)
            ]
        outputs.append([str(v % 2) for v in column])
    return outputs


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (drop_repeats, ShortcutKind.DROPPED_REPEATS),
        (loop_back(8), ShortcutKind.DOES_NOT_END),
        (loop_back(20), ShortcutKind.DOES_NOT_END),
    ],
)
def test_copies_that_go_by_content_or_by_exclusion(model, kind: ShortcutKind) -> None:
    ex = ri.explain(model, COPY, domain=ri.Domain(max_length=5))
    assert ex.diff.verdict == "shortcut"
    assert [s.kind for s in ex.diff.shortcuts] == [kind]
    assert ex.diff.exact_recall.value == ex.diff.exact_precision.value == 1.0
    assert ex.machine.size <= 60
    assert not ex.diff.unexplained


def test_a_carry_that_runs_three_places_is_a_bounded_run() -> None:
    ex = ri.explain(carry_three_places, SUM, domain=ri.Domain(max_length=5))
    assert ex.diff.verdict == "shortcut"
    assert [s.bounds[0] for s in ex.diff.shortcuts] == [(ShortcutKind.BOUNDED_RUN, 3)]
    assert ex.diff.exact_recall.value == 1.0
