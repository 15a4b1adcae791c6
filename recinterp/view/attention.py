"""Every head's attention on one input: CircuitsVis, from its packaged script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recinterp.session import Session
from recinterp.view.standalone import StandAlone, document, in_script

if TYPE_CHECKING:
    from recinterp.explain import Explanation

# CircuitsVis draws dark on white and knows no other.
STYLE = (
    ":root{color-scheme:light}body{margin:12px;background:#fff;color:#1d2733;font:14px sans-serif}"
)


def attention_page(ex: Explanation, tokens: Sequence[str]) -> StandAlone:
    """Self-attention of all heads over input, SEP and the model's own output, as one page.

    Errors: NoModel, IllFormed.
    """
    from circuitsvis.attention import attention_heads

    session = Session(ex)
    patterns, row = session.patterns(tokens)
    names = [f"L{layer}H{h}" for layer, h in session.heads]
    drawn = attention_heads(
        attention=patterns.flatten(0, 1).numpy().round(3),
        tokens=list(row), attention_head_names=names,
    )  # fmt: skip
    # `local_src` holds the packaged script; displaying the object itself would ask the network.
    said = " ".join(tokens)
    body = f"<p>{len(names)} heads</p>" + _safe(drawn.local_src, row)
    return StandAlone.make(
        document(f"attention on {said}", body, STYLE), f"attention of {len(names)} heads on {said}"
    )


def _safe(page: str, row: Sequence[str]) -> str:
    """Tokens as they stand in CircuitsVis's JSON, so written that none of them ends the script."""
    return page.replace(json.dumps(list(row)), in_script(list(row)))
