"""Inputs: all of them, how many, how deep, and samples by length and depth."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import pytest

from recinterp.errors import DomainError, UnknownNameError
from recinterp.tasks import Domain, FullDepth, Listed, Matching, Task, held_out, task, tasks

# Every input of the lengths that hold at most so many, each depth measured by running it.
ENUMERATED = 700
FIB = (
    "Fixpoint add (n m : nat) : nat := match n with O => m | S p => S (add p m) end.\n"
    "Fixpoint f (n : nat) : nat :=\n"
    "  match n with O => O | S O => S O | S (S m as k) => add (f k) (f m) end."
)
COMPUTED = (
    "Inductive bin := One | X0 (n : bin) | X1 (n : bin).\n"
    "Fixpoint odd (n : bin) : bool :=\n"
    "  match n with X0 m => odd m | X1 _ => true | One => false end.\n"
    "Fixpoint f (n : bin) : bin :=\n"
    "  match n with One => One | X0 m => if odd m then X0 (f m) else m | X1 m => X1 (f m) end."
)


def measured(t: Task) -> dict[int, Counter[int]]:
    """Length -> depth -> count, for as many lengths as fit in ENUMERATED inputs."""
    found: dict[int, Counter[int]] = {}
    length, seen = 0, 0
    while seen + t.count(length) <= ENUMERATED and length < 12:
        inputs = list(t.inputs_of(length))
        assert len(inputs) == t.count(length) == len({tuple(x) for x in inputs})
        found[length] = Counter(t.depth(x) for x in inputs)
        assert all(t.length(x) == length for x in inputs)
        seen, length = seen + len(inputs), length + 1
    return found


@pytest.mark.parametrize("name", tasks())
@pytest.mark.parametrize("order", ["natural", "reverse"])
def test_counts_equal_enumeration(name: str, order: str) -> None:
    t = task(name, order=order)
    for length, depths in measured(t).items():
        assert t.depths(length) == dict(depths)


@pytest.mark.parametrize("source", [FIB, COMPUTED])
def test_counts_equal_enumeration_for_computed_depths(source: str) -> None:
    t = Task.from_gallina(source, "f")
    for length, depths in measured(t).items():
        assert t.depths(length) == dict(depths)
    depth = min(t.depths(8))
    for tokens in t.sample(20, depth=depth, length=8, seed=2):
        assert (t.depth(tokens), len(tokens)) == (depth, 8)


def test_inputs_are_complete_and_shortest_first() -> None:
    t = task("binary-successor")
    inputs = list(t.inputs(6))
    assert len(inputs) == 63
    assert [len(x) for x in inputs] == sorted(len(x) for x in inputs)
    assert inputs[:3] == [["01"], ["X0", "01"], ["X1", "01"]]
    assert len(list(islice(t.inputs(None), 1000))) == 1000


@pytest.mark.parametrize("name", tasks())
def test_samples_have_exact_length_and_depth(name: str) -> None:
    t = task(name)
    rng = Random(name)
    for length in rng.sample(range(1, 30), 8):
        for depth in rng.sample(sorted(t.depths(length)), min(3, len(t.depths(length)))):
            for tokens in t.sample(5, seed=3, length=length, depth=depth):
                t.well_formed(tokens)
                assert (t.length(tokens), t.depth(tokens)) == (length, depth)


@pytest.mark.parametrize("name", ["binary-successor", "binary-addition", "tree-inorder"])
def test_samples_are_uniform_within_a_stratum(name: str) -> None:
    """Chi-squared against the uniform, on a cell of some dozens of inputs."""
    t = task(name)
    length = next(n for n in range(5, 40) if 20 <= max(t.depths(n).values(), default=0) <= 600)
    depth = max(t.depths(length), key=lambda d: t.depths(length)[d])
    cells = t.depths(length)[depth]
    seen = Counter(tuple(x) for x in t.sample(40 * cells, seed=5, length=length, depth=depth))
    assert len(seen) == cells
    statistic = sum((n - 40) ** 2 / 40 for n in seen.values())
    assert statistic < cells + 5 * (2 * cells) ** 0.5


def test_balanced_sampling_is_even_over_lengths_and_depths() -> None:
    t = task("binary-successor")
    sample = t.sample(16_000, seed=1, max_length=8)
    lengths = Counter(len(x) for x in sample)
    assert all(1_800 < lengths[n] < 2_200 for n in range(1, 9))
    depths = Counter(t.depth(x) for x in sample if len(x) == 8)
    assert all(170 < depths[d] < 330 for d in range(8))


def test_natural_and_uniform_distributions() -> None:
    t = task("binary-successor")
    natural = Counter(len(x) for x in t.sample(8_000, distribution="natural", max_length=8))
    assert 3_800 < natural[8] < 4_250  # half of the numbers below 256 have 8 digits
    uniform = t.sample(8_000, distribution="uniform", max_length=8)
    assert all(850 < n < 1_150 for n in Counter(len(x) for x in uniform).values())
    longest = [x for x in uniform if len(x) == 8]
    assert 0.45 < sum(t.depth(x) == 0 for x in longest) / len(longest) < 0.55


def test_large_lengths_are_sampled_without_listing() -> None:
    t = task("binary-successor")
    assert t.count(400) == 2**399
    (tokens,) = t.sample(1, length=400, depth=200)
    assert tokens[:201] == ["X1"] * 200 + ["X0"]
    (tree,) = task("tree-inorder").sample(1, length=61, depth=12)
    assert task("tree-inorder").depth(tree) == 12


@pytest.mark.slow
def test_sampling_is_deterministic() -> None:
    for name in tasks():
        first = task(name).sample(20, seed=7)
        fresh = Task.from_json(task(name).to_json())
        fresh.sample(5, seed=1)
        assert fresh.sample(20, seed=7) == first
        assert task(name).sample(20, seed=8) != first


def test_sampling_respects_exclusion_and_max_depth() -> None:
    t = task("binary-successor")
    exclude = FullDepth(t)
    sample = t.sample(2_000, seed=1, max_length=8, exclude=exclude)
    assert not any(len(x) >= 3 and t.depth(x) == len(x) - 1 for x in sample)
    assert ["X1", "01"] in sample
    capped = t.sample(500, seed=1, max_depth=3)
    assert {t.depth(x) for x in capped} == {0, 1, 2, 3}
    assert t.sample(200, seed=3, exclude=exclude) == t.sample(200, seed=3, exclude=exclude)
    assert all(not held_out(x) for x in t.sample(300, exclude=held_out))


def test_sampling_nothing_is_refused() -> None:
    t = task("binary-successor")
    for asked in (
        {"length": 3, "depth": 3},
        {"length": 0},
        {"depth": 20},
        {"exclude": lambda tokens: True},
        {"length": 4, "depth": 3, "exclude": FullDepth(t)},
    ):
        with pytest.raises(DomainError, match="no input fits"):
            t.sample(1, **asked)  # type: ignore[arg-type]
    with pytest.raises(DomainError):
        t.sample(-1)
    with pytest.raises(UnknownNameError, match="balanced"):
        t.sample(1, distribution="balance")


def test_full_depth_finds_edge_cases() -> None:
    t = task("binary-successor", order="reverse")
    assert [x for x in t.inputs(4) if t.full_depth(x)] == [["01", *["X1"] * n] for n in range(4)]
    tree = task("tree-mirror")
    assert tree.full_depth(["Node", "a", "Leaf", "Node", "b", "Leaf", "Leaf"])


@pytest.mark.parametrize("name", ["binary-successor", "binary-addition", "tree-inorder"])
def test_measure_many_equals_single_measurements(name: str) -> None:
    t = task(name)
    inputs = t.sample(300, seed=0)
    depths, lengths, full = t.measure_many(inputs)
    assert depths == [t.depth(x) for x in inputs]
    assert lengths == [t.length(x) for x in inputs]
    assert full == [t.full_depth(x) for x in inputs]
    assert any(full)
    assert not all(full)


def test_domains_contain_inputs_and_roundtrip() -> None:
    t = task("binary-successor")
    domain = Domain(max_length=5, max_depth=2, exclude=FullDepth(t))
    inside = [x for x in t.inputs(6) if domain.contains(t, x)]
    assert inside == list(domain.inputs(t))
    assert list(domain.inputs(t, limit=4)) == inside[:4]
    assert all(domain.contains(t, x) for x in domain.sample(t, 200, seed=1))
    assert Domain.from_json(domain.to_json(), t) == domain
    listed = Domain(4, None, Listed(frozenset({("01",)})))
    assert Domain.from_json(listed.to_json()) == listed
    assert Domain.from_json(Domain().to_json()) == Domain()
    matching = Domain(4, None, Matching(r"\bX1 X0\b"))
    assert Domain.from_json(matching.to_json()) == matching
    assert not matching.contains(t, ["X1", "X0", "01"])
    with pytest.raises(DomainError, match="regular expression"):
        Matching("(")
    assert matching.contains(t, ["X0", "X1", "01"])
    with pytest.raises(DomainError, match="finite description"):
        Domain(4, None, lambda tokens: False).to_json()
    with pytest.raises(DomainError, match="max_length"):
        next(Domain().inputs(t))
    with pytest.raises(DomainError, match="task"):
        Domain.from_json(domain.to_json())


def test_one_in_five_inputs_is_held_out() -> None:
    inputs = list(task("binary-successor").inputs(12))
    share = sum(held_out(x) for x in inputs) / len(inputs)
    assert 0.18 < share < 0.22
    assert [held_out(x) for x in inputs[:8]] == [held_out(tuple(x)) for x in inputs[:8]]


def test_domain_edges() -> None:
    t = task("list-reverse")
    with pytest.raises(DomainError, match="no input but perhaps the empty one"):
        Domain(max_length=0)
    assert list(Domain(max_length=13, max_depth=3).inputs(t)) == list(t.inputs(3))
