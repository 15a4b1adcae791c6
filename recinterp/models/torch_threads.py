"""Torch's threads: a small model runs on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import nn

SMALL_MODEL = 5_000_000  # parameters; below it, one thread is as fast as several


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one torch thread: sums are taken in one order, and small models are no slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fitting_threads(model: nn.Module) -> AbstractContextManager[None]:
    """Use one thread for a small model, as many as there are for a large one.

    Over thousands of small passes a second thread saves little; where something else runs on the
    machine, threads that wait for each other take far longer than one.
    """
    return (
        one_thread() if sum(p.numel() for p in model.parameters()) < SMALL_MODEL else nullcontext()
    )
