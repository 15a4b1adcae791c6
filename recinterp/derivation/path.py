"""Rules while they are found: what was read and written, and where each goes on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from recinterp.derivation.terms import (
    Configuration,
    InputPlace,
    Mark,
    Return,
    Seek,
    Take,
    places_of,
    rewrite_config,
)
from recinterp.errors import NotDerivableError
from recinterp.semantics.ast import Construct


class NeedsStack(Exception):
    """This configuration cannot be had without a stack."""


class UnknownPlace(Exception):
    """A place must be known before this configuration is suspended."""

    def __init__(self, place: InputPlace) -> None:
        self.place = place


class SeekFirst(Exception):
    """A place must be known before this configuration starts to read."""

    def __init__(self, place: InputPlace) -> None:
        self.place = place


def unbounded_error(function: str) -> NotDerivableError:
    """The error where what is still to be computed has no bound."""
    return NotDerivableError(
        f"derive a machine for {function}",
        "what is still to be computed grows in a way that one stack of pointers does not hold",
        "functions whose intermediate results are constants, or lists built left to right, have "
        "machines; of others, task.within(longest) has one for inputs up to a length",
    )


@dataclass(frozen=True)
class SuspendedFrame:
    """A suspended configuration: over p, where the pointer then stands, and its own pointers.

    The first of these is the frame's, `also` are those of the frames below it.
    """

    config: Configuration
    step: str | None = None
    also: tuple[str, ...] = ()


Pushed: TypeAlias = tuple[SuspendedFrame, tuple[InputPlace, ...]]


@dataclass(frozen=True)
class RuleOutline:
    """A rule to be."""

    reads: tuple[tuple[InputPlace, tuple[str, ...]], ...]
    word: tuple[str | InputPlace, ...]
    sets: tuple[tuple[str, InputPlace], ...]
    push: Pushed | None
    target: Configuration | Return
    step: str | None
    took: bool = False


@dataclass
class DrivingPath:
    """The tokens read and written since the configuration started."""

    reads: list[tuple[InputPlace, tuple[str, ...]]] = field(default_factory=list)
    word: list[str | InputPlace] = field(default_factory=list)
    known: dict[tuple[str, int, str], Construct] = field(default_factory=dict)
    alias: dict[str, InputPlace] = field(default_factory=dict)
    popped: bool = False
    took: bool = False
    last: str | None = None
    step: str | None = None

    @property
    def has_read(self) -> bool:
        """Whether anything was read or popped."""
        return bool(self.reads) or self.popped

    def fork(self) -> DrivingPath:
        """A path that goes on by itself."""
        return replace(
            self,
            reads=list(self.reads),
            word=list(self.word),
            known=dict(self.known),
            alias=dict(self.alias),
        )

    def resolve_place(self, place: InputPlace) -> InputPlace:
        """A resolved place in terms of registers that exist."""
        at = self.alias.get(place.reg)
        return place if at is None else self.resolve_place(at).shift(place.k)


def rename_registers(
    config: Configuration,
) -> tuple[Configuration, tuple[tuple[str, InputPlace], ...]]:
    """The configuration over registers p, q, r, ... in order of use, and what each stands for."""
    registers, names = "pqrsuvw", dict[tuple[str, int], str]()
    first = Configuration(
        tuple(i for i in config.items if not isinstance(i, Take | Seek)), config.stop
    )
    for p in (*places_of(first), *places_of(config)):
        if (p.reg, p.k) not in names:
            if len(names) == len(registers):
                raise NeedsStack
            names[p.reg, p.k] = registers[len(names)]
    renamed = rewrite_config(config, lambda p: InputPlace(names[p.reg, p.k], 0, p.skips))
    return renamed, tuple(
        (name, InputPlace(reg, k))
        for (reg, k), name in names.items()
        if not reg.startswith(Mark.BELOW)
    )
