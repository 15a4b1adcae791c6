"""Every site the library writes to is live on the installed backend; dead ones are refused."""

from __future__ import annotations

import pytest
import torch

from recinterp.errors import InactiveHookError, UnknownHookError
from recinterp.models import Adapter
from recinterp.models.backends.transformer_lens import has_bridge
from recinterp.perturb import ALL, Ablate, Interchange, Unit, run
from recinterp.perturb.controls import untrained_twin
from recinterp.perturb.liveness import assert_live
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_logits
from tests.perturb.hand_set import Words, planted

pytestmark = pytest.mark.backend
TASK = Words("reverse")
LIVE = [
    "hook_embed",
    "blocks.0.hook_resid_pre",
    "blocks.0.attn.hook_v",
    "blocks.0.attn.hook_z",
    "blocks.0.attn.hook_pattern",
    "blocks.0.hook_attn_out",
    "blocks.0.hook_mlp_out",
    "blocks.0.hook_resid_post",
]


@pytest.fixture(scope="module")
def adapter() -> Adapter:
    return Adapter(planted(TASK, n_layers=2), TASK)


@pytest.mark.parametrize("hook", LIVE)
def test_hooks_that_the_library_edits_are_live(adapter: Adapter, hook: str) -> None:
    assert_live(adapter, TASK, hook)


def test_inactive_hook_is_refused_and_a_live_one_is_named(
    adapter: Adapter,
) -> None:
    with pytest.raises(InactiveHookError, match=r"blocks\.1\.hook_attn_out is live"):
        run(adapter, TASK, [list("abbab")], [Ablate(Unit("blocks.1.attn.hook_z"))])


def test_attention_scores_are_refused_if_the_backend_discards_edits(adapter: Adapter) -> None:
    hook = "blocks.0.attn.hook_attn_scores"
    if has_bridge():
        with pytest.raises(InactiveHookError, match="hook_pattern is live"):
            assert_live(adapter, TASK, hook)
    else:
        assert_live(adapter, TASK, hook)


def test_residual_hook_that_reaches_only_the_mlp_is_refused(adapter: Adapter) -> None:
    # The bridge's hook_resid_mid feeds the MLP alone: an edit moves the logits, but half-way.
    # (The planted model reads nothing else of it, hence the twin.)
    twin, hook = Adapter(untrained_twin(adapter.model), TASK), "blocks.0.hook_resid_mid"
    if has_bridge():
        with pytest.raises(InactiveHookError, match=r"only a part.*hook_attn_out is live"):
            assert_live(twin, TASK, hook)
    else:
        assert_live(twin, TASK, hook)


def test_unknown_hook_names_the_nearest(adapter: Adapter) -> None:
    with pytest.raises(UnknownHookError, match=r"blocks\.0\.attn\.hook_z"):
        run(adapter, TASK, [list("abbab")], [Ablate(Unit("blocks.0.attn.hook_zz"))])


def test_interchange_of_the_residual_stream_gives_the_source_run(adapter: Adapter) -> None:
    base, source = (list("abbab"),), (tuple("bbaab"),)
    rows, prefix = build_batch(TASK, base, [["b"]]), (("b",),)
    plan = [Interchange((Unit("blocks.0.hook_resid_post", None, ALL),), source, prefix)]
    wanted = next_logits(adapter, TASK, build_batch(TASK, source, prefix))
    torch.testing.assert_close(next_logits(adapter, TASK, rows, plan), wanted)
