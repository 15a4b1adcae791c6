"""Sentences on the network, each from a result put together by hand."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from recinterp.causal.results import (
    ForcedPrefixRule,
    Mechanism,
    MechanismKind,
    PatchLocation,
    PrefixFeature,
)
from recinterp.causal.variables import VariableKind
from recinterp.stats import Rate
from recinterp.view.report.sentences.network import (
    condition_text,
    effect_text,
    location_text,
    mechanism_sentence,
    patch_text,
    site_note,
)
from tests.view.builders import MECHANISM, SITE

EMBEDDING, POST = "blocks.0.hook_resid_pre", "blocks.0.hook_resid_post"
ATTENTION = "blocks.0.attn.hook_z"


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (PatchLocation(POST, "inputs"), "after layer 0 at the inputs"),
        (PatchLocation(POST, "inputs", block="E0"), "after E0 at the inputs"),
        (
            PatchLocation("blocks.0.hook_resid_pre", "prediction"),
            "in the embedding at the prediction position",
        ),
        (PatchLocation(ATTENTION, "prediction", 1), "in L0H1 at the prediction position"),
        (PatchLocation(ATTENTION, "prediction", 1, "X0"), "in X0H1 at the prediction position"),
        (PatchLocation(ATTENTION, "prediction"), "in layer-0 attention at the prediction position"),
        (PatchLocation(POST, "at p"), "after layer 0 at the input at p"),
        (PatchLocation(POST, "others than p"), "after layer 0 at the inputs other than at p"),
    ],
)
def test_places_are_named_by_block_and_position(location: PatchLocation, text: str) -> None:
    assert location_text(location) == text


def test_places_after_one_layer_are_named_together() -> None:
    assert patch_text(SITE.patch) == "after layer 0 at the inputs and the prediction position"


@pytest.mark.parametrize("kind", MechanismKind)
def test_every_kind_of_mechanism_has_a_sentence(kind: MechanismKind) -> None:
    sentence = mechanism_sentence(replace(MECHANISM, kind=kind), 30)
    assert sentence.endswith(".")
    counted = kind not in (MechanismKind.OUTPUTS_ONLY, MechanismKind.NO_TRIALS)
    assert ("3.0% (3/100)" in sentence) == ("95.0% (95/100)" in sentence) == counted


def test_a_mechanism_without_trials_states_why() -> None:
    untested = replace(MECHANISM, forced_prefix=Rate(0, 0), source_swap=Rate(0, 0))
    assert "no output stands before the answer" in mechanism_sentence(untested, 30)
    unknown = Mechanism(kind=MechanismKind.NO_TRIALS)
    assert mechanism_sentence(unknown, 30).startswith("How the state is obtained is unknown")


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (VariableKind.MODE, "mode", "the mode is"),
        (VariableKind.FRAME, "top frame", "the frame on top of the stack is"),
        (VariableKind.POINTER, "p", "the pointer p is"),
        (VariableKind.CONTENT, "in(p)", "the token read, in(p), is"),
    ],
)
def test_the_state_is_named_by_its_variable(kind: VariableKind, name: str, text: str) -> None:
    found = replace(MECHANISM, variable=name, variable_kind=kind)
    assert mechanism_sentence(found, 30).startswith(text)


def test_where_no_site_is_accepted_the_best_is_named() -> None:
    rejected = replace(MECHANISM, site=replace(SITE, accepted=False, accuracy=0.6))
    assert "60%, after layer 0 at the inputs and the prediction position" in mechanism_sentence(
        rejected, 30
    )
    assert "too few runs" in mechanism_sentence(replace(MECHANISM, site=None), 30)


def test_a_site_note_lists_its_controls() -> None:
    assert (
        site_note(SITE) == "random direction 3%; a source of the same value leaves 100% unchanged"
    )
    counted = replace(SITE, third_token_accuracy=Rate(9, 10), accepted=False)
    assert "90.0% (9/10)" in site_note(counted)
    assert site_note(counted).endswith("rejected")
    assert "too few" in site_note(replace(SITE, patch=(), accuracy=nan, pairs=7))


def test_a_subspace_note_names_its_dimensions() -> None:
    note = site_note(replace(SITE, dims=12, d_model=64, unrestricted_accuracy=Rate(20, 20)))
    assert note.startswith("12 of 64 directions at each place")
    assert "100.0% (20/20)" in note


@pytest.mark.parametrize("feature", PrefixFeature)
def test_every_feature_of_a_condition_has_words(feature: PrefixFeature) -> None:
    rule = ForcedPrefixRule(
        when=((feature, "X1"),), then=None, observed=Rate(9, 9), without_rule=Rate(0, 9)
    )
    assert "X1" in condition_text(rule)
    assert effect_text(rule) == "the output ends"
    assert effect_text(replace(rule, then="copy")) == "continues as in mode copy"
