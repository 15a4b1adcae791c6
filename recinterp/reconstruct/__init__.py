"""Behaviour -> machine (from an Oracle alone), then machine -> sites in the network."""

from recinterp.reconstruct.build import Reconstruction, reconstruct
from recinterp.reconstruct.hypothesis import Hypothesis
from recinterp.reconstruct.oracle import Oracle

__all__ = ["Hypothesis", "Oracle", "Reconstruction", "reconstruct"]
