"""A machine of very many rules: counted in the drawing, told as a tree, nothing lost."""

from recinterp.machine import Machine
from recinterp.view.graph import DRAWN, extract
from recinterp.view.outline import outline

HEAD = "vocab a/0 b/0\nstart run\nregisters p := 0\nlimit 100\nmode run\n"


def many(rules: int) -> Machine:
    lines = [
        f"  r{k}-{x}: in(p) = {x} and t = {k} -> emit {'b' if k % 2 else 'a'}, p := p + 1, goto run"
        for k in range(rules)
        for x in "ab"
    ]
    return Machine.parse(HEAD + "\n".join(lines) + "\n  end: in(p) = $ -> halt\n")


def test_every_rule_is_one_leaf_of_the_tree() -> None:
    machine = many(DRAWN)
    lines = outline(machine).split("\n")
    assert sum(" / " in line for line in lines) == len(machine.rules)
    assert lines[0] == "run"
    assert sum(line.strip() == "a" for line in lines) == 1  # what guards share is said once


def test_rules_are_counted_where_they_are_too_many_to_draw() -> None:
    machine = many(DRAWN)
    drawn = extract(machine)
    texts = [line.text for edge in drawn.edges for line in edge.lines]
    assert sorted(texts) == ["1 rule / ε", f"{2 * DRAWN} rules / a, b"]
    assert any("tree" in note for note in drawn.notes)


def test_a_machine_that_can_be_drawn_has_no_tree() -> None:
    machine = many(3)
    assert outline(machine) == ""
    assert sum(len(edge.lines) for edge in extract(machine).edges) == len(machine.rules)
