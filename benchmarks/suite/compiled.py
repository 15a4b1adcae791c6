"""Models whose algorithm is known because it was compiled: RASP programs through Tracr.

    pip install tracr-pypi && python benchmarks/suite/compiled.py   # into runs/suite/

Each program writes one output token after another. It finds the separator (one head of layer 1),
computes from the step which position is due, reads that position (one head of the last layer) and
rewrites the token; reading the separator itself is the end. What a program does in place of its
task's function is the fault its row names. Once compiled, a model needs neither Tracr nor JAX.

Source: D. Lindner et al., Tracr: Compiled Transformers as a Laboratory for Interpretability (2023).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

import torch
from cases import Case, cases
from safetensors.torch import load_file, save_file
from train import HOME

import recinterp as ri

SEP, EOS, BOS, PAD = "SEP", "EOS", "BOS", "compiler_pad"
RESULT = "next"
FAR = 1 << 10  # no position


@dataclass(frozen=True)
class Program:
    """What is read at step t of an input of n tokens, and what each token read becomes."""

    place: Callable[[int, int], int]
    rewrite: Callable[[str], str] = lambda token: token
    skips_comma: bool = False  # from the comma on, places count without it


def _turned(token: str) -> str:
    return {"a": "b", "b": "c", "c": "d", "d": "a"}.get(token, token)


PROGRAMS = {
    "compiled-reverse": Program(lambda n, t: n - 1 - t if t < n else n),
    "compiled-reverse-stuck": Program(lambda n, t: n - 1 - min(t, 3) if t < n else n),
    "compiled-map": Program(lambda n, t: t, _turned),
    "compiled-map-rule": Program(lambda n, t: t, lambda x: x if x == "c" else _turned(x)),
    "compiled-append": Program(lambda n, t: t, skips_comma=True),
    "compiled-stutter": Program(lambda n, t: t // 2),
}


def compile_case(case: Case) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, int]]:
    """A case's program as sizes, weights and token ids. Needs Tracr."""
    from tracr.compiler.compiling import compile_rasp_to_model
    from tracr.rasp import rasp
    from transformer_lens.utilities import tracr

    program, letters = PROGRAMS[case.name], [*case.task.constructors]
    separators = [","] if case.task.arity > 1 else []
    longest = max(len(x) + 2 + len(case.task.apply(x)) for x in case.task.inputs(case.max_length))
    everywhere = rasp.Map(lambda _: True, rasp.tokens)

    def position_of(token: str, name: str) -> Any:
        here = rasp.Map(lambda t: t == token, rasp.tokens)
        found = rasp.Select(here, everywhere, rasp.Comparison.EQ)
        return rasp.Aggregate(found, rasp.indices).named(name)

    end = position_of(SEP, "end")

    def due(n: int | None, at: int) -> int:
        return program.place(n, at - n) if n is not None and at >= n else FAR

    place = rasp.SequenceMap(due, end, rasp.indices).named("place")
    if program.skips_comma:
        comma = position_of(",", "comma")
        place = rasp.SequenceMap(
            lambda c, p: p + (c is not None and p >= c) if p != FAR else FAR, comma, place
        ).named("passed")
    read = rasp.Aggregate(rasp.Select(rasp.indices, place, rasp.Comparison.EQ), rasp.tokens)
    rewritten = rasp.Map(lambda t: EOS if t == SEP else program.rewrite(t), read.named("read"))
    made = compile_rasp_to_model(
        rewritten.named(RESULT), {*letters, *separators, SEP, EOS},
        max_seq_len=longest, causal=True, compiler_bos=BOS, compiler_pad=PAD,
    )  # fmt: skip
    ids = {str(t): int(i) for t, i in made.input_encoder.encoding_map.items()}
    label = next(x for x in made.residual_labels if x.startswith(RESULT)).rpartition(":")[0]
    weights = tracr.make_tracr_transformer_bridge_state_dict(made, label)
    head = torch.zeros(len(ids), weights["head.weight"].shape[1])
    for token, row in made.output_encoder.encoding_map.items():
        head[ids[str(token)]] = weights["head.weight"][row]
    config = tracr.make_tracr_transformer_bridge_config(made)
    sizes = {k: getattr(config, k) for k in SIZES} | {"d_vocab": len(ids), "d_vocab_out": len(ids)}
    return sizes, {**weights, "head.weight": head}, ids


SIZES = (
    "n_layers", "d_model", "d_head", "n_ctx", "d_mlp", "n_heads", "act_fn", "attention_dir",
    "normalization_type",
)  # fmt: skip


def load(case: Case) -> tuple[torch.nn.Module, ri.Task]:
    """A compiled model, and its task in the model's own token ids."""
    import transformer_lens.model_bridge.sources  # noqa: F401  (attaches boot_native)
    from transformer_lens.config.transformer_bridge_config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    saved = json.loads((HOME / f"{case.name}.json").read_text())
    model = TransformerBridge.boot_native(TransformerBridgeConfig(**saved["sizes"]))
    model.load_state_dict(load_file(HOME / f"{case.name}.safetensors"), strict=False)
    ids = saved["ids"]
    names = {t: i for t, i in ids.items() if t not in (SEP, EOS, BOS, PAD)}
    task = case.task.with_vocab(
        names, pad=ids[PAD], bos=ids[BOS], sep=ids[SEP], eos=ids[EOS],
        template="{bos}{input}{sep}{output}{eos}",
    )  # fmt: skip
    return model, task


def main() -> None:
    """Compile what is missing."""
    HOME.mkdir(parents=True, exist_ok=True)
    for name, case in cases().items():
        if case.group != "compiled" or (HOME / f"{name}.json").exists():
            continue
        sizes, weights, ids = compile_case(case)
        save_file({k: v.contiguous() for k, v in weights.items()}, HOME / f"{name}.safetensors")
        (HOME / f"{name}.json").write_text(json.dumps({"sizes": sizes, "ids": ids}, indent=1))
        sys.stderr.write(f"{name}: {sizes['n_layers']} layers, width {sizes['d_model']}\n")


if __name__ == "__main__":
    main()
