"""MergeState merging: from the tree of all rows to the smallest machine that agrees with it.

Red states are settled, blue ones are their successors. A blue state is merged with the red state
that it shares most steps with, where everything below agrees; where none does, it turns red.

References:
    J. Oncina, P. García, Inferring regular languages in polynomial updated time (1992): RPNI, the
    red-blue order of merges.
    J. Oncina, P. García, E. Vidal, Learning subsequential transducers for pattern recognition
    interpretation tasks (1993): OSTIA, for machines that write; here without pushing outputs back.
    K. Lang, B. Pearlmutter, R. Price, Results of the Abbadingo One DFA learning competition (1998):
    the choice of a merge by evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from recinterp.synthesis.state_merging.views import Row, Symbol, Word


@dataclass(eq=False)
class MergeState:
    """A state: for each symbol, what is written and where it leads; `seen` counts its visits."""

    edges: dict[Symbol, tuple[Word, MergeState]] = field(default_factory=dict)
    seen: Counter[Symbol] = field(default_factory=Counter)


def build_prefix_tree(rows: Sequence[Row]) -> MergeState:
    """The tree of all rows; where equal pasts write differently, most of them decide."""
    root, written = MergeState(), dict[tuple[int, Symbol], Counter[Word]]()
    for row in rows:
        here = root
        for symbol, word in row:
            written.setdefault((id(here), symbol), Counter())[word] += 1
            commonest = written[id(here), symbol].most_common(1)[0][0]
            below = here.edges[symbol][1] if symbol in here.edges else MergeState()
            here.edges[symbol] = commonest, below
            here.seen[symbol] += 1
            here = below
    return root


def merge_states(root: MergeState, max_states: int) -> list[MergeState] | None:
    """The settled states, the start first; None where there are more than `max_states`."""
    red = [root]
    settled = {id(root)}
    while True:
        blue = [(state, symbol) for state in red for symbol, (_, to) in state.edges.items()
                if id(to) not in settled]  # fmt: skip
        if not blue:
            return red
        parent, symbol = blue[0]
        word, candidate = parent.edges[symbol]
        choice = max(red, key=lambda state: _evidence(parent, symbol, state))
        if _evidence(parent, symbol, choice) < 0:
            red.append(candidate)
            settled.add(id(candidate))
            if len(red) > max_states:
                return None
            continue
        parent.edges[symbol] = word, choice
        _fold(choice, candidate, [])


def _evidence(parent: MergeState, symbol: Symbol, red: MergeState) -> int:
    """Steps that a merge would lay on each other; -1 where two of them disagree."""
    word, blue = parent.edges[symbol]
    trail: list[tuple[MergeState, Symbol]] = []
    parent.edges[symbol] = word, red
    shared = _fold(red, blue, trail)
    for state, added in reversed(trail):
        del state.edges[added]
    parent.edges[symbol] = word, blue
    return shared


def _fold(into: MergeState, of: MergeState, trail: list[tuple[MergeState, Symbol]]) -> int:
    """Lay a tree on a state; the number of steps that were there already, -1 on disagreement."""
    shared, work = 0, [(into, of)]
    while work:
        here, below = work.pop()
        for symbol, (word, child) in below.edges.items():
            if symbol not in here.edges:
                here.edges[symbol] = word, child
                trail.append((here, symbol))
                continue
            known, to = here.edges[symbol]
            if known != word:
                return -1
            shared += 1
            work.append((to, child))
    return shared
