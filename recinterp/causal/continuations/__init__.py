"""Continuations: by position, by content or by what is not written yet, decided by interventions.

On a domain whose outputs do not repeat a token, machines that carry their position, that look it up
after the last output token, and that write what is not in the output yet, agree on every input.
Outputs that the model would not have written are forced on it; there they part.
"""

from recinterp.causal.continuations.decide import find_continuation

__all__ = ["find_continuation"]
