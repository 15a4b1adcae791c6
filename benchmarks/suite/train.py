"""Train the models of the case table, those that are not there yet, in the background.

    python benchmarks/suite/train.py [NAMES]        # into runs/suite/

A killed run goes on where it was saved. A planted model is run on every input of its domain
after training; where it is not exact it is trained again from the start with twice the steps, twice
at most, and how many inputs it still gets wrong is written down.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TQDM_DISABLE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

import torch
from cases import Case, cases

import recinterp as ri
from recinterp.models.backends import native
from recinterp.models.checkpoint import attach_checkpoint, make_checkpoint
from recinterp.models.training.batches import get_answer_function
from recinterp.models.training.trainer import TrainingRun, build_untrained, derive_shape

HOME = Path(__file__).resolve().parents[2] / "runs" / "suite"
TRIES = 3


def train_case(case: Case) -> TrainingRun:
    """The model of a row. A planted one is trained until it is exact, or three times."""
    if case.group == "untrained":
        return make_untrained(case)
    for i in range(TRIES if case.planted else 1):
        config, work = (
            replace(case.recipe, steps=case.config.steps << i),
            HOME / f"{case.name}.work",
        )
        run = ri.train(case.task, config, teacher=case.teacher, work=work, name=case.name)
        shutil.rmtree(work, ignore_errors=True)
        if not case.planted or not count_missed(run.model, case.task, case):
            break
    return run


def make_untrained(case: Case) -> TrainingRun:
    """A model as it is before the first step."""
    torch.manual_seed(case.config.seed)
    task, domain = case.task, ri.Domain(max_length=case.max_length)
    shape = derive_shape(task, case.config)
    model = native.build_hooked(shape, build_untrained(shape, case.config).export_weights())
    checkpoint = make_checkpoint(case.name, shape, task, domain, {"steps": 0}, {})
    attach_checkpoint(model, checkpoint)
    return TrainingRun(model=model, history=(), checkpoint=checkpoint)


def count_missed(model: torch.nn.Module, task: ri.Task, case: Case) -> int:
    """Inputs of the domain on which a model is not its teacher."""
    inputs = list(task.inputs(case.max_length))
    answer = get_answer_function(task, case.teacher)
    outputs = ri.predict(model, task, inputs)
    return sum(list(y) != list(answer(x)) for x, y in zip(inputs, outputs, strict=True))


def main() -> None:
    """Train what is missing, in the table's order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    table = cases()
    for name in parser.parse_args().names or table:
        if (HOME / f"{name}.json").exists() or table[name].group == "compiled":
            continue
        began, case = time.perf_counter(), table[name]
        run = train_case(case)
        extra = f", {count_missed(run.model, case.task, case)} missed" if case.planted else ""
        run.save(HOME / name)
        exact = run.history[-1].exact if run.history else 0.0
        sys.stderr.write(f"{name}: {exact:.3f}{extra}, {time.perf_counter() - began:.0f} s\n")


if __name__ == "__main__":
    main()
