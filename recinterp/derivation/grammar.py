"""How the terms of a task stand in the input, and how constructors are written to the output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from recinterp.derivation.terms import InputPlace, Mark
from recinterp.tasks.encoding import CLOSE, OPEN, Encoding, list_shape
from recinterp.tokens import ARG_SEP, END_OF_INPUT

if TYPE_CHECKING:
    from recinterp.tasks.task import Task


@dataclass(frozen=True)
class ConstructorForm:
    """One way a term can begin: the tokens it is known by, and where its arguments stand."""

    constructor: str
    reads: tuple[tuple[int, tuple[str, ...]], ...]
    width: int
    children: tuple[str, ...]
    tail: int = 0


class InputGrammar:
    """The input and output side of one task's encoding."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.program = task.program
        self.function = task.program.function(task.function)
        self.reverse = task.order == "reverse"
        self.encoding = Encoding(
            task.program, task.shown, self.reverse, task.brackets, task.bare_lists
        )
        self._cases: dict[str, tuple[ConstructorForm, ...]] = {}

    @cached_property
    def bare_output(self) -> bool:
        """Whether the result is a list written as its data."""
        return self.encoding.is_bare(self.function.result)

    @cached_property
    def arguments(self) -> tuple[tuple[str, InputPlace], ...]:
        """Each argument's type and where it starts, the reading pointer being p.

        In reverse order the last argument is the one at the end where reading begins.
        """
        types = [p.type for p in self.function.params]
        place, found = InputPlace("p", 0), []
        order = range(len(types))
        for count, i in enumerate(reversed(order) if self.reverse else order):
            last = count == len(types) - 1
            type_ = types[i]
            if self.encoding.is_bare(type_):
                type_ += Mark.BARE + (END_OF_INPUT if last else ARG_SEP)
            found.append((i, type_, place))
            place = place.skip_subtree(type_, self.fixed_width(type_)).shift(1)
        return tuple((t, at) for _, t, at in sorted(found))

    @cached_property
    def last_tokens(self) -> tuple[str, ...]:
        """The tokens that end an input of one argument and stand nowhere else in it; may be none.

        `$` for a list that is written as its data: only the end of the input ends it.
        """
        type_ = self.arguments[0][0]
        if Mark.BARE in type_:
            return (END_OF_INPUT,)
        seen, work, last = {type_}, [type_], list[str]()
        while work:
            for c in self.program.type(work.pop()).constructors:
                if len(c.args) > 1 or (c.args and self.encoding.brackets):
                    return ()
                last += [] if c.args else [self.token_of(c.name)]
                work += set(c.args) - seen
                seen |= set(c.args)
        return tuple(last)

    def token_of(self, constructor: str) -> str:
        """The token of a constructor."""
        return self.encoding.tokens_by_constructor[constructor]

    def forms_of(self, type_: str) -> tuple[ConstructorForm, ...]:
        """How a term of a type can begin in the input."""
        if type_ not in self._cases:
            name, _, end = type_.partition(Mark.BARE)
            self._cases[type_] = (
                self._bare_cases(name, type_, end) if end else self._plain_cases(name)
            )
        return self._cases[type_]

    def _bare_cases(self, name: str, type_: str, end: str) -> tuple[ConstructorForm, ...]:
        shape = list_shape(self.program, name)
        assert shape is not None
        empty, cons, label = shape
        labels = tuple(self.token_of(c.name) for c in self.program.type(label).constructors)
        return ConstructorForm(empty, ((0, (end,)),), 0, ()), ConstructorForm(
            cons, ((0, labels),), 0, (label, type_)
        )

    def _plain_cases(self, name: str) -> tuple[ConstructorForm, ...]:
        found = []
        for c in self.program.type(name).constructors:
            token = (self.token_of(c.name),)
            if self.encoding.brackets and c.args:
                found.append(ConstructorForm(c.name, ((0, (OPEN,)), (1, token)), 2, c.args, 1))
            else:
                found.append(ConstructorForm(c.name, ((0, token),), 1, c.args))
        return tuple(found)

    def is_enumeration(self, type_: str) -> bool:
        """Whether a type has constants only."""
        return Mark.BARE not in type_ and self.program.type(type_).is_enumeration

    def fixed_width(self, type_: str, above: tuple[str, ...] = ()) -> int | None:
        """The number of tokens of every term of a type, None where they differ."""
        if Mark.BARE in type_ or type_ in above:
            return None
        widths = set()
        for case in self.forms_of(type_):
            inner = [self.fixed_width(t, (*above, type_)) for t in case.children]
            if any(w is None for w in inner):
                return None
            widths.add(case.width + case.tail + sum(w for w in inner if w is not None))
        return widths.pop() if len(widths) == 1 else None

    def place_arguments(
        self, case: ConstructorForm, at: InputPlace
    ) -> tuple[tuple[InputPlace, ...], InputPlace]:
        """Where the arguments of a term that starts at a place stand, and where it ends."""
        here, found = at.shift(case.width), []
        for child in case.children:
            found.append(here)
            here = here.skip_subtree(child, self.fixed_width(child))
        return tuple(found), here.shift(case.tail)

    def is_chain(self, type_: str, above: tuple[str, ...] = ()) -> bool:
        """Whether skipping a term of a type needs no stack: at most one, last, unfixed argument."""
        if type_ in above:
            return True
        for case in self.forms_of(type_):
            *front, last = case.children or ("",)
            if any(self.fixed_width(t) is None for t in front):
                return False
            if last and self.fixed_width(last) is None and (
                case.tail or not self.is_chain(last, (*above, type_))
            ):  # fmt: skip
                return False
        return True

    def written_tokens(
        self, constructor: str, type_: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Tokens written before and after the arguments of a constructor."""
        if self.bare_output and type_ == self.function.result:
            return (), ()
        token = self.token_of(constructor)
        if self.encoding.brackets and self.program.type(type_).constructor(constructor).args:
            return (OPEN, token), (CLOSE,)
        return (token,), ()
