"""A batch of prompts: an input and a forced output prefix per row; the model predicts what follows.

One row of a decoder-only model is one sequence. For the input `X1 01` and the prefix `X0`

    position   0    1    2     3
    token      X1   01   SEP   X0
    class      input(0) input(1)  sep   prediction

The *prediction position* is the last one: its logits decide the next output token. Rows of unequal
length are padded on the right, where a causal model does not attend.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recinterp.errors import IncompatibleModelError, UnknownHookError
from recinterp.tasks.arguments import check_token_lists

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

Tokens = tuple[str, ...]
Kind = Literal[
    "prediction", "sep", "input", "others", "some", "position", "inputs", "outputs", "all"
]
Half = Literal["both", "read", "written"]
Sites: TypeAlias = tuple[Int[Tensor, " site"], Int[Tensor, " site"]]  # row, position
KINDS: tuple[Kind, ...] = get_args(Kind)
INDEXED: tuple[Kind, ...] = ("input", "others", "some", "position")


@dataclass(frozen=True)
class At:
    """A class of positions in each row.

    Attributes:
        kind: "prediction" (the last position, whose logits decide the next token), "sep",
            "inputs", "outputs" (the written tokens before the prediction position), "all",
            "input" (one input position), "others" (all input positions but one), "some"
            (several input positions), or "position" (counted from the start of the sequence).
        index: For the last four kinds, one index for every row, or one per row; None where a row
            has no such position. "some" takes a tuple of indices per row.

    Raises:
        UnknownHookError: If the kind is unknown, or an index is missing or superfluous.
    """

    kind: Kind
    index: int | tuple[int | None, ...] | tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            hint = f"one of {', '.join(KINDS)}"
            raise UnknownHookError(f"use positions {self.kind!r}", "no such class", hint)
        if (self.kind in INDEXED) == (self.index is None):
            problem = "it needs an index" if self.index is None else "it takes no index"
            raise UnknownHookError(
                f"use positions {self.kind!r}", problem, 'At("input", 3) or At("prediction")'
            )

        if not _is_index(self.index):
            problem = f"its index is {self.index!r}"
            hint = "a whole number, or one per row: a number, None, or a tuple of numbers"
            raise UnknownHookError(f"use positions {self.kind!r}", problem, hint)

    def select(self, indices: Sequence[int]) -> At:
        """The class for the rows at `indices`."""
        if isinstance(self.index, tuple):
            return At(self.kind, tuple(self.index[i] for i in indices))  # type: ignore[arg-type]
        return self


def _is_index(index: object) -> bool:
    """Whether an index is None, a whole number, or a tuple of those for the rows."""
    if isinstance(index, tuple):
        return all(_is_index(i) and not _is_nested(i) for i in index)
    return index is None or (isinstance(index, Integral) and not isinstance(index, bool))


def _is_nested(index: object) -> bool:
    return isinstance(index, tuple) and any(isinstance(i, tuple) for i in index)


def without_future_positions(where: Where, rows: PromptBatch) -> Where:
    """The classes without absolute positions that these rows do not reach yet."""
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


PREDICTION = At("prediction")  # the last position, whose logits decide the next token
SEP = At("sep")  # the separator, where it is not the prediction position
INPUTS = At("inputs")
OUTPUTS = At("outputs")  # the written tokens before the prediction position
ALL = At("all")
Where = At | tuple[At, ...]


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """Prompts of one forward pass.

    Attributes:
        inputs: Input tokens per row.
        prefixes: Output tokens already written, per row.
        ids: Token ids, padded on the right.
        start: Position of the first input token.
        length: Number of input tokens.
        sep: Position of SEP, at which the first output token is predicted.
        prediction: Position whose next token is predicted.
    """

    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...]
    ids: Int[Tensor, "row pos"]
    start: Int[Tensor, " row"]
    length: Int[Tensor, " row"]
    sep: Int[Tensor, " row"]
    prediction: Int[Tensor, " row"]
    _sites: dict[tuple[Where, Half], Sites] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def fingerprint(self) -> tuple[object, ...]:
        """Equal for batches of the same rows, and quick to compare."""
        return hash((self.inputs, self.prefixes)), tuple(self.ids.shape), int(self.ids.sum())

    def sites(self, where: Where, half: Half = "both") -> Sites:
        """Row and position of every site of some classes, row by row. Raises UnknownHookError."""
        if (where, half) not in self._sites:
            row, pos = self.mask(where, half).nonzero(as_tuple=True)
            self._sites[where, half] = (row, pos)
        return self._sites[where, half]

    def mask(self, where: Where, half: Half = "both") -> Bool[Tensor, "row pos"]:
        """Which positions belong to some classes. Raises UnknownHookError."""
        classes = where if isinstance(where, tuple) else (where,)
        found = torch.zeros(self.ids.shape, dtype=torch.bool)
        for at in classes:
            found |= self._mask(at)
        if half == "both":
            return found
        reads = torch.arange(self.ids.shape[1]) < self.sep[:, None]
        return found & (reads if half == "read" else ~reads)

    def _mask(self, at: At) -> Bool[Tensor, "row pos"]:
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
        """The indices meant in each row. Raises UnknownHookError."""
        index = at.index if isinstance(at.index, tuple) else (at.index,) * len(self)
        if len(index) != len(self):
            problem = f"there are {len(index)} positions for {len(self)} rows"
            raise UnknownHookError(f"use positions {at.kind!r}", problem, "give one per row")
        places = [i if isinstance(i, tuple) else () if i is None else (i,) for i in index]
        whole = at.kind == "position"
        lasts = self.prediction.tolist() if whole else [len(x) - 1 for x in self.inputs]
        for row, (there, last) in enumerate(zip(places, lasts, strict=True)):
            outside = next((i for i in there if not 0 <= i <= last), None)
            if outside is not None:
                operation = f"edit {'' if whole else 'input '}position {outside} of row {row}"
                problem = f"its {'sequence' if whole else 'input'} ends at {last}"
                raise UnknownHookError(operation, problem, f"choose 0 to {last}")
        return places


def build_batch(
    task: Task, inputs: Iterable[Sequence[str]], prefixes: Iterable[Sequence[str]] | None = None
) -> PromptBatch:
    """Lay out prompts for inputs and output prefixes.

    Args:
        task: The task, which names tokens and template.
        inputs: Token sequences, one per row.
        prefixes: Output tokens already written, one sequence per row; None for none.

    Returns:
        The batch.

    Raises:
        IncompatibleModelError: If there is no row, if inputs and prefixes differ in number, or if
            the template does not contain the input.
        MalformedArgumentError: If inputs or prefixes are no lists of tokens.
        UnknownNameError: If a token is unknown.
    """
    xs = _tuples(task, inputs, "input")
    ys = _tuples(task, prefixes, "prefix") if prefixes is not None else ((),) * len(xs)
    if len(xs) != len(ys) or not xs:
        raise IncompatibleModelError(
            "build a batch",
            f"there are {len(xs)} inputs and {len(ys)} prefixes",
            "give as many of each, at least one",
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


def _tuples(task: Task, lines: Iterable[Sequence[str]], what: str) -> tuple[Tokens, ...]:
    """Sequences as tuples; tuples of tuples stay the same object, so that `is` recognises them."""
    known = task.ids
    if not (isinstance(lines, tuple) and all(isinstance(line, tuple) for line in lines)):
        checked = check_token_lists(lines, "build a batch", known, what)
        return tuple(tuple(line) for line in checked)
    if not all(isinstance(token, str) and token in known for line in lines for token in line):
        check_token_lists(lines, "build a batch", known, what)
    return lines


def _offset(task: Task, prompt: Sequence[int], tokens: Tokens) -> int:
    """Position of the first input token: templates may put a BOS, or more, before it."""
    ids = [task.ids[token] for token in tokens]
    for start in range(len(prompt) - len(ids) + 1):
        if list(prompt[start : start + len(ids)]) == ids:
            return start
    raise IncompatibleModelError(
        f"use the template {task.template!r}",
        "the prompt does not contain the input",
        "write a template with {input}",
    )


def half_of(adapter: Adapter, hook: str) -> Half:
    """The half of an encoder-decoder's rows that a hook point has; residual streams have both.

    At the positions of the other half its activations are zero or unread, and edits have no effect.
    """
    start, _, rest = hook.partition(".")
    layer, _, name = rest.partition(".")
    if adapter.architecture != "encoder-decoder" or start != "blocks" or "hook_resid" in name:
        return "both"
    kind = adapter.block_names[int(layer)][0]
    is_cross_key = kind == "X" and name in ("attn.hook_k", "attn.hook_v")
    return "read" if kind == "E" or is_cross_key else "written"
