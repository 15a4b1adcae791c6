"""What a model answers, asked once: the judge's memory, without any lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from recinterp.errors import MisfitModel

if TYPE_CHECKING:
    from recinterp.tasks import Task

Tokens: TypeAlias = "list[str]"
Predict: TypeAlias = Callable[[list[Tokens]], list[Tokens]]


class Answers:
    """`answers(inputs)` -> outputs of a model, or of any function from inputs to outputs."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self._known: dict[tuple[str, ...], Tokens] = {}

    @classmethod
    def of(cls, model: object, task: Task) -> Answers:
        """Answers of a hooked model, of a plain callable on lists of inputs, or of Answers."""
        if isinstance(model, Answers):
            return model
        from torch import nn

        if callable(model) and not isinstance(model, nn.Module):
            return cls(model)
        from recinterp.models import predict
        from recinterp.models.torch_threads import fitting_threads

        if not isinstance(model, nn.Module):
            raise MisfitModel(
                f"a model of type {type(model).__name__}",
                "it is neither a hooked model nor a function from inputs to outputs",
                "load one with ri.load, or pass a callable",
            )

        def ask(inputs: list[Tokens]) -> list[Tokens]:
            with fitting_threads(model):
                return predict(model, task, inputs)

        return cls(ask)

    def __call__(self, inputs: Sequence[Sequence[str]]) -> list[Tokens]:
        """The outputs, in the order asked."""
        asked = [tuple(x) for x in inputs]
        new = list(dict.fromkeys(x for x in asked if x not in self._known))
        if new:
            found = [list(y) for y in self._predict([list(x) for x in new])]
            if len(found) != len(new):
                wrong = f"{len(new)} inputs were asked about and {len(found)} outputs came back"
                raise MisfitModel("ask a model", wrong, "an output for each input, in their order")
            self._known |= dict(zip(new, found, strict=True))
        return [self._known[x] for x in asked]
