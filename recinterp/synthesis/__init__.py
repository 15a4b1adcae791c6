"""Behaviour to machine: what can be concluded from a model's outputs. Needs no torch."""

from recinterp.synthesis.alternatives import EquivalentMachine
from recinterp.synthesis.config import SearchConfig
from recinterp.synthesis.hypothesis import RejectedHypothesis
from recinterp.synthesis.oracle import Oracle
from recinterp.synthesis.search import SynthesisResult, synthesize

__all__ = [
    "EquivalentMachine",
    "Oracle",
    "RejectedHypothesis",
    "SearchConfig",
    "SynthesisResult",
    "synthesize",
]
