"""Landmarks stand where they say, and the one that is followed is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recinterp.probe.landmarks import Landmark, best, follow, landmarks, token_classes
from tests.perturb.hand_set import Words

WORD = tuple("abbab")
WORDS = Words("copy", ("a", "b", "c"))


def test_landmark_positions() -> None:
    assert [Landmark().at(WORD, t) for t in (0, 4, 5)] == [0, 4, None]
    assert [Landmark(from_end=True, offset=-1).at(WORD, t) for t in (0, 3, 4)] == [3, 0, None]
    assert [Landmark(tokens=("b",)).at(WORD, t) for t in (0, 1, 2, 3)] == [1, 2, 4, None]
    assert Landmark(tokens=("b",), from_end=True, offset=1).at(WORD, 1) == 3


def test_landmarks_as_text() -> None:
    assert str(Landmark(from_end=True, offset=-1)) == "n-1-t - 1"
    assert (
        str(Landmark(tokens=("a", "b"), from_end=True, offset=2))
        == "t-th of {a b} from the end + 2"
    )


def test_token_classes_of_three_constructors() -> None:
    assert token_classes(WORDS) == [("a",), ("b",), ("c",), ("b", "c"), ("a", "c"), ("a", "b")]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.integers(0, 9))
def test_landmark_is_in_the_input_or_none(tokens: list[str], t: int) -> None:
    for landmark in landmarks(WORDS):
        at = landmark.at(tokens, t)
        assert at is None or 0 <= at < len(tokens)


@pytest.mark.slow
@given(st.sampled_from(landmarks(WORDS)), st.integers(0, 99))
def test_best_landmark_fits_at_least_as_well_as_the_true_one(
    fingerprint: Landmark, seed: int
) -> None:
    steps = [(tuple(x), t) for x in WORDS.sample(20, seed) for t in range(len(x))]
    places = [fingerprint.at(x, t) for x, t in steps]
    found = best(landmarks(WORDS), steps, places, cover=0.0)
    assert found is not None
    assert found[1].hits >= follow(fingerprint, steps, places).hits


def test_rarely_present_landmark_does_not_win() -> None:
    steps = [(tuple("aaaab"), t) for t in range(5)]
    found = best([Landmark(tokens=("b",)), Landmark()], steps, [4, 0, 0, 0, 4])
    assert found is not None
    assert found[0] == Landmark()
