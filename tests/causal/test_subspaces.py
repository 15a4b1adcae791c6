"""Subspaces that store one variable, in a shipped model; none in an untrained one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

import recinterp as ri
from recinterp.causal import subspaces as module
from recinterp.causal.agreement import pairs_where_model_agrees
from recinterp.causal.config import DEFAULTS
from recinterp.causal.pairs import Pair, PairSampler
from recinterp.causal.results import Site
from recinterp.causal.sites import find_sites
from recinterp.causal.subspaces import localise_subspaces
from recinterp.models import Adapter, load
from recinterp.perturb.controls import untrained_twin
from recinterp.view.report.sentences.network import site_note

pytestmark = pytest.mark.backend
TASK = ri.task("binary-successor")
INPUTS = [tuple(x) for x in TASK.sample(500, seed=2, max_length=10)]
MIN_ACCURACY = 0.6  # well above what chance tells and below what was seen here, .87 to .96


# What is tested is that a trained model and its twin differ, not on which side of .85.
LENIENT = replace(DEFAULTS, sites=replace(DEFAULTS.sites, min_accuracy=MIN_ACCURACY))


@cache
def model() -> Adapter:
    return Adapter(load("binary-successor-natural-noall"), TASK)


def found(adapter: Adapter, sites: Sequence[Site] = ()) -> tuple[Site, ...]:
    return localise_subspaces(adapter, PairSampler(TASK, TASK.machine, INPUTS, 0), sites, LENIENT)


def test_subspaces_separate_a_variable_from_the_sources_answer() -> None:
    whole = find_sites(model(), PairSampler(TASK, TASK.machine, INPUTS[:200], 0))
    mode = [site for site in whole if site.variable == "mode" and site.accepted]
    assert mode
    # The complete activation carries the source's answer.
    assert all(site.third_token_accuracy.value < 0.3 for site in mode)
    both = found(model(), whole)
    assert tuple(site for site in both if not site.dims) == whole
    parted = {site.variable: site for site in both if site.dims}
    assert set(parted) == {"mode", "in(p)"}
    for site in parted.values():
        assert site.accepted
        assert site.dims == model().d_model // 5
        assert site.third_token_accuracy.value == site.accuracy >= MIN_ACCURACY
        assert site.third_token_accuracy.total >= 20
        assert site.control <= 0.2
        assert site.same_value_control >= MIN_ACCURACY
        assert "directions at each place" in site_note(site)


def test_an_untrained_model_has_no_subspaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the very pairs that the trained model is right on: gradient descent by itself does not."""

    def of_the_trained(_: Adapter, task: ri.Task, pairs: Sequence[Pair]) -> list[Pair]:
        return pairs_where_model_agrees(model(), task, pairs)

    monkeypatch.setattr(module, "pairs_where_model_agrees", of_the_trained)
    assert found(Adapter(untrained_twin(model().model, 0), TASK)) == ()


def test_the_same_seed_gives_the_same_subspaces() -> None:
    once, again = found(model()), found(model())
    assert [(s.variable, s.third_token_accuracy, s.control) for s in once] == [
        (s.variable, s.third_token_accuracy, s.control) for s in again
    ]
