"""The names that `recinterp.perturb` and `recinterp.probe` export are pinned."""

from __future__ import annotations

from pathlib import Path

import pytest

from recinterp import perturb, probe

API = Path(__file__).resolve().parents[2] / "docs" / "api.md"
PERTURB = """
ALL INPUTS OUTPUTS PREDICTION SEP Ablate At Effects ForcePrefix FreezePatterns Interchange Mixture
PathPatch Plan Redirect Reference Steer Swap Swept Transplant Unit head layer_output
learn_subspaces mlp pointer run stratum stream sweep
"""
PROBE = """
Alignment Head HeadConfig HeadReport HeadRole Landmark LayerFinding Origin OriginMap head_scores
landmarks origin_map probe_heads
"""


@pytest.mark.parametrize(("module", "names"), [(perturb, PERTURB), (probe, PROBE)])
def test_exported_names_are_pinned(module: object, names: str) -> None:
    assert sorted(module.__all__) == sorted(names.split())
    assert all(hasattr(module, name) for name in names.split())


def test_every_exported_name_of_perturb_is_documented() -> None:
    text = API.read_text()
    assert not [name for name in perturb.__all__ if f"recinterp.perturb.{name}\n" not in text]
