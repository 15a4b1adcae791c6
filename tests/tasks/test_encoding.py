"""Terms to tokens and back: inverse for every type, order and bracketing; ill-formed input
refused.
"""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recinterp.errors import InvalidInputError, TaskError, UnknownNameError
from recinterp.tasks import Task, task, tasks
from recinterp.tasks.library import SHIPPED_TASKS

WRITTEN = [(order, brackets) for order in ("natural", "reverse") for brackets in (False, True)]


@cache
def written(name: str, order: str, brackets: bool) -> Task:
    """A shipped task in any way of writing."""
    t = task(name)
    return Task.from_gallina(t.source, t.function, order, dict(t.shown), brackets=brackets)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(tasks()), st.sampled_from(WRITTEN), st.integers(0, 10**6))
def test_encode_and_decode_are_inverse(name: str, way: tuple[str, bool], seed: int) -> None:
    t = written(name, *way)
    for tokens in t.sample(3, seed=seed, max_length=24, distribution="uniform"):
        arguments = t.decode(tokens)
        assert t.encode(*arguments) == tokens
        assert [t.term(str(a)) for a in arguments] == list(arguments)
        out = t.apply(tokens)
        assert t.encode_output(t.decode_output(out)) == out
        assert t.apply_many([tokens]) == [out]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(tasks()), st.integers(0, 10**6))
def test_every_encoding_decodes_to_the_same_term(name: str, seed: int) -> None:
    (plain,) = written(name, "natural", False).sample(1, seed=seed, max_length=15)
    arguments = written(name, "natural", False).decode(plain)
    results = set()
    for way in WRITTEN:
        t = written(name, *way)
        results.add(t.decode_output(t.apply(t.encode(*arguments))))
    assert len(results) == 1


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(tasks()), st.sampled_from(WRITTEN), st.data())
def test_random_tokens_decode_or_raise_a_position(
    name: str, way: tuple[str, bool], data: st.DataObject
) -> None:
    t = written(name, *way)
    tokens = data.draw(st.lists(st.sampled_from([*t.vocab, "Z"]), max_size=8))
    try:
        t.well_formed(tokens)
        position = None
    except InvalidInputError as error:
        position = error.position
    if position is None:
        assert t.encode(*t.decode(tokens)) == tokens
    else:
        assert 0 <= position <= len(tokens)


@pytest.mark.parametrize("name", tasks())
@pytest.mark.parametrize("order", ["natural", "reverse"])
def test_worked_examples_hold(name: str, order: str) -> None:
    given_, _, out = SHIPPED_TASKS[name].example.partition(" -> ")
    arguments = [a.split() for a in given_.split(",")]
    expected = out.split()
    if order == "reverse":
        arguments, expected = [a[::-1] for a in arguments], expected[::-1]
    tokens = arguments[0]
    for more in arguments[1:]:
        tokens = [*tokens, ",", *more]
    assert task(name, order=order).apply(tokens) == expected


@pytest.mark.parametrize(
    ("name", "order", "tokens", "position"),
    [
        ("binary-successor", "natural", "", 0),
        ("binary-successor", "natural", "X1 X0", 2),
        ("binary-successor", "natural", "X1 01 X0", 2),
        ("binary-successor", "natural", "X1 EOS 01", 1),
        ("binary-successor", "reverse", "X1 01", 0),
        ("binary-successor", "reverse", "01 01 X1", 0),
        ("binary-addition", "natural", "01 , X0", 4 - 1),
        ("binary-addition", "natural", "01", 1),
        ("tree-inorder", "natural", "Node a Leaf b", 3),
        ("tree-inorder", "natural", "Node Leaf", 1),
        ("list-reverse", "natural", "a Z", 1),
    ],
)
def test_errors_name_the_faulty_position(name: str, order: str, tokens: str, position: int) -> None:
    with pytest.raises(InvalidInputError) as caught:
        task(name, order=order).apply(tokens.split())
    assert caught.value.position == position


