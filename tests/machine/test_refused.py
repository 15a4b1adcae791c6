"""What is no machine is refused, with the place or the name that is wrong."""

from __future__ import annotations

import pytest

from recinterp.errors import MachineError, MachineSyntaxError, OverlappingRulesError
from recinterp.machine import Cmp, Const, Machine, Reg
from recinterp.machine.formats.export import from_json, to_json
from recinterp.machine.validate import simplify_guard

HEAD = "vocab A B\nstart m\nregisters p := 0\nframes F\n"


def machine(*rules: str) -> Machine:
    return Machine.parse(HEAD + "mode m\n" + "".join(f"  {r}\n" for r in rules))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("in(p) = A", "in(p) in {A, B}"),
        ("in(p) = A", "in(p + 1) = B"),
        ("p < 3", "p <= 3"),
        ("p < n", "n > p + 1"),
        ("out(-1) = A", "out(-2) = B"),
        ("top is F", "in(p) = A"),
        ("in(p) = A", "p >= 0"),
        ("in(p) = A and p = 0", "in(p) = A and t = 1"),
    ],
)
def test_overlapping_rules_are_refused(one: str, other: str) -> None:
    with pytest.raises(OverlappingRulesError, match="r1 and r2"):
        machine(f"r1: {one} -> halt", f"r2: {other} -> halt")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("in(p) = A", "in(p) in {B, $}"),
        ("p < 3", "p >= 3"),
        ("p < n", "n <= p"),
        ("p + 2 < n", "p + 2 >= n"),
        ("out(-1) = A", "out(-1) in {B, $}"),
        ("top is F", "stack is empty"),
        ("in(p) = A", "p >= n"),
        ("in(p) = A and p = 0", "in(p) = A and p = 1"),
        ("find(p, +1, {A}) = n", "find(p, +1, {A}) < n"),
        ("2 of [in(p) = A, p < 3, p < n]", "2 of [in(p) in {B, $}, p >= 3, p >= n]"),
        ("1 of [in(p) = A, p < 3]", "in(p) = B and p >= 3"),
        ("3 of [in(p) = A, p < 3, n > 4]", "in(p) = B"),
    ],
)
def test_disjoint_rules_are_accepted(one: str, other: str) -> None:
    assert len(machine(f"r1: {one} -> halt", f"r2: {other} -> halt").rules) == 2


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ("r: in(q) = A -> halt", "q"),
        ("r: in(p) = C -> halt", "C"),
        ("r: top is G -> halt", "G"),
        ("r: in(p) = A -> goto nowhere", "nowhere"),
        ("r: in(p) = A -> n := 0, halt", "n is read-only"),
        ("r: in(p) = A -> emit A", "r"),
        ("r: in(p) = A -> goto m, halt", "r"),
        ("r: 0 of [in(p) = A] -> halt", "0 of 1"),
        ("r: 3 of [in(p) = A, p < 2] -> halt", "3 of 2"),
        ("r: 1 of [top is F, p < 2] -> halt", "frame"),
    ],
)
def test_errors_name_what_is_undeclared(rule: str, named: str) -> None:
    with pytest.raises(MachineError, match=named):
        machine(rule)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 of [in(p) = A, p < 3, p < n]", "1 of [in(p) in {B, $}, p >= 3, p >= n]"),
        ("1 of [in(p) = A, p < 3]", "in(p) = B"),
        ("2 of [in(p) = A, p < 3, n > 4]", "in(p) = B"),
    ],
)
def test_overlapping_votes_are_refused(one: str, other: str) -> None:
    with pytest.raises(OverlappingRulesError):
        machine(f"r1: {one} -> halt", f"r2: {other} -> halt")


def test_syntax_error_has_line_column_and_caret() -> None:
    with pytest.raises(MachineSyntaxError) as caught:
        Machine.parse(HEAD + "mode m\n  r: in(p) = A => halt\n")
    assert (caught.value.line, caught.value.column) == (6, 16)
    assert caught.value.excerpt.splitlines()[1].index("^") == 15


@pytest.mark.parametrize("text", ["", "mode m", "start m\nmode m\n  r: -> halt", "vocab A\nstart"])
def test_incomplete_machine_text_is_refused(text: str) -> None:
    with pytest.raises(MachineError):
        Machine.parse(text)


@pytest.mark.parametrize(
    "data", [None, 3, [], {"is": "Rule"}, {"is": "path"}, {"is": "Const", "k": 1}]
)
def test_json_without_machine_is_refused(data: object) -> None:
    with pytest.raises(MachineError):
        from_json(data)


def test_json_of_ill_formed_machine_is_refused() -> None:
    data = to_json(machine("r: in(p) = A -> halt"))
    data["vocab"] = ["B"]
    with pytest.raises(MachineError):
        from_json(data)


def test_simplified_guard_drops_implied_bounds() -> None:
    n, long, not_seven, seven = Reg("n"), Const(5), Const(7), Const(8)
    said = simplify_guard((Cmp(n, ">=", long), Cmp(n, "!=", not_seven), Cmp(n, "=", seven)))
    assert said == (Cmp(n, "=", seven),)
    kept = (Cmp(n, ">=", Const(9)), Cmp(n, "=", seven))
    assert simplify_guard(kept) == kept
