"""A machine of very many rules: counted in the drawing, shown as a tree, nothing left out."""

from recinterp.machine import Machine
from recinterp.view.diagram.graph import LIMITS, extract_graph
from recinterp.view.diagram.outline import render_outline

HEAD = "vocab a/0 b/0\nstart run\nregisters p := 0\nlimit 100\nmode run\n"


def many(rules: int) -> Machine:
    lines = [
        f"  r{k}-{x}: in(p) = {x} and t = {k} -> emit {'b' if k % 2 else 'a'}, p := p + 1, goto run"
        for k in range(rules)
        for x in "ab"
    ]
    return Machine.parse(HEAD + "\n".join(lines) + "\n  end: in(p) = $ -> halt\n")


def test_every_rule_is_one_leaf_of_the_tree() -> None:
    machine = many(LIMITS.max_rules)
    lines = render_outline(machine).split("\n")
    assert sum(" / " in line for line in lines) == len(machine.rules)
    assert lines[0] == "run"
    assert sum(line.strip() == "a" for line in lines) == 1  # what guards share is said once


def test_too_many_rules_are_counted() -> None:
    machine = many(LIMITS.max_rules)
    drawn = extract_graph(machine)
    texts = [label.text for edge in drawn.edges for label in edge.labels]
    assert sorted(texts) == ["1 rule / ε", f"{2 * LIMITS.max_rules} rules / a, b"]
    assert any("tree" in note for note in drawn.notes)


def test_drawable_machine_has_no_tree() -> None:
    machine = many(3)
    assert render_outline(machine) == ""
    assert sum(len(edge.labels) for edge in extract_graph(machine).edges) == len(machine.rules)


def test_condition_of_a_parent_is_not_repeated_below() -> None:
    rules = [
        "a1: in(p) = a and t < 3 and 1 of [t >= 3, n = 4] -> emit b, p := p + 1, goto run",
        "a2: in(p) = a and t < 3 and n != 4 -> emit a, p := p + 1, goto run",
        "late: in(p) = a and t >= 3 -> halt",
        "end: in(p) = $ -> halt",
    ]
    padding = [f"pad{k}: in(p) = b and t = {k} -> halt" for k in range(LIMITS.max_rules)]
    text = HEAD + "\n".join(f"  {r}" for r in (*rules, *padding)) + "\n"
    tree = render_outline(Machine.parse(text)).split("\n")
    assert [line.strip() for line in tree if "n = 4" in line] == ["n = 4 / b"]
    drawn = extract_graph(Machine.parse(HEAD + f"  {rules[0]}\n  {rules[3]}\n"))
    texts = [label.text for edge in drawn.edges for label in edge.labels]
    assert any("t < 3 and n = 4 / b" in text for text in texts)


def test_machine_with_long_guards_is_shown_as_a_tree() -> None:
    vote = "3 of [" + ", ".join(f"in({k}) = a" for k in range(LIMITS.max_size // 2)) + "]"
    rules = (
        f"  one: in(p) = a and {vote} -> emit a, p := p + 1, goto run\n  end: in(p) = $ -> halt\n"
    )
    machine = Machine.parse(HEAD + rules)
    assert len(machine.rules) < LIMITS.max_rules
    assert render_outline(machine).startswith("run")
