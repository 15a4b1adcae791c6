"""Sides of benchmarks/engine.py that are not patching: generation, and peers elsewhere."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from continuation import continue_ids
from t5 import continue_t5
from torch import Tensor, nn

from recinterp.models import Adapter
from recinterp.perturb import Ablate, head, sweep
from recinterp.perturb.fast.support import FastBackend, fast_backend_for

HOME = Path(__file__).resolve().parent.parent
PROMPT, STEPS = 34, 30
GPT2 = {
    "vocab_size": 16, "n_positions": 64, "n_embd": 128, "n_layer": 4, "n_head": 8, "n_inner": 512,
    "activation_function": "gelu_new", "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
    "bos_token_id": 0, "eos_token_id": None,
}  # fmt: skip
T5 = {
    "vocab_size": 16, "d_model": 128, "d_kv": 16, "d_ff": 512, "num_layers": 4,
    "num_decoder_layers": 4, "num_heads": 8, "dropout_rate": 0.0, "decoder_start_token_id": 0,
    "pad_token_id": 0, "eos_token_id": 1,
}  # fmt: skip


def prompts(rows: int) -> Tensor:
    """(row, pos) of ids."""
    return torch.randint(2, 16, (rows, PROMPT), generator=torch.Generator().manual_seed(5))


def _wide(model: nn.Module, spread: float) -> nn.Module:
    """Weights spread so far that the largest two logits are seldom equal to the last bit."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, spread)
    return model.eval()


def _bridged(model: Any, name: str) -> nn.Module:
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    held = copy.deepcopy(model)
    held.set_attn_implementation("eager")
    return build_bridge_from_module(held, name, hf_config=held.config)


def _gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return _wide(GPT2LMHeadModel(GPT2Config(**GPT2)), 0.12)


def _t5() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    return _wide(T5ForConditionalGeneration(T5Config(**T5)), 0.15)


Sides = tuple[Callable[[int], Tensor], Callable[[int], Tensor], int]


def generation(name: str, adapter: Adapter) -> Sides:
    """(theirs, ours, rows theirs does): functions of a number of rows that give the ids written."""
    if name == "native":
        return _generated(adapter.model, PROMPT), _plain(adapter), 16
    if name == "t5":
        bridge = _bridged(_t5(), "T5ForConditionalGeneration")
        return _generated(bridge, 1), lambda rows: continue_t5(bridge, prompts(rows), STEPS), 16
    hf = _gpt2()
    ours = _plain(Adapter(_bridged(hf, "GPT2LMHeadModel"), adapter.task))

    def theirs(rows: int) -> Tensor:
        with torch.no_grad():
            return hf.generate(
                prompts(rows), max_new_tokens=STEPS, min_new_tokens=STEPS, do_sample=False,
                use_cache=True, pad_token_id=0, attention_mask=torch.ones(rows, PROMPT),
            )[:, PROMPT:]  # fmt: skip

    return theirs, ours, 1000


def _generated(bridge: Any, skip: int) -> Callable[[int], Tensor]:
    def run(rows: int) -> Tensor:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = bridge.generate(
                prompts(rows), max_new_tokens=STEPS, do_sample=False, stop_at_eos=False,
                verbose=False, return_type="tokens",
            )  # fmt: skip
        return output[:, skip:]

    return run


def _plain(adapter: Adapter) -> Callable[[int], Tensor]:
    backend = fast_backend_for(adapter)
    if not isinstance(backend, FastBackend):
        raise SystemExit(f"no fast backend: {backend}")
    return lambda rows: continue_ids(backend.weights, prompts(rows), STEPS)


def peer(
    name: str, adapter: Adapter, words: dict[int, Any], ids: dict[int, Tensor], threads: int
) -> dict[int, dict[str, Any]] | str:
    """Per batch: the peer's seconds per patch and metrics, and our metrics; or why not."""
    python = HOME / ".venv-peers" / name / "bin" / "python"
    if not python.exists() or (python.parent.parent / "failed").exists():
        return "not installed (benchmarks/peers.sh)"
    hf = _gpt2()
    heads = [(layer, h) for layer in range(4) for h in (1, 6)]
    asked = {"config": GPT2, "state": hf.state_dict(), "ids": ids, "heads": heads, "width": 16}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "asked.pt"
        torch.save({**asked, "threads": threads}, path)
        command = [str(python), str(HOME / "benchmarks" / "peer.py"), name, str(path)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}
        )
    if done.returncode:
        return f"fails: {done.stderr.strip().splitlines()[-1][:120]}"
    output = json.loads(done.stdout.strip().splitlines()[-1])
    ours = Adapter(_bridged(hf, "GPT2LMHeadModel"), adapter.task)
    return {b: {**output[str(b)], **_ours(ours, words[b], heads)} for b in words}


def _ours(adapter: Adapter, words: Any, heads: Sequence[tuple[int, int]]) -> dict[str, Any]:
    import time

    plans = [[Ablate(head(*where))] for where in heads] * 4
    times = []
    for _ in range(4):
        start = time.perf_counter()
        swept = sweep(
            adapter, adapter.task, words, plans,
            measure=lambda logits, _: (logits[..., 3] - logits[..., 4]).mean(-1),
        )  # fmt: skip
        times.append(time.perf_counter() - start)
    best = sorted(times[1:])[1] / len(plans)
    return {
        "ours": best,
        "our metrics": swept.values[: len(heads)].tolist(),
        "backend": swept.backend,
    }
