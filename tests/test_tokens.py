"""Where two sequences of tokens differ first."""

from __future__ import annotations

import pytest

from recinterp.tokens import first_difference


@pytest.mark.parametrize(
    ("a", "b", "index"),
    [("abc", "abc", None), ("", "", None), ("abc", "abd", 2), ("ab", "abc", 2), ("", "a", 0)],
)
def test_first_difference_is_an_index_or_none(a: str, b: str, index: int | None) -> None:
    assert first_difference(a, b) == first_difference(b, a) == index
