"""recinterp: which algorithm did a small transformer learn, and where does it leave the recursion?

    import recinterp as ri
    task = ri.task("binary-successor", order="natural")
    model = ri.load("binary-successor-natural-depthcap3")
    ex = ri.explain(model, task)
    print(ex)

What needs torch is imported when it is first used, so that `import recinterp` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from recinterp.compare import diff
from recinterp.config import ExplainConfig
from recinterp.errors import RecinterpError
from recinterp.explanation import Explanation
from recinterp.pipeline import explain
from recinterp.tasks import Domain, Task, task, tasks

if TYPE_CHECKING:
    from recinterp import perturb, probe
    from recinterp.judge import fidelity
    from recinterp.machine import Machine
    from recinterp.models import TrainConfig, Wrapped, load, predict, train

__version__ = "0.1.0"

_HOME = {
    "Machine": "machine",
    "TrainConfig": "models",
    "fidelity": "judge",
    "load": "models",
    "perturb": "",
    "predict": "models",
    "probe": "",
    "train": "models",
    "Wrapped": "models",
}

__all__ = [
    "Domain",
    "ExplainConfig",
    "Explanation",
    "Machine",
    "RecinterpError",
    "Task",
    "TrainConfig",
    "Wrapped",
    "diff",
    "explain",
    "fidelity",
    "load",
    "perturb",
    "predict",
    "probe",
    "task",
    "tasks",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME[name]
    found = import_module(f"{__name__}.{home or name}")
    value = getattr(found, name) if home else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
