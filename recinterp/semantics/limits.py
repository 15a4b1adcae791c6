"""How large a Gallina text may be before it is refused with an error instead of a long wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SourceLimits:
    """Bounds on a text; beyond each, an error says what to split.

    Attributes:
        max_characters: Characters of a text. Programs of tasks have a few thousand.
        max_nesting: Open brackets at one place. Parser and elaborator recurse on them, and
            Python's stack must suffice for every text that is accepted.
        max_pattern_rows: Rows that the or-patterns of one clause spread out to.
        max_structural_choices: Combinations of structural parameters that are tried for a block
            of fixpoints, where {struct x} is not written.
        max_body_nodes: Nodes of one function's body after its matches are one level deep. Nested
            patterns can make it exponentially larger than the text.
    """

    max_characters: int = 200_000
    max_nesting: int = 100
    max_pattern_rows: int = 2_000
    max_structural_choices: int = 256
    max_body_nodes: int = 20_000


LIMITS = SourceLimits()
