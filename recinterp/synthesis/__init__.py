"""Behaviour to machine: what can be said of a model from its outputs alone. Needs no torch."""

from recinterp.synthesis.oracle import Oracle
from recinterp.synthesis.search import Reconstruction, reconstruct

__all__ = ["Oracle", "Reconstruction", "reconstruct"]
