"""How large a Gallina text, and a run of it, may be before an error replaces a long wait."""

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
            patterns can make it exponentially larger than the text; a comparison of 150 labels,
            two columns and a last row of `_`, has 70,000.
        max_numeral: Largest numeral; it stands for as many nested constructors.
    """

    max_characters: int = 200_000
    max_nesting: int = 100
    max_pattern_rows: int = 2_000
    max_structural_choices: int = 256
    max_body_nodes: int = 200_000
    max_numeral: int = 100


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """Bounds on one run of a program; beyond each, an error states the size that was reached.

    Attributes:
        max_steps: Unfoldings and constructions of a run, with `steps_per_symbol` more for each
            constructor of the input. A function that calls itself twice can need 2^n.
        steps_per_symbol: See `max_steps`.
        max_trace_steps: Small steps of a trace.
        max_tokens: Tokens of an output.
    """

    max_steps: int = 2_000_000
    steps_per_symbol: int = 100
    max_trace_steps: int = 100_000
    max_tokens: int = 1_000_000


LIMITS = SourceLimits()
RUN_LIMITS = RunLimits()
