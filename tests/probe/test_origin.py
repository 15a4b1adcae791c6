"""Origin maps of models whose dependencies are known, with no look inside."""

from __future__ import annotations

from collections.abc import Sequence

from recinterp.models import Adapter
from recinterp.probe import Landmark, origin_map
from tests.perturb.hand_set import LENGTH, Words, planted


class Oracle:
    """A plain function in an oracle's clothes; what is forced on it changes nothing."""

    def __init__(self, task: Words) -> None:
        self.task = task

    def generate(self, inputs: Sequence[Sequence[str]]) -> list[list[str]]:
        return [self.task.apply(x) for x in inputs]

    def next_tokens(
        self, inputs: Sequence[Sequence[str]], prefixes: Sequence[Sequence[str]]
    ) -> list[str]:
        return [[*self.task.apply(x), "EOS"][len(y)] for x, y in zip(inputs, prefixes, strict=True)]


def test_copier_depends_on_the_copied_token() -> None:
    task = Words("copy")
    found = origin_map(Adapter(planted(task), task), task, task.sample(12))
    assert found.pointer == Landmark()
    assert all(o.held == tuple(frozenset({t}) for t in range(LENGTH)) for o in found.origins)
    assert all(o.free == o.held for o in found.origins)
    assert (found.copied.value, found.lookahead.hits, found.lookback.hits) == (1.0, 0, 0)


def test_reverser_reads_from_the_far_end() -> None:
    task = Words("reverse")
    found = origin_map(Adapter(planted(task), task), task, task.sample(12))
    assert found.pointer == Landmark(from_end=True)
    assert found.alignments[0].share.value == 1.0


def test_fixed_prefix_hides_a_state_carried_in_the_output() -> None:
    task = Words("parity")
    found = origin_map(Adapter(planted(task), task), task, task.sample(12))
    assert all(o.held == tuple(frozenset({t}) for t in range(LENGTH)) for o in found.origins)
    assert all(
        o.free == tuple(frozenset(range(t + 1)) for t in range(LENGTH)) for o in found.origins
    )
    assert found.prefix_matters.value == (15 - 5) / 15


def test_origin_map_needs_only_outputs() -> None:
    task = Words("parity")
    found = origin_map(Oracle(task), task, task.sample(12))
    assert all(
        o.held == tuple(frozenset(range(t + 1)) for t in range(LENGTH)) for o in found.origins
    )
    assert found.lookback.value == 4 / 5
    assert found.prefix_matters.hits == 0
