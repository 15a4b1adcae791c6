"""Proof that an edit reaches the logits: some hook points of some backends discard edits silently.

For each model and hook point, once, over a small batch: the activation is shaken (a pattern: made
to attend evenly), and the logits must move. At a site that holds the whole residual stream it is
replaced by the other rows', and the answer must then be exactly the other rows' answer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recinterp.errors import InactiveHookError
from recinterp.perturb.lowering.validate import check_hook
from recinterp.perturb.positions import build_batch

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.perturb.positions import PromptBatch
    from recinterp.tasks import Task

WHOLE_STREAM = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post")
_proven: WeakKeyDictionary[nn.Module, dict[str, str]] = WeakKeyDictionary()


def assert_live(adapter: Adapter, task: Task, hook: str) -> None:
    """Check, once per model and hook point, that an edit there reaches the logits.

    Raises:
        InactiveHookError: If it does not; the hint names a live hook point of the same layer.
        UnknownHookError: If the model has no such hook point.
    """
    verdict = _verdict(adapter, task, hook)
    if verdict:
        live = next((h for h in _neighbours(adapter, hook) if not _verdict(adapter, task, h)), None)
        hint = f"{live} is live" if live else "no hook point near it is live"
        raise InactiveHookError(f"edit {hook} of {type(adapter.model).__name__}", verdict, hint)


def is_live(adapter: Adapter, task: Task, hook: str) -> bool:
    """Whether an edit at a hook point reaches the logits, and all of the computation after it."""
    return hook in adapter.hook_names and not _verdict(adapter, task, hook)


def _verdict(adapter: Adapter, task: Task, hook: str) -> str:
    """Why a hook point is not live; empty if it is."""
    known = _proven.setdefault(adapter.model, {})
    if hook not in known:
        check_hook(adapter, hook)
        known[hook] = _test_hook(adapter, _rows(adapter, task, hook), hook)
    return known[hook]


@torch.no_grad()
def _test_hook(adapter: Adapter, rows: PromptBatch, hook: str) -> str:
    clean = adapter.logits(rows.ids)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the bridge's own word of what is found here
        edited = adapter.run_with_hooks(rows.ids, [(hook, _edit(hook))])
    scale = float(clean.abs().max()) + 1e-9
    min_change, max_difference = 1e-6, 1e-3  # of the logits, relative to the largest
    if float((edited - clean).abs().max()) < min_change * scale:
        return "the edit is discarded"
    if hook.endswith(WHOLE_STREAM):
        away = float((edited - clean.roll(1, 0)).abs().max())
        if away > max_difference * scale:
            return "the edit reaches only a part of the computation"
    return ""


def _edit(hook: str) -> Callable[..., Tensor]:
    if hook.endswith("hook_pattern"):
        return lambda value, hook=None: _uniform_attention(value)
    if hook.endswith(WHOLE_STREAM):
        return lambda value, hook=None: value.roll(1, 0)
    return lambda value, hook=None: _perturbed(value)


def _perturbed(value: Float[Tensor, "row ..."]) -> Float[Tensor, "row ..."]:
    """Other rows' values and some noise: a component that writes a constant moves as well."""
    noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(0)).to(value)
    return value.roll(1, 0) + noise * (value.std() + 1.0)


def _uniform_attention(
    pattern: Float[Tensor, "row head query key"],
) -> Float[Tensor, "row head query key"]:
    """Attention spread evenly over what each query may see."""
    seen = torch.ones(pattern.shape[-2:], device=pattern.device).tril()
    return (seen / seen.sum(-1, keepdim=True)).to(pattern).expand_as(pattern).clone()


def _rows(adapter: Adapter, task: Task, hook: str) -> PromptBatch:
    """A few rows that differ only in what the site's half of the model is given.

    Of one length, since what attention may see goes by it, and not by the stream that is replaced.
    An encoder's get different inputs and no prefix, a decoder's beside it one input and different
    prefixes: neither half's stream holds what the other has.
    """
    inputs = list(islice(task.inputs(min(6, adapter.n_ctx // 2 - 1)), 24))
    groups = [[x for x in inputs if len(x) == n] for n in dict.fromkeys(map(len, inputs))]
    same_length = max(reversed(groups), key=lambda group: min(len(group), 4))[-4:]
    if adapter.architecture == "encoder-decoder":
        if adapter.is_in_encoder(hook):
            return build_batch(task, same_length)
        prefixes = [[token] for token in task.constructors[:4]]
        return build_batch(task, [same_length[0]] * len(prefixes), prefixes)
    outputs = [task.apply(tokens) for tokens in same_length]
    max_written = adapter.n_ctx - max(len(task.prompt(x)) for x in same_length)
    written = min(max_written, 3, *map(len, outputs))  # equal, so that no row is padded
    return build_batch(task, same_length, [y[:written] for y in outputs])


def _neighbours(adapter: Adapter, hook: str) -> list[str]:
    """Sites to name instead: the same layer's first, those of the same kind before others."""
    place, _, name = hook.rpartition("attn." if ".attn." in hook else ".")
    layer = place.rstrip(".")
    near = ["attn.hook_pattern", "hook_attn_out", "attn.hook_z", "hook_resid_post", "hook_mlp_out"]
    if name == "hook_resid_mid":
        near.remove("attn.hook_pattern")
    names = [f"{layer}.{other}" for other in near] + ["blocks.0.hook_resid_pre"]
    return [other for other in names if other in adapter.hook_names and other != hook]
