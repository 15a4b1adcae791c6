"""Interventions equal hooks written by hand, row by row and unpadded, or are refused."""

from __future__ import annotations

import pytest
import torch

from recinterp.models.backends.transformer_lens import has_bridge
from recinterp.perturb import Ablate, head, layer_output, run, sweep
from recinterp.perturb.fast.support import fast_backend_for
from tests.perturb.plain_hooks import INTERVENTIONS, MODELS, Plain, adapted, outcome, show, written

pytestmark = pytest.mark.skipif(not has_bridge(), reason="3.9 wraps no Hugging Face model")

# Each model takes a second or more.
PARAMS = [m if m == "native" else pytest.param(m, marks=pytest.mark.slow) for m in MODELS]


@pytest.fixture(scope="module", params=PARAMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plain(name: str) -> Plain:
    return Plain(adapted(name))


def test_the_table_of_the_docs_is_what_comes_out(name: str, plain: Plain) -> None:
    header, _, *lines = written()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (header, *lines)]
    column = cells[0].index(name)
    assert [row[0] for row in cells[1:]] == list(INTERVENTIONS)
    for row in cells[1:]:
        assert show(outcome(plain, row[0])) == row[column], row[0]


def test_a_row_gives_the_same_numbers_beside_longer_rows(name: str, plain: Plain) -> None:
    short, long = ["X1", "01"], ["X1", "X0", "X1", "X1", "01"]
    unit = layer_output(0) if name == "Mamba" else head(0, 1)
    plan = [Ablate(unit)]
    alone = run(plain.adapter, plain.task, [short], plan)
    beside = run(plain.adapter, plain.task, [short, long], plan)
    for part in ("clean_logits", "logits"):
        one, other = getattr(alone, part)[0], getattr(beside, part)[0]
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)
    swept = [sweep(plain.adapter, plain.task, x, [plan]).values for x in ([short], [short, long])]
    torch.testing.assert_close(swept[0][:, 0], swept[1][:, 0], atol=2e-5, rtol=1e-5)


def test_hooks_that_the_bridge_wires_are_not_taken_for_the_users() -> None:
    adapter = adapted("BERT")
    assert fast_backend_for(adapter) != "the model has hooks of its own"
    adapter.model.hook_dict["blocks.0.attn.hook_z"].add_hook(lambda value, hook: None)
    assert fast_backend_for(adapter) == "the model has hooks of its own"
