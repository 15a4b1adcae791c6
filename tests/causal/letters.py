"""Words of distinct letters, in a task's clothes: what the hand-set copying networks run on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from recinterp.errors import InvalidInputError
from recinterp.machine import Machine

MACHINES = {
    "copy": """vocab {vocab}
start run
registers p := 0
mode run
  same: in(p) in {{{letters}}} -> emit in(p), p := p + 1, goto run
  end: in(p) = $ -> halt
""",
    "reverse": """vocab {vocab}
start run
registers p := n - 1
mode run
  same: in(p) in {{{letters}}} -> emit in(p), p := p - 1, goto run
  end: in(p) = $ -> halt
""",
}


@dataclass(frozen=True)
class Letters:
    """Words of `length` distinct letters, copied or reversed."""

    kind: str = "copy"
    length: int = 5
    constructors: tuple[str, ...] = tuple("abcdefgh")
    ids: dict[str, int] = field(hash=False, default_factory=dict)
    name: str = "letters"
    template: str = "{bos}{input}{sep}{output}{eos}"

    def __post_init__(self) -> None:
        names = (*self.constructors, "PAD", "BOS", "SEP", "EOS")
        self.ids.update({token: i for i, token in enumerate(names)})

    pad = property(lambda self: self.ids["PAD"])
    bos = property(lambda self: self.ids["BOS"])
    sep = property(lambda self: self.ids["SEP"])
    eos = property(lambda self: self.ids["EOS"])

    def prompt(self, tokens: Sequence[str]) -> list[int]:
        return [self.bos, *(self.ids[x] for x in tokens), self.sep]

    def count_output_tokens(self, inputs: Sequence[Sequence[str]]) -> None:
        """Outputs end with EOS."""

    def apply(self, tokens: Sequence[str]) -> list[str]:
        return list(tokens if self.kind == "copy" else reversed(tokens))

    def well_formed(self, tokens: Sequence[str]) -> None:
        known = set(tokens) <= set(self.constructors)
        if not known or len(tokens) != self.length or len(set(tokens)) < len(tokens):
            raise InvalidInputError("read a word", "its letters are not distinct", "")

    def inputs(self, max_length: int) -> Iterator[list[str]]:
        yield from map(list, itertools.permutations(self.constructors, self.length))

    def sample(self, n: int, seed: int = 0, max_length: int = 0) -> list[list[str]]:
        rng = random.Random(seed)
        return [rng.sample(self.constructors, self.length) for _ in range(n)]

    @property
    def machine(self) -> Machine:
        letters = ", ".join(self.constructors)
        vocab = " ".join(f"{x}/0" for x in self.constructors)
        return Machine.parse(MACHINES[self.kind].format(vocab=vocab, letters=letters))
