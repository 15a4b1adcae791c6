"""Every error a user can meet, in one tree. Each says what was asked, what is wrong, what would do.

RecinterpError
├── SourceError            a program's text: line, column, caret
│   ├── GallinaSyntaxError     it does not parse
│   ├── GallinaTypeError       it parses and does not type-check
│   ├── NotStructuralError          a fixpoint whose recursive calls are not on subterms
│   └── OutsideSubsetError          Coq may accept it; this library says what to write instead
├── MachineError           a machine's text or shape
│   ├── MachineSyntaxError     its text does not parse
│   └── OverlappingRulesError       two rules of one mode can fire at once
├── TaskError
│   ├── UnknownNameError            a name nobody has heard of; the nearest are listed
│   ├── InvalidInputError              tokens that encode no term; the position is named
│   ├── NotDerivableError              no machine can be derived from the program
│   └── DomainError            no domain given and none recorded, or an empty one
├── ModelError
│   ├── IncompatibleModelError            vocabulary, context or architecture does not fit the task
│   ├── NonFiniteWeightsError             NaN or infinite weights
│   ├── ModelNotLoadedError                an explanation was loaded without its model
│   └── CheckpointError        truncated, foreign, pickled or missing checkpoint
├── InterventionError
│   ├── InactiveHookError               an edit there does not reach the logits
│   └── UnknownHookError            no such hook point, head or position
├── UnwritableFileError         a result cannot be written where it was asked for
├── UnreadableFileError         a file that was named cannot be read
└── HeldOutInputError                a builder asked for an input that is kept for the judge
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RecinterpError(Exception):
    """Root of the tree: `asked` what was asked, `wrong` what is wrong, `accepted` what would do."""

    def __init__(self, asked: str, wrong: str, accepted: str = "") -> None:
        self.asked, self.wrong, self.accepted = asked, wrong, accepted
        super().__init__(f"{asked}: {wrong}" + (f"; {accepted}" if accepted else ""))


class SourceError(RecinterpError):
    """A fault in a program's text; `line` and `column` count from 1, `excerpt` has the caret."""

    def __init__(
        self,
        asked: str,
        wrong: str,
        accepted: str = "",
        *,
        source: str = "",
        line: int = 0,
        column: int = 0,
    ) -> None:
        self.line, self.column = line, column
        lines = source.splitlines()
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        self.excerpt = f"{shown}\n{' ' * max(column - 1, 0)}^" if shown else ""
        where = f"line {line}, column {column}: " if line else ""
        super().__init__(asked, where + wrong, accepted)

    def __str__(self) -> str:
        return super().__str__() + (f"\n{self.excerpt}" if self.excerpt else "")


class GallinaSyntaxError(SourceError):
    """The program does not parse."""


class GallinaTypeError(SourceError):
    """The program parses and does not type-check."""


class NotStructuralError(SourceError):
    """A fixpoint calls itself on something that is not a subterm of its structural argument."""


class OutsideSubsetError(SourceError):
    """A construct of Gallina that is outside the subset; the error says what to write instead."""


class MachineError(RecinterpError):
    """A machine's text or shape."""


class MachineSyntaxError(SourceError, MachineError):
    """A machine's text does not parse."""


class OverlappingRulesError(MachineError):
    """Two rules of one mode can fire in the same state."""


class TaskError(RecinterpError):
    """A task that cannot be built, or was asked for what it does not have."""


class UnknownNameError(TaskError):
    """A name nobody has heard of; the nearest known names are listed."""

    def __init__(self, asked: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(asked, f"there is no {name!r}", hint)


class InvalidInputError(TaskError):
    """Tokens that encode no term of the task's types; `position` counts from 0."""

    def __init__(self, asked: str, wrong: str, accepted: str = "", *, position: int = 0) -> None:
        self.position, self.why = position, wrong
        super().__init__(asked, f"at position {position}: {wrong}", accepted)


class NotDerivableError(TaskError):
    """The program is outside what is compiled to a machine with local pointers and one stack."""


class DomainError(TaskError):
    """No domain was given and the model records none, or the domain holds no input."""


class ModelError(RecinterpError):
    """A model that cannot be used."""


class IncompatibleModelError(ModelError):
    """Vocabulary, context length or architecture does not fit the task."""


class NonFiniteWeightsError(ModelError):
    """NaN or infinite weights."""


class ModelNotLoadedError(ModelError):
    """An explanation was loaded without its model, and something asks the model."""


class CheckpointError(ModelError):
    """A checkpoint that is truncated, foreign, pickled or missing."""


class InterventionError(RecinterpError):
    """An intervention that cannot be run."""


class InactiveHookError(InterventionError):
    """An edit at this site does not reach the logits."""


class UnknownHookError(InterventionError):
    """No such hook point, head or position."""


class UnwritableFileError(RecinterpError):
    """A result cannot be written where it was asked for."""


class UnreadableFileError(RecinterpError):
    """A file that was named cannot be read."""


class HeldOutInputError(RecinterpError):
    """A builder asked the oracle for an input that is kept for the judge."""
