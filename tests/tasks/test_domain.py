"""Domains of fixed lengths, and domains that a sampler draws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

import recinterp as ri
from recinterp.errors import DomainError
from recinterp.judge.strata import build_strata
from recinterp.tasks import Domain, InputList, Listed

LISTS, NUMBERS = ri.task("list-reverse"), ri.task("binary-successor")


def draw_unique(rng: Random, n: int) -> list[list[str]]:
    return [rng.sample(LISTS.constructors, rng.randint(2, 4)) for _ in range(n)]


def shortened(inputs: list[list[str]]) -> list[list[str]]:
    """Reverses lists; loses the first label of those that are longer than three."""
    return [y if len(y) < 4 else y[:-1] for y in LISTS.apply_many(inputs)]


def test_fixed_lengths_are_listed_drawn_and_contained() -> None:
    fixed, range_ = Domain(max_length=5, min_length=5), Domain(max_length=5, min_length=4)
    assert list(fixed.inputs(NUMBERS)) == list(NUMBERS.inputs_of(5))
    assert list(range_.inputs(NUMBERS)) == [*NUMBERS.inputs_of(4), *NUMBERS.inputs_of(5)]
    for distribution in ("balanced", "uniform", "natural"):
        drawn = range_.sample(NUMBERS, 200, distribution=distribution)
        assert {len(x) for x in drawn} == {4, 5}
    assert {len(x) for x in Domain(min_length=20).sample(NUMBERS, 5)} == {20}
    assert not fixed.contains(NUMBERS, ["X0", "01"])
    assert fixed.depths(NUMBERS, 4) == {}
    assert fixed.depths(NUMBERS, 5) == NUMBERS.depths(5)
    assert list(Domain(5, 1, min_length=5).inputs(NUMBERS)) == [
        x for x in NUMBERS.inputs_of(5) if NUMBERS.depth(x) <= 1
    ]
    two = ri.task("list-append")  # a comma is no token of the length
    assert all(len(x) == 4 for x in Domain(max_length=3, min_length=3).sample(two, 20))


def test_a_sampler_draws_what_it_draws_within_the_bounds() -> None:
    domain = Domain(max_length=3, sampler=draw_unique)
    drawn = domain.sample(LISTS, 100, seed=3)
    assert len(drawn) == 100
    assert drawn == domain.sample(LISTS, 100, seed=3) != domain.sample(LISTS, 100, seed=4)
    assert {len(x) for x in drawn} == {2, 3}
    assert all(len(set(x)) == len(x) for x in drawn)
    listed = list(domain.inputs(LISTS))
    assert len(listed) == len(set(map(tuple, listed))) == 4 * 3 + 4 * 3 * 2
    assert [len(x) for x in listed] == sorted(len(x) for x in listed)
    assert domain.depths(LISTS, 3) == {3: 24}
    cell = domain.sample_cell(LISTS, 2, 2, 50)
    assert len(cell) == 50
    assert all(len(set(x)) == 2 for x in cell)


def test_held_out_inputs_are_those_of_the_domain() -> None:
    domain = Domain(max_length=4, sampler=draw_unique)
    sets = build_strata(LISTS, domain, trained=None, distribution="balanced", seed=0)
    inputs = [x for xs in sets.values() for x in xs]
    assert inputs
    assert all(len(set(x)) == len(x) >= 2 for x in inputs)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (lambda rng, n: [["a", "z"]] * n, "'a z', which is no input of list-reverse"),
        (lambda rng, n: [["a"] * 9] * n, "no input within the other bounds"),
        (lambda rng, n: [], "no input within the other bounds"),
        (lambda rng, n: None, "it fails"),
        (lambda rng: [], "it fails"),
    ],
)
def test_a_wrong_sampler_is_refused(sampler: object, message: str) -> None:
    domain = Domain(max_length=5, sampler=sampler)  # type: ignore[arg-type]
    with pytest.raises(DomainError, match=message):
        domain.sample(LISTS, 3)


@pytest.mark.parametrize(
    "given",
    [
        {"max_length": -1},
        {"max_length": "7"},
        {"max_length": 7.0},
        {"max_depth": True},
        {"min_length": -2},
        {"exclude": "aa"},
        {"sampler": [["a"]]},
    ],
)
def test_bounds_that_make_no_sense_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(DomainError, match="Cannot make a domain"):
        Domain(**given)  # type: ignore[arg-type]


def test_domains_are_saved_with_their_inputs() -> None:
    fixed = Domain(max_length=5, min_length=5)
    assert Domain.from_json(fixed.to_json()) == fixed
    listed = Domain(4, sampler=draw_unique).list_inputs(LISTS)
    assert isinstance(listed.sampler, InputList)
    again = Domain.from_json(json.loads(json.dumps(listed.to_json())))
    assert again == listed
    assert list(again.inputs(LISTS)) == list(Domain(4, sampler=draw_unique).inputs(LISTS))
    assert again.contains(LISTS, ["a", "b"])
    assert not again.contains(LISTS, ["a", "a"])
    assert {tuple(x) for x in again.sample(LISTS, 500)} <= listed.sampler.members
    short = Domain(4, exclude=lambda x: x[:1] == ["a"])
    excluded = Domain.from_json(short.to_json(LISTS)).exclude
    assert isinstance(excluded, Listed)
    assert len(excluded.inputs) == 1 + 4 + 16 + 64
    many = Domain(13, exclude=lambda x: x[:1] == ["X0"])  # too many to list what is left out
    kept = Domain.from_json(many.to_json(NUMBERS))
    assert isinstance(kept.sampler, InputList)
    assert len(kept.sampler.inputs) > 2000
    assert all(x[:1] != ["X0"] for x in kept.inputs(NUMBERS))
    for own in (short, Domain(4, sampler=draw_unique)):
        with pytest.raises(DomainError, match="no finite description"):
            own.to_json()


@pytest.mark.slow
def test_an_explanation_on_a_sampled_domain_is_saved(tmp_path: Path) -> None:
    seen: list[Sequence[str]] = []

    def run(inputs: list[list[str]]) -> list[list[str]]:
        seen.extend(inputs)
        return shortened(inputs)

    ex = ri.explain(run, LISTS, domain=Domain(sampler=draw_unique))
    assert all(len(set(x)) == len(x) >= 2 for x in seen)
    assert ex.domain.max_length == 4
    assert not ex.diff.exhaustive
    assert ex.accuracy.overall.value < 1
    assert "drawn by a sampler" in str(ex)
    ex.save(tmp_path / "ex")
    loaded = ri.Explanation.load(tmp_path / "ex")
    assert list(loaded.domain.inputs(LISTS)) == list(ex.domain.inputs(LISTS))
    assert str(loaded) == str(ex)
    other = ri.fidelity(run, LISTS, LISTS.machine, Domain(max_length=4, sampler=draw_unique))
    assert other.overall.match.value < 1
    assert not ri.diff(loaded, LISTS.machine).exhaustive


def test_machines_are_compared_on_fixed_lengths_only() -> None:
    task = ri.task("binary-predecessor")
    compared = ri.diff(NUMBERS.machine, task.machine, domain=Domain(4, min_length=4))
    assert compared.shortest
    assert all(len(d.input) == 4 for d in compared.shortest)
    with pytest.raises(DomainError, match="has a sampler"):
        ri.diff(NUMBERS.machine, task.machine, domain=Domain(4, sampler=draw_unique))


@pytest.mark.slow
def test_a_model_is_trained_on_what_a_sampler_draws(tmp_path: Path) -> None:
    config = ri.TrainConfig(
        max_length=4, min_length=3, sampler=draw_unique, steps=3, d_model=16, batch_size=8
    )
    run = ri.train(LISTS, config, progress=False)
    run.save(tmp_path / "model")
    domain = ri.load(tmp_path / "model").checkpoint.domain  # type: ignore[union-attr]
    inputs = list(domain.inputs(LISTS))
    assert len(inputs) == 24 + 24
    assert all(len(set(x)) == len(x) >= 3 for x in inputs)


@pytest.mark.long
def test_an_alphabet_of_150_labels_is_explained() -> None:
    labels = " | ".join(f"T{i}" for i in range(150))
    source = f"""
    Inductive label := {labels}.
    Inductive list := Nil | Cons (x : label) (rest : list).
    Fixpoint append (a b : list) : list :=
      match a with Nil => b | Cons x r => Cons x (append r b) end.
    Fixpoint reverse (a : list) : list :=
      match a with Nil => Nil | Cons x r => append (reverse r) (Cons x Nil) end.
    """
    task = ri.Task.from_gallina(source, "reverse")

    def draw(rng: Random, n: int) -> list[list[str]]:
        return [rng.sample(task.constructors, rng.randint(1, 10)) for _ in range(n)]

    def run(inputs: list[list[str]]) -> list[list[str]]:
        return [y if len(y) < 6 else y[:-1] for y in task.apply_many(inputs)]

    ex = ri.explain(run, task, domain=Domain(max_length=10, sampler=draw))
    assert ex.diff.verdict == "shortcut"
    assert ex.fidelity.overall.failure_recall.value == 1
