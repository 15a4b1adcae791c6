"""A batch of questions to a model: an input, a forced output prefix, and "what comes next?".

One row of a decoder-only model is one sequence. For the input `X1 01` and the prefix `X0`

    position   0    1    2     3
    token      X1   01   SEP   X0
    class      input(0) input(1)  sep   query

the query is the last position: its logits decide the next output token. Rows of unequal length
are padded on the right, where a causal model cannot see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast, get_args

import torch
from torch import Tensor

from recinterp.errors import IncompatibleModelError, UnknownHookError

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

Tokens = tuple[str, ...]
Kind = Literal[
    "prediction", "sep", "input", "others", "some", "position", "inputs", "outputs", "all"
]
Half = Literal["both", "read", "written"]
KINDS: tuple[Kind, ...] = get_args(Kind)
INDEXED: tuple[Kind, ...] = ("input", "others", "some", "position")


@dataclass(frozen=True)
class At:
    """A class of positions: query, sep, one input (`index`), the others, inputs, outputs, all.

    `index` counts from the first input token: one number for every row, or one per row, None
    where the row has no such position. `some` takes several per row. `position` counts from the
    first token of the sequence, whatever it is. `outputs` are the written tokens before the query.
    """

    kind: Kind
    index: int | tuple[int | None, ...] | tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownHookError(
                f"positions {self.kind!r}", "no such class", f"one of {', '.join(KINDS)}"
            )
        if (self.kind in INDEXED) == (self.index is None):
            wrong = "which input position?" if self.index is None else "takes no index"
            raise UnknownHookError(
                f"positions {self.kind!r}", wrong, 'At("input", 3) or At("prediction")'
            )

    def select(self, indices: Sequence[int]) -> At:
        """The same class for some of the rows."""
        if isinstance(self.index, tuple):
            return At(self.kind, tuple(self.index[i] for i in indices))  # type: ignore[arg-type]
        return self


def without_future_positions(where: Where, rows: PromptBatch) -> Where:
    """The same classes without the positions that these rows have not come to yet."""
    if isinstance(where, tuple):
        return tuple(cast(At, without_future_positions(at, rows)) for at in where)
    if where.kind != "position":
        return where
    ends = rows.prediction.tolist()
    index = where.index if isinstance(where.index, tuple) else (where.index,) * len(ends)
    places = [i if isinstance(i, tuple) else () if i is None else (i,) for i in index]
    return At(
        "position",
        tuple(tuple(i for i in p if i <= end) for p, end in zip(places, ends, strict=True)),
    )


PREDICTION, SEP, INPUTS, OUTPUTS, ALL = (
    At("prediction"),
    At("sep"),
    At("inputs"),
    At("outputs"),
    At("all"),
)
Where = At | tuple[At, ...]


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """ids (batch, pos), right-padded; start, length, sep, query: (batch,) positions."""

    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...]
    ids: Tensor
    start: Tensor
    length: Tensor
    sep: Tensor
    prediction: Tensor
    _sites: dict[tuple[Where, Half], tuple[Tensor, Tensor]] = field(
        default_factory=dict, repr=False
    )

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def fingerprint(self) -> tuple[object, ...]:
        """What two layouts of the same rows have in common, quick to compare."""
        return hash((self.inputs, self.prefixes)), tuple(self.ids.shape), int(self.ids.sum())

    def sites(self, where: Where, half: Half = "both") -> tuple[Tensor, Tensor]:
        """The (row, position) pairs of some classes, row by row. Errors: UnknownHookError."""
        if (where, half) not in self._sites:
            row, pos = self.mask(where, half).nonzero(as_tuple=True)
            self._sites[where, half] = (row, pos)
        return self._sites[where, half]

    def mask(self, where: Where, half: Half = "both") -> Tensor:
        """The positions of some classes: (batch, pos) of bool. Errors: UnknownHookError."""
        classes = where if isinstance(where, tuple) else (where,)
        found = torch.zeros(self.ids.shape, dtype=torch.bool)
        for at in classes:
            found |= self._mask(at)
        if half == "both":
            return found
        reads = torch.arange(self.ids.shape[1]) < self.sep[:, None]
        return found & (reads if half == "read" else ~reads)

    def _mask(self, at: At) -> Tensor:
        pos = torch.arange(self.ids.shape[1])[None]
        prediction, sep = self.prediction[:, None], self.sep[:, None]
        is_input = (pos >= self.start[:, None]) & (pos < (self.start + self.length)[:, None])
        match at.kind:
            case "prediction":
                return pos == prediction
            case "sep":
                return (pos == sep) & (sep < prediction)
            case "inputs":
                return is_input
            case "outputs":
                return (pos > sep) & (pos < prediction)
            case "all":
                return pos <= prediction
        here = torch.zeros(self.ids.shape, dtype=torch.bool)
        places = self._places(at)
        row = [i for i, there in enumerate(places) for _ in there]
        place = torch.tensor([p for there in places for p in there], dtype=torch.long)
        here[row, place if at.kind == "position" else place + self.start[row]] = True
        return is_input & ~here if at.kind == "others" else here

    def _places(self, at: At) -> list[tuple[int, ...]]:
        """The indices meant in each row. Errors: UnknownHookError."""
        index = at.index if isinstance(at.index, tuple) else (at.index,) * len(self)
        if len(index) != len(self):
            wrong = f"there are {len(self)} rows"
            raise UnknownHookError(f"{len(index)} input positions", wrong, "one per row")
        places = [i if isinstance(i, tuple) else () if i is None else (i,) for i in index]
        whole = at.kind == "position"
        lasts = self.prediction.tolist() if whole else [len(x) - 1 for x in self.inputs]
        for row, (there, last) in enumerate(zip(places, lasts, strict=True)):
            pass_through = next((i for i in there if not 0 <= i <= last), None)
            if pass_through is not None:
                asked = f"{'' if whole else 'input '}position {pass_through} of row {row}"
                ends = "its sequence" if whole else "its input"
                raise UnknownHookError(asked, f"{ends} ends at {last}", f"0 to {last}")
        return places


def build_batch(
    task: Task, inputs: Iterable[Sequence[str]], prefixes: Iterable[Sequence[str]] | None = None
) -> PromptBatch:
    """Rows for inputs and the output prefixes forced on them (default: none written yet)."""
    xs = _tuples(inputs)
    ys = _tuples(prefixes) if prefixes is not None else ((),) * len(xs)
    if len(xs) != len(ys) or not xs:
        raise IncompatibleModelError(
            "a batch of rows",
            f"{len(xs)} inputs, {len(ys)} prefixes",
            "as many of each, at least one",
        )
    prompts = [task.prompt(list(x)) for x in xs]
    ids = [p + [task.ids[token] for token in y] for p, y in zip(prompts, ys, strict=True)]
    padded = torch.full((len(ids), max(map(len, ids))), task.pad, dtype=torch.long)
    for row, line in enumerate(ids):
        padded[row, : len(line)] = torch.tensor(line)
    return PromptBatch(
        xs,
        ys,
        padded,
        torch.tensor([_offset(task, p, x) for p, x in zip(prompts, xs, strict=True)]),
        torch.tensor([len(x) for x in xs]),
        torch.tensor([len(p) - 1 for p in prompts]),
        torch.tensor([len(line) - 1 for line in ids]),
    )


def _tuples(lines: Iterable[Sequence[str]]) -> tuple[Tokens, ...]:
    """Tuples of tuples stay the objects they are, so that they can be known again by identity."""
    if isinstance(lines, tuple) and all(isinstance(line, tuple) for line in lines):
        return lines
    return tuple(tuple(line) for line in lines)


def _offset(task: Task, prompt: Sequence[int], tokens: Tokens) -> int:
    """Where the input begins: templates may put a BOS, or more, before it."""
    ids = [task.ids[token] for token in tokens]
    for start in range(len(prompt) - len(ids) + 1):
        if list(prompt[start : start + len(ids)]) == ids:
            return start
    raise IncompatibleModelError(
        f"template {task.template!r}",
        "the prompt does not hold the input",
        "a template with {input}",
    )


def half_of(adapter: Adapter, hook: str) -> Half:
    """The half of an encoder-decoder's rows that a hook point has; a stream's holds both.

    At the other half's positions its activations are zero or unread, and edits mean nothing.
    """
    start, _, rest = hook.partition(".")
    layer, _, name = rest.partition(".")
    if adapter.architecture != "encoder-decoder" or start != "blocks" or "hook_resid" in name:
        return "both"
    kind = adapter.block_names[int(layer)][0]
    asked = kind == "X" and name in ("attn.hook_k", "attn.hook_v")
    return "read" if kind == "E" or asked else "written"
