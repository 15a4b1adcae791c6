"""Every error a user can meet, in one tree.

Each names the operation that failed, the problem, and a hint at what would work:
`Cannot read a program at line 2, column 7: a comment is opened and never closed. Hint: write *)`.

RecinterpError
├── SourceError                 the text of a program: line, column, caret
│   ├── GallinaSyntaxError          it does not parse
│   ├── GallinaTypeError            it parses and does not type-check
│   ├── NotStructuralError          a fixpoint whose recursive calls are not on subterms
│   ├── OutsideSubsetError          Coq may accept it; the hint says what to write instead
│   └── PythonTranslationError      a Python function that cannot be translated to Gallina
├── MachineError                the text or the shape of a machine
│   ├── MachineSyntaxError          its text does not parse (also a SourceError)
│   └── OverlappingRulesError       two rules of one mode can fire in the same state
├── TaskError                   a task that cannot be built, or that lacks what it was queried for
│   ├── UnknownNameError            an unknown name; the nearest known names are listed
│   ├── InvalidInputError           tokens that encode no term; the position is named
│   ├── NotDerivableError           no machine can be derived from the program
│   └── DomainError                 no domain given and none recorded, or an empty one
├── ModelError                  a model that cannot be used
│   ├── IncompatibleModelError      vocabulary, context or architecture does not fit the task
│   ├── NonFiniteWeightsError       NaN or infinite weights
│   ├── RunInProgressError          another process trains in the same folder
│   ├── ModelNotLoadedError         an explanation was loaded without its model
│   └── CheckpointError             a truncated, foreign, pickled or missing checkpoint
├── InterventionError           an intervention that cannot be run
│   ├── InactiveHookError           an edit at this site does not reach the logits
│   └── UnknownHookError            no such hook point, head or position
│       └── UnreachableHookError        no named module of a user's own model passes it on
├── MalformedArgumentError      an argument of another kind: a string for a list of tokens, an id
├── InterruptedRunError         an interrupted command, and how to go on
├── UnwritableFileError         a result cannot be written to the given path
├── UnreadableFileError         a given file cannot be read
└── HeldOutInputError           the search queried an input that is held out for the judge
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RecinterpError(Exception):
    """Root of the tree. Its message reads "Cannot {operation}: {problem}. Hint: {hint}.".

    Attributes:
        operation: What failed, as a bare infinitive phrase: "read machine text".
        problem: What is wrong, as a clause: "no rule starts in mode copy".
        hint: What would work, or an empty string; the message has no hint part then.

    Args:
        place: Where the problem is, written after the operation: "line 2, column 7".
    """

    def __init__(self, operation: str, problem: str, hint: str = "", *, place: str = "") -> None:
        self.operation, self.problem, self.hint = operation, problem, hint
        where = f" at {place}" if place else ""
        message = f"Cannot {operation}{where}: {_end_sentence(problem)}"
        super().__init__(f"{message} Hint: {_end_sentence(hint)}" if hint else message)


class SourceError(RecinterpError):
    """A fault in the text of a program.

    Attributes:
        line: Line of the fault, counted from 1; 0 if unknown.
        column: Column of the fault, counted from 1; 0 if unknown.
        excerpt: That line, and below it a caret under the fault; empty if the line is unknown.

    Args:
        source: The whole text; the excerpt is taken from it.
    """

    def __init__(
        self,
        operation: str,
        problem: str,
        hint: str = "",
        *,
        source: str = "",
        line: int = 0,
        column: int = 0,
    ) -> None:
        self.line, self.column = line, column
        lines = source.splitlines()
        text = lines[line - 1] if 0 < line <= len(lines) else ""
        self.excerpt = f"{text}\n{' ' * max(column - 1, 0)}^" if text else ""
        place = f"line {line}, column {column}" if line else ""
        super().__init__(operation, problem, hint, place=place)

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


class PythonTranslationError(SourceError):
    """A Python function that cannot be translated; the place is in the user's Python."""


class MachineError(RecinterpError):
    """A machine's text or shape."""


class MachineSyntaxError(SourceError, MachineError):
    """A machine's text does not parse."""


class OverlappingRulesError(MachineError):
    """Two rules of one mode can fire in the same state."""


class TaskError(RecinterpError):
    """A task that cannot be built, or that lacks what it was queried for."""


class UnknownNameError(TaskError):
    """An unknown name; the hint lists the nearest known names, or all of them."""

    def __init__(self, operation: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(operation, f"there is no {name!r}", hint)


class InvalidInputError(TaskError):
    """Tokens that encode no term of the task's types.

    Attributes:
        position: Index of the first token that does not fit, counted from 0.
    """

    def __init__(self, operation: str, problem: str, hint: str = "", *, position: int = 0) -> None:
        self.position = position
        super().__init__(operation, problem, hint, place=f"position {position}")


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
    """An explanation was loaded without its model, and an operation needs the model."""


class RunInProgressError(ModelError):
    """Another training run is writing to the same folder."""


class CheckpointError(ModelError):
    """A checkpoint that is truncated, foreign, pickled or missing."""


class InterventionError(RecinterpError):
    """An intervention that cannot be run."""


class InactiveHookError(InterventionError):
    """An edit at this site does not reach the logits."""


class UnknownHookError(InterventionError):
    """No such hook point, head or position."""


class MalformedArgumentError(RecinterpError):
    """An argument of another kind than the function takes: a string for tokens, an id, a path."""


class UnreachableHookError(UnknownHookError):
    """A hook point that no named module of a user's own model passes on."""


class InterruptedRunError(RecinterpError):
    """A command was interrupted; the hint says how to go on."""


class UnwritableFileError(RecinterpError):
    """A result cannot be written to the given path."""


class UnreadableFileError(RecinterpError):
    """A given file cannot be read."""


class HeldOutInputError(RecinterpError):
    """The search queried the oracle for an input that is held out for the judge."""


def _end_sentence(text: str) -> str:
    """The text, closed by one full stop unless it ends in a mark of its own."""
    text = text.rstrip()
    return text if text.endswith(("?", "!")) else text.rstrip(".") + "."
