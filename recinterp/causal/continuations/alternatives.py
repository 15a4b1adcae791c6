"""The machines that find where they go on in another way than the chosen one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recinterp.synthesis.alternatives import EquivalentMachine

if TYPE_CHECKING:
    from recinterp.causal.results import ContinuationFinding
    from recinterp.machine.machine import Machine
    from recinterp.tasks import Task


def continuation_alternatives(
    task: Task, machine: Machine, found: ContinuationFinding, max_length: int, *, sampled: int = 600
) -> tuple[EquivalentMachine, ...]:
    """Machines with the chosen one's rules that continue in another way.

    Args:
        task: the task, of which inputs are drawn whether or not they lie in the domain.
        machine: the chosen machine.
        found: the continuations that explain the model's outputs.
        max_length: tokens of the longest input that is drawn.
        sampled: inputs that are drawn.

    Returns:
        The machines, each with a shortest input found on which it differs from the chosen one.
    """
    inputs = task.sample(sampled, seed=0, max_length=max_length, distribution="uniform")
    inputs = sorted((list(x) for x in set(map(tuple, inputs))), key=lambda x: (len(x), x))
    chosen = machine.run_many(inputs)
    machines = []
    for score in found.scores:
        if score.continuation == machine.continuation:
            continue
        other = machine.with_continuation(*score.continuation)
        outputs = other.run_many(inputs)
        at = next((i for i, (a, b) in enumerate(zip(outputs, chosen, strict=True)) if a != b), None)
        output, chosen_output = (None, None) if at is None else (outputs[at], chosen[at])
        machines.append(
            EquivalentMachine(
                machine=other,
                rules=(),
                input=() if at is None else tuple(inputs[at]),
                output=None if output is None else tuple(output),
                chosen_output=None if chosen_output is None else tuple(chosen_output),
                followed=score.followed,
            )
        )
    return tuple(machines)
