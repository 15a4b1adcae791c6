"""Every head's attention on one input: CircuitsVis, from its packaged script.

CircuitsVis takes one list of tokens for queries and keys, so that an encoder-decoder's heads, whose
queries may stand elsewhere than their keys, have a small view of their own, without a script.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from recinterp.view.notebook.session import Session
from recinterp.view.notebook.standalone import StandalonePage, build_document, encode_for_script

if TYPE_CHECKING:
    from recinterp.explanation import Explanation


def build_attention_page(ex: Explanation, tokens: Sequence[str]) -> StandalonePage:
    """Attention of all heads over input, SEP and the model's output; `Explanation.attention`."""
    session = Session(ex)
    patterns, row = session.patterns(tokens)
    title = f"attention of {len(session.heads)} heads on {' '.join(tokens)}"
    # CircuitsVis draws dark on white and knows no other.
    style = (
        ":root{color-scheme:light}"
        "body{margin:12px;background:#fff;color:#1d2733;font:14px sans-serif}"
    )
    if session.adapter.architecture == "encoder-decoder":
        body = _render_tables(session, patterns, row)
        style += (
            "main{display:flex;flex-wrap:wrap;gap:18px 34px}h2{font-size:14px;margin:4px 0}"
            "table{border-collapse:collapse}"
            "th{font:11px monospace;padding:0 5px 0 0;text-align:right}"
            "td{width:19px;min-width:19px;height:17px;padding:0;border:1px solid #eef3f8;"
            "background:rgba(47,111,179,var(--share))}"
        )
    else:
        body = _render_circuitsvis(session, patterns, row)
    return StandalonePage.make(build_document(title, body, style), title)


def _render_circuitsvis(
    session: Session, patterns: Float[Tensor, "layer head query key"], row: Sequence[str]
) -> str:
    from circuitsvis.attention import attention_heads

    drawn = attention_heads(
        attention=patterns.flatten(0, 1).numpy().round(3),
        tokens=list(row),
        attention_head_names=[session.name(which) for which in session.heads],
    )
    # `local_src` holds the packaged script; displaying the object itself would ask the network.
    # Tokens stand in its JSON: written so that none of them ends the script.
    return str(drawn.local_src.replace(json.dumps(list(row)), encode_for_script(list(row))))


def _render_tables(
    session: Session, patterns: Float[Tensor, "layer head query key"], row: Sequence[str]
) -> str:
    tables = (
        _render_table(session.name((layer, h)), patterns[layer, h], row)
        for layer, h in session.heads
    )
    return f"<main>{''.join(tables)}</main>"


def _render_table(name: str, pattern: Float[Tensor, "query key"], row: Sequence[str]) -> str:
    """One head: the queries that it has, over the keys that any of them attends to."""
    parts = {"E": "encoder", "D": "decoder, itself", "X": "decoder, the encoder"}
    queries = [i for i, total in enumerate(pattern.sum(1).tolist()) if total > 0]
    keys = [i for i, total in enumerate(pattern.sum(0).tolist()) if total > 0]
    head = "".join(f"<th>{escape(row[k])}</th>" for k in keys)
    body = "".join(
        f"<tr><th>{escape(row[q])}</th>"
        + "".join(_render_cell(pattern, row, q, k) for k in keys)
        + "</tr>"
        for q in queries
    )
    title = f"{name}: {parts[name[0]]}" if name[0] in parts else name
    return (
        f"<section><h2>{escape(title)}</h2><table><tr><th></th>{head}</tr>{body}</table></section>"
    )


def _render_cell(pattern: Float[Tensor, "query key"], row: Sequence[str], q: int, k: int) -> str:
    share = float(pattern[q, k])
    words = escape(f"{row[q]} attends to {row[k]} ({k + 1}): {share:.0%}", quote=True)
    return f'<td style="--share:{share:.3f}" title="{words}"></td>'
