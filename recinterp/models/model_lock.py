"""One thread at a time on a model: hooks, caches and training mode belong to the whole model.

with hold_model(model):
    ...                     # other threads that hold the same model wait here
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_making = threading.Lock()


@contextmanager
def hold_model(model: object) -> Iterator[None]:
    """Hold a model until the end of the block; a thread may hold it several times.

    Args:
        model: The model; what is no module, such as a function, is not held.
    """
    if not isinstance(model, nn.Module):
        yield
        return
    with _making:
        lock = _locks.setdefault(model, threading.RLock())
    with lock:
        yield
