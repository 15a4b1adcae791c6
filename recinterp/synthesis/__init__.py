"""Behaviour to machine: what can be said of a model from its outputs alone. Needs no torch."""

from recinterp.synthesis.oracle import Oracle
from recinterp.synthesis.search import SynthesisResult, synthesize

__all__ = ["Oracle", "SynthesisResult", "synthesize"]
