"""The continuations that explain a model's outputs as well as the chosen machine does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recinterp.machine.continuation import Continuation, Preference

if TYPE_CHECKING:
    from recinterp.machine.machine import Machine
    from recinterp.synthesis.dataset import Dataset

FIRST_LOOK = 100  # inputs that refute most continuations, before all are looked at
CARRIED: Continuation = ()
AFTER_LAST: Continuation = (Preference.AFTER_LAST,)
UNWRITTEN: Continuation = (Preference.UNWRITTEN,)
# Each way to continue, and how it may choose among several steps that it names.
FAMILIES: dict[Continuation, tuple[Continuation, ...]] = {
    CARRIED: (CARRIED,),
    AFTER_LAST: (
        AFTER_LAST,
        (Preference.AFTER_LAST, Preference.POSITION),
        (Preference.AFTER_LAST, Preference.UNWRITTEN),
        (Preference.AFTER_LAST, Preference.UNWRITTEN, Preference.POSITION),
    ),
    UNWRITTEN: (
        UNWRITTEN,
        (Preference.UNWRITTEN, Preference.POSITION),
        (Preference.UNWRITTEN, Preference.AFTER_LAST),
    ),
}


def eligible_continuations(machine: Machine, dataset: Dataset) -> tuple[Continuation, ...]:
    """The ways to continue that explain the model's outputs no worse than the chosen machine.

    Args:
        machine: the chosen machine.
        dataset: what the model was queried with, and its outputs.

    Returns:
        The first of each family, the carried position first; a single one where the outputs
        decide, for instance because they repeat tokens.
    """
    some = dataset.select(np.arange(len(dataset.inputs))[:FIRST_LOOK])
    found = tuple(FAMILIES)
    for data in (some, dataset):
        own = data.run(machine).equal.sum()
        explained = [data.run(machine.with_continuation(*c)).equal.sum() for c in found]
        found = tuple(c for c, k in zip(found, explained, strict=True) if k >= own)
        if len(found) == 1:
            break
    return found
