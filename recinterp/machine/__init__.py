"""The explicit, executable abstract state machine: syntax, text form, runs."""

from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    Add,
    AtLeast,
    Atom,
    Cmp,
    Const,
    Copy,
    Emit,
    Expr,
    Find,
    In,
    Lost,
    MachineState,
    Out,
    Pop,
    Push,
    Reg,
    Rule,
    Set,
    Span,
    TopIs,
    Update,
)

__all__ = [
    "Add", "AtLeast", "Atom", "Cmp", "Const", "Copy", "Emit", "Expr", "Find", "In", "Lost",
    "Machine", "MachineState", "Out", "Pop", "Push", "Reg", "Rule", "Set", "Span", "TopIs",
    "Update",
]  # fmt: skip
