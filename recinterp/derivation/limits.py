"""How far a derivation goes before it gives up, or takes a machine with a stack instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DerivationLimits:
    """Bounds on what is explored. A function beyond them is reported as not derivable.

    Attributes:
        max_configurations: Configurations without a stack. More of them do not make a machine
            that a person can read.
        max_stack_configurations: Configurations and returns with a stack.
        max_size: Size of a configuration without a stack; one that grows on needs a stack.
        max_stack_size: Size of a configuration with a stack.
        max_written: Tokens written between two that are read. More means that a call writes
            without end.
        max_list_constructors: Constructors that one constructor of a list may be turned into.
        max_unfoldings: Unfoldings looked ahead before a call is taken to need input.
        checked_inputs: Inputs, shortest first, on which a bound on intermediate results has to
            suffice.
        checked_samples: Further inputs for the same check, drawn at random from all lengths.
        stack_machine_steps: Step limit of a machine with a stack, where seeking a place again
            and again takes many steps.
    """

    max_configurations: int = 100
    max_stack_configurations: int = 800
    max_size: int = 40
    max_stack_size: int = 100
    max_written: int = 60
    max_list_constructors: int = 8
    max_unfoldings: int = 60
    checked_inputs: int = 2_000
    checked_samples: int = 200
    stack_machine_steps: int = 1_000_000


LIMITS = DerivationLimits()