def test_bracketed_encoding() -> None:
    t = written("tree-mirror", "natural", True)
    assert t.apply(["(", "Node", "a", "(", "Node", "b", "Leaf", "Leaf", ")", "Leaf", ")"]) == (
        ["(", "Node", "a", "Leaf", "(", "Node", "b", "Leaf", "Leaf", ")", ")"]
    )
    for wrong in ("Node a Leaf Leaf", "( Node a Leaf Leaf", "( Leaf )", "( ( Node a Leaf Leaf ) )"):
        with pytest.raises(InvalidInputError):
            t.apply(wrong.split())


def test_lists_encode_bare_or_with_constructors() -> None:
    bare = task("list-reverse")
    full = Task.from_gallina(bare.source, "reverse", bare_lists=False)
    assert bare.apply(["a", "b"]) == ["b", "a"]
    assert bare.apply([]) == []
    assert full.apply(["cons", "a", "cons", "b", "nil"]) == ["cons", "b", "cons", "a", "nil"]
    assert bare.constructors == ("a", "b", "c", "d")
    assert set(full.constructors) == {"nil", "cons", "a", "b", "c", "d"}


def test_constructors_may_be_shown_as_other_tokens() -> None:
    source = task("binary-successor").source
    t = Task.from_gallina(source, "succ", tokens={"One": "1", "X0": "zero"})
    assert t.apply(["zero", "1"]) == ["X1", "1"]
    for wrong in ({"Two": "2"}, {"One": "X0"}, {"One": "PAD"}, {"One": "a b"}, {"One": ","}):
        with pytest.raises(TaskError):
            Task.from_gallina(source, "succ", tokens=wrong)


def test_with_vocab_sets_ids_and_template() -> None:
    t = task("binary-successor")
    assert t.vocab == ("01", "X0", "X1", "PAD", "BOS", "SEP", "EOS")
    assert t.prompt(["X1", "01"]) == [2, 0, t.sep]
    assert t.target(["X0", "01"]) == [1, 0, t.eos]
    ids = {"X0": 4, "X1": 5, "01": 3}
    other = t.with_vocab(ids, pad=0, sep=1, eos=2, bos=7, template="{bos}{input}{sep}{output}{eos}")
    assert other.prompt(["X1", "01"]) == [7, 5, 3, 1]
    assert other.with_vocab(ids, pad=0, sep=1, eos=2).prompt(["X1", "01"]) == [5, 3, 1]
    assert other != t
    assert hash(other) != hash(t)
    for wrong in ({"X0": 4, "X1": 5}, {"X0": 4, "X1": 4, "01": 3}, {"X0": 1, "X1": 5, "01": 3}):
        with pytest.raises(TaskError):
            t.with_vocab(wrong, pad=0, sep=1, eos=2)
    with pytest.raises(TaskError):
        t.with_vocab(ids, pad=0, sep=1, eos=2, template="{input}{output}{eos}")


def test_task_json_roundtrip() -> None:
    for name in tasks():
        t = written(name, "reverse", True)
        assert Task.from_json(t.to_json()) == t
    changed = task("binary-successor").with_vocab({"X0": 4, "X1": 5, "01": 3}, pad=0, sep=1, eos=2)
    assert Task.from_json(changed.to_json()) == changed


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="binary-successor"):
        task("binary-succesor")
    with pytest.raises(UnknownNameError, match="natural"):
        task("binary-successor", order="backwards")
    with pytest.raises(UnknownNameError, match="succ"):
        Task.from_gallina(task("binary-successor").source, "suc")
    with pytest.raises(TaskError, match="no_such_file"):
        Task.from_gallina("no_such_file.v", "succ")
    with pytest.raises(TaskError, match="no argument"):
        Task.from_gallina("Definition two : nat := S (S O).", "two")


def test_terms_of_wrong_type_are_refused() -> None:
    t = task("list-append")
    with pytest.raises(TaskError):
        t.encode(t.term("nil"))
    with pytest.raises(TaskError, match="calls a function"):
        task("binary-successor").term("succ One")


def test_a_task_that_has_been_used_can_be_pickled() -> None:
    import copy
    import pickle

    used = task("binary-successor")
    assert used.ids
    assert used.apply(["X1", "01"]) == ["X0", "X0", "01"]
    for again in (pickle.loads(pickle.dumps(used)), copy.deepcopy(used)):
        assert again == used
        assert again.apply(["X1", "01"]) == ["X0", "X0", "01"]
