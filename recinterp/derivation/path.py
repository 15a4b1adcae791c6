"""What a rule is made of while it is found: what was read and written, where it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from recinterp.derivation.terms import (
    BELOW,
    Config,
    Place,
    Ret,
    Seek,
    Take,
    places,
    rewrite_config,
)
from recinterp.errors import NotDerivableError
from recinterp.semantics.ast import Construct

REGISTERS = "pqrsuvw"


class Grows(Exception):
    """This configuration cannot be had without a stack."""


class Unknown(Exception):
    """A place must be known before this configuration is suspended."""

    def __init__(self, place: Place) -> None:
        self.place = place


class Hoist(Exception):
    """A place must be known before this configuration starts to read."""

    def __init__(self, place: Place) -> None:
        self.place = place


def grown(function: str) -> NotDerivableError:
    """The error where what is still to be computed has no bound."""
    return NotDerivableError(
        f"derive a machine for {function}",
        "what is still to be computed grows in a way that one stack of pointers does not hold",
        "functions whose intermediate results are constants, or lists built left to right; "
        "of others, task.within(longest) has a machine for inputs up to a length",
    )


@dataclass(frozen=True)
class Frame:
    """A suspended configuration: over p, where the pointer then stands, and its own pointers.

    The first of these is the frame's, `also` are those of the frames below it.
    """

    config: Config
    step: str | None = None
    also: tuple[str, ...] = ()


Pushed: TypeAlias = tuple[Frame, tuple[Place, ...]]


@dataclass(frozen=True)
class Leaf:
    """A rule to be."""

    reads: tuple[tuple[Place, tuple[str, ...]], ...]
    word: tuple[str | Place, ...]
    sets: tuple[tuple[str, Place], ...]
    push: Pushed | None
    target: Config | Ret
    step: str | None
    took: bool = False


@dataclass
class Path:
    """What has been read and written since the configuration started."""

    reads: list[tuple[Place, tuple[str, ...]]] = field(default_factory=list)
    word: list[str | Place] = field(default_factory=list)
    known: dict[tuple[str, int, str], Construct] = field(default_factory=dict)
    alias: dict[str, Place] = field(default_factory=dict)
    popped: bool = False
    took: bool = False
    last: str | None = None
    step: str | None = None

    @property
    def begun(self) -> bool:
        """Whether anything was read or popped."""
        return bool(self.reads) or self.popped

    def copy(self) -> Path:
        """A path that goes on by itself."""
        return replace(
            self,
            reads=list(self.reads),
            word=list(self.word),
            known=dict(self.known),
            alias=dict(self.alias),
        )

    def real(self, place: Place) -> Place:
        """A resolved place in terms of registers that exist."""
        at = self.alias.get(place.reg)
        return place if at is None else self.real(at).plus(place.k)


def canonical(config: Config) -> tuple[Config, tuple[tuple[str, Place], ...]]:
    """The configuration over registers p, q, r, ... in order of use, and what each stands for."""
    names: dict[tuple[str, int], str] = {}
    first = Config(tuple(i for i in config.items if not isinstance(i, Take | Seek)), config.stop)
    for p in (*places(first), *places(config)):
        if (p.reg, p.k) not in names:
            if len(names) == len(REGISTERS):
                raise Grows
            names[p.reg, p.k] = REGISTERS[len(names)]
    renamed = rewrite_config(config, lambda p: Place(names[p.reg, p.k], 0, p.skips))
    return renamed, tuple(
        (name, Place(reg, k)) for (reg, k), name in names.items() if not reg.startswith(BELOW)
    )
