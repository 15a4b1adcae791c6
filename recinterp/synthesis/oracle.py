"""The model as the search may query it: held-out inputs are refused.

Outputs are cached, so that a repeated query costs nothing, and so that a table of all queries can
serve beside the explanation as a baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

from recinterp.errors import HeldOutInputError
from recinterp.judge.cached_model import CachedModel
from recinterp.splits import held_out
from recinterp.tokens import Tokens


class Oracle(CachedModel):
    """`oracle(inputs)` -> outputs of a model, none of whose held-out inputs can be queried.

    Args:
        predict: the model, as a function from a list of inputs to the list of their outputs; an
            existing `CachedModel` answers from its cache.
        checkpoint: the checkpoint that the model was loaded from, if any.

    Attributes:
        outputs: the output of every input queried so far.
    """

    def __call__(self, inputs: Sequence[Sequence[str]]) -> list[Tokens]:
        """Query the model.

        Args:
            inputs: token sequences, none of them held out.

        Returns:
            One output for each, in their order.

        Raises:
            HeldOutInputError: if an input is held out for the judge.
            IncompatibleModelError: if the model returns another number of outputs.
        """
        locked = next((x for x in inputs if held_out(x)), None)
        if locked is not None:
            raise HeldOutInputError(
                f"query the oracle with {' '.join(locked)}",
                "the input is held out for the judge",
                "filter the inputs with `recinterp.splits.held_out` first",
            )
        return super().__call__(inputs)
