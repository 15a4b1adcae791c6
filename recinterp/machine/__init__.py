"""The explicit, executable abstract state machine: syntax, text form, runs, derivation."""

from recinterp.machine.nodes import (
    END,
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
    Machine,
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
    "END", "Add", "AtLeast", "Atom", "Cmp", "Const", "Copy", "Emit", "Expr", "Find", "In", "Lost",
    "Machine", "MachineState", "Out", "Pop", "Push", "Reg", "Rule", "Set", "Span", "TopIs",
    "Update",
]  # fmt: skip
