"""A model's outputs, each computed once: what the builder queries and what the judge compares with.

Anything that maps inputs to outputs can stand behind it: a transformer, an LSTM, a plain function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from recinterp.errors import IncompatibleModelError
from recinterp.tasks import Task
from recinterp.tasks.arguments import check_model, check_task, query_function
from recinterp.tokens import Tokens

Predict: TypeAlias = Callable[[list[Tokens]], list[Tokens]]


class CachedModel:
    """A model, or any function from inputs to outputs, that computes each output once.

    Args:
        predict: A function from a list of inputs to their outputs.
        checkpoint: The model's checkpoint description, None if it has none.
        is_users: Whether `predict` is a user's function, whose outputs are checked.

    Attributes:
        checkpoint: The model's checkpoint description, None if it has none.
        outputs: The outputs computed so far, by input.
    """

    def __init__(
        self,
        predict: Predict,
        *,
        checkpoint: object = None,
        is_users: bool = False,
    ) -> None:
        self._predict, self._is_users = predict, is_users
        self.checkpoint = checkpoint
        self.outputs: dict[tuple[str, ...], Tokens] = {}

    @classmethod
    def of(cls, model: object, task: Task) -> CachedModel:
        """Wrap a model; a CachedModel is returned as it is.

        Args:
            model: A hooked model, or a function from a list of inputs to their outputs.
            task: The task whose encoding a hooked model reads.

        Raises:
            IncompatibleModelError: The model is neither.
        """
        if isinstance(model, CachedModel):
            return model
        from torch import nn  # late: a function of outputs is judged without loading torch

        check_task(task, "query a model")
        check_model(model, "query a model")
        if callable(model) and not isinstance(model, nn.Module):
            checkpoint = getattr(model, "checkpoint", None)
            return cls(model, checkpoint=checkpoint, is_users=True)
        from recinterp.models import predict
        from recinterp.models.torch_threads import fitting_threads

        if not isinstance(model, nn.Module):
            raise IncompatibleModelError(
                f"query a model of type {type(model).__name__}",
                "it is neither a hooked model nor a function from inputs to outputs",
                "load a model with ri.load, or pass a function",
            )

        def run(inputs: list[Tokens]) -> list[Tokens]:
            with fitting_threads(model):
                return predict(model, task, inputs)

        return cls(run, checkpoint=getattr(model, "checkpoint", None))

    def __call__(self, inputs: Sequence[Sequence[str]]) -> list[Tokens]:
        """Compute the outputs, in the order of the inputs.

        Args:
            inputs: Inputs as tokens; those seen before are not computed again.

        Raises:
            IncompatibleModelError: The function fails, or does not return one list of tokens for
                each input.
        """
        queried = [tuple(x) for x in inputs]
        new = list(dict.fromkeys(x for x in queried if x not in self.outputs))
        if new:
            outputs = self._query(new)
            self.outputs |= dict(zip(new, outputs, strict=True))
        return [self.outputs[x] for x in queried]

    def _query(self, inputs: Sequence[tuple[str, ...]]) -> list[Tokens]:
        if not self._is_users:  # its outputs have their form
            return [list(y) for y in self._predict([list(x) for x in inputs])]
        return query_function(self._predict, inputs)
