"""Every intervention, and the same by hooks written out by hand, one row at a time, unpadded.

python -m tests.perturb.plain_hooks        # writes the table of docs/interventions.md
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

import recinterp as ri
from recinterp.errors import RecinterpError
from recinterp.models import Adapter
from recinterp.perturb import (
    INPUTS,
    PREDICTION,
    Ablate,
    ForcePrefix,
    FreezePatterns,
    Interchange,
    PathPatch,
    Redirect,
    Reference,
    Steer,
    Swap,
    Transplant,
    Unit,
    head,
    layer_output,
    mlp,
    run,
)
from recinterp.perturb.plan import Plan
from recinterp.perturb.positions import PromptBatch, build_batch

TOLERANCE = 1e-5
PAGE = Path(__file__).parents[2] / "docs" / "interventions.md"
BASE = ri.task("binary-successor")
IDS = {"X0": 4, "X1": 5, "01": 3}
INPUT = tuple(map(tuple, BASE.sample(2, seed=1, length=3) + BASE.sample(2, seed=2, length=6)))
SOURCE = INPUT[1::-1] + INPUT[:1:-1]
PREFIX = ((), ("X0",)) * 2
REFERENCE = Reference("others", SOURCE[:3], ((), ("X0", "X1"), ("X1",)))
SIZES = {"n_layers": 2, "d_model": 16, "d_head": 4, "n_heads": 4, "n_ctx": 20, "d_vocab": 8}
Rows = list[tuple[tuple[str, ...], tuple[str, ...]]]
ROWS: Rows = list(zip(INPUT, PREFIX, strict=True))
SOURCES: Rows = list(zip(SOURCE, PREFIX, strict=True))


def native(**settings: Any) -> Callable[[], Any]:
    def build() -> Any:
        import transformer_lens.model_bridge.sources  # noqa: F401
        from transformer_lens.config import TransformerBridgeConfig
        from transformer_lens.model_bridge import TransformerBridge

        settings_all = {**SIZES, "act_fn": "gelu", "normalization_type": "LN", **settings}
        return TransformerBridge.boot_native(TransformerBridgeConfig(**settings_all))

    return build


def hugging_face(name: str, **settings: Any) -> Callable[[], Any]:
    def build() -> Any:
        import transformers

        config, model = CLASSES[name]
        sizes = {"vocab_size": 8} | settings
        return getattr(transformers, model)(getattr(transformers, config)(**sizes))

    return build


CLASSES = {
    "gpt2": ("GPT2Config", "GPT2LMHeadModel"),
    "llama": ("LlamaConfig", "LlamaForCausalLM"),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM"),
    "bert": ("BertConfig", "BertForMaskedLM"),
    "t5": ("T5Config", "T5ForConditionalGeneration"),
    "mamba": ("MambaConfig", "MambaForCausalLM"),
}
WIDE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
WIDE |= {"num_attention_heads": 4, "max_position_embeddings": 24}
MODELS: dict[str, Callable[[], Any]] = {
    "native": native(),
    "native, grouped keys": native(n_key_value_heads=2),
    "native, bidirectional": native(attention_dir="bidirectional"),
    "GPT-2": hugging_face(
        "gpt2", n_positions=24, n_embd=16, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=1
    ),
    "Llama, grouped keys": hugging_face("llama", **WIDE, num_key_value_heads=2),
    "Gemma 3": hugging_face("gemma3", **WIDE, num_key_value_heads=2, head_dim=8, sliding_window=4),
    "BERT": hugging_face("bert", **WIDE),
    "T5": hugging_face(
        "t5", d_model=16, d_kv=8, d_ff=32, num_layers=2, num_decoder_layers=2, num_heads=4,
        n_positions=24, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    ),
    "Mamba": hugging_face("mamba", hidden_size=16, state_size=4, num_hidden_layers=2),
}  # fmt: skip


def adapted(name: str) -> Adapter:
    """A random small model of a family, with the task in its ids."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = MODELS[name]()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        task = BASE.with_vocab(IDS, pad=0, sep=0 if name == "T5" else 2, eos=1)
        return Adapter(model.eval(), task)


class Plain:
    """A model run row by row with hooks written by hand; `at` counts from the row's start."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter, self.task = adapter, adapter.task
        encoder_decoder = adapter.architecture == "encoder-decoder"
        # Of a T5, two blocks of the decoder: self-attention, then cross-attention.
        self.low, self.high = (2, 4) if encoder_decoder else (0, 1)
        self.features = adapter.d_head

    def batch(self, row: tuple[tuple[str, ...], tuple[str, ...]]) -> PromptBatch:
        return build_batch(self.task, [row[0]], [row[1]])

    def logits(self, rows: Rows, hooks: Callable[[int], Sequence[Any]] = lambda i: ()) -> Tensor:
        """Logits at the prediction position of each row, under the hooks for that row."""
        found = []
        for i, row in enumerate(rows):
            batch = self.batch(row)
            with torch.no_grad():
                out = self.adapter.run_with_hooks(batch.ids, list(hooks(i)))
            found.append(out[0, int(batch.prediction[0])].float())
        return torch.stack(found)

    def read(self, row: Any, hook: str, hooks: Sequence[Any] = ()) -> Tensor:
        """The activation of one row at a hook point, without the row axis."""
        held: list[Tensor] = []
        watch = (hook, lambda value, hook: held.append(value.detach().clone()))
        with torch.no_grad():
            self.adapter.run_with_hooks(self.batch(row).ids, [*hooks, watch])
        return held[0][0]

    def own(self, row: Any, hook: str) -> list[int]:
        """The positions of a row at which a hook point computes something."""
        batch = self.batch(row)
        last, sep = int(batch.prediction[0]), int(batch.sep[0])
        if self.adapter.architecture == "encoder-decoder" and "resid" not in hook:
            block = self.adapter.block_names[int(hook.split(".")[1])]
            crossing = block[0] == "X" and hook.endswith(("hook_k", "hook_v"))
            return list(range(sep)) if block[0] == "E" or crossing else list(range(sep, last + 1))
        return list(range(last + 1))

    def last(self, row: Any) -> int:
        return int(self.batch(row).prediction[0])


def put(hook: str, positions: Sequence[int], new: Any, which: int | None = None) -> Any:
    """A hook that sets an activation of the one row, at positions, of one head or of all."""

    def edit(value: Tensor, hook: object) -> Tensor:
        out = value.clone()
        for i, at in enumerate(positions):
            old = value[0, at] if which is None else value[0, at, which]
            here = new(i, old)
            if which is None:
                out[0, at] = here
            else:
                out[0, at, which] = here
        return out

    return hook, edit


def attend(hook: str, query: int, which: int, new: Tensor) -> Any:
    def edit(value: Tensor, hook: object) -> Tensor:
        out = value.clone()
        out[0, which, query] = new
        return out

    return hook, edit


Case = tuple[Plan, Callable[[Plain], Tensor]]


def zero_head(p: Plain) -> Case:
    hook = f"blocks.{p.high}.attn.hook_z"
    return [Ablate(head(p.high, 1))], lambda p: p.logits(
        ROWS, lambda i: [put(hook, p.own(ROWS[i], hook), lambda j, old: 0 * old, 1)]
    )


def mean_head(p: Plain) -> Case:
    hook = f"blocks.{p.low}.attn.hook_z"

    def oracle(p: Plain) -> Tensor:
        others = list(zip(REFERENCE.inputs, REFERENCE.prefixes or (), strict=True))
        mean = torch.cat([p.read(r, hook)[p.own(r, hook), 1] for r in others]).mean(0)
        return p.logits(ROWS, lambda i: [put(hook, p.own(ROWS[i], hook), lambda j, old: mean, 1)])

    return [Ablate(head(p.low, 1), "mean", REFERENCE)], oracle


def mean_mlp(p: Plain) -> Case:
    layer = p.high + 1 if p.adapter.architecture == "encoder-decoder" else p.low
    hook = f"blocks.{layer}.hook_mlp_out"

    def oracle(p: Plain) -> Tensor:
        mean = torch.cat([p.read(r, hook)[p.own(r, hook)] for r in ROWS]).mean(0)
        return p.logits(ROWS, lambda i: [put(hook, p.own(ROWS[i], hook), lambda j, old: mean)])

    return [Ablate(mlp(layer), "mean")], oracle


def resample_key(p: Plain) -> Case:
    hook = f"blocks.{p.high}.attn.hook_k"

    def oracle(p: Plain) -> Tensor:
        others = list(zip(REFERENCE.inputs, REFERENCE.prefixes or (), strict=True))
        values = torch.cat([p.read(r, hook)[p.own(r, hook), 1] for r in others])
        counts = [len(p.own(r, hook)) for r in ROWS]
        draw = torch.Generator().manual_seed(5)
        drawn = values[torch.randint(len(values), (sum(counts),), generator=draw)].split(counts)
        return p.logits(
            ROWS, lambda i: [put(hook, p.own(ROWS[i], hook), lambda j, old: drawn[i][j], 1)]
        )

    return [Ablate(Unit(hook, 1), "resample", REFERENCE, seed=5)], oracle


def interchange_stream(p: Plain) -> Case:
    hook = f"blocks.{p.low}.hook_resid_post"

    def oracle(p: Plain) -> Tensor:
        def hooks(i: int) -> list[Any]:
            new = p.read(SOURCES[i], hook)[p.last(SOURCES[i])]
            return [put(hook, [p.last(ROWS[i])], lambda j, old: new)]

        return p.logits(ROWS, hooks)

    return [Interchange((layer_output(p.low, PREDICTION),), SOURCE, PREFIX)], oracle


def steer_value(p: Plain) -> Case:
    hook, direction = f"blocks.{p.low}.attn.hook_v", torch.linspace(-1, 1, p.features)
    return [Steer(Unit(hook, 1), direction, 0.5)], lambda p: p.logits(
        ROWS, lambda i: [put(hook, p.own(ROWS[i], hook), lambda j, old: old + 0.5 * direction, 1)]
    )


def redirect(p: Plain) -> Case:
    layer = p.high + 1 if p.adapter.architecture == "encoder-decoder" else p.high
    hook = f"blocks.{layer}.attn.hook_pattern"

    def oracle(p: Plain) -> Tensor:
        def hooks(i: int) -> list[Any]:
            length = len(ROWS[i][0])
            new = torch.zeros(p.last(ROWS[i]) + 1)
            new[:length] = 1 / length
            return [attend(hook, p.last(ROWS[i]), 1, new)]

        return p.logits(ROWS, hooks)

    return [Redirect(layer, 1, INPUTS)], oracle


def transplant(p: Plain) -> Case:
    hook = f"blocks.{p.high}.attn.hook_z"

    def oracle(p: Plain) -> Tensor:
        def hooks(i: int) -> list[Any]:
            new = p.read(SOURCES[i], hook)[p.last(SOURCES[i]), 2]
            return [put(hook, [p.last(ROWS[i])], lambda j, old: new, 2)]

        return p.logits(ROWS, hooks)

    return [Transplant(((p.high, 2),), SOURCE, PREFIX)], oracle


def transplant_pattern(p: Plain) -> Case:
    hook = f"blocks.{p.high}.attn.hook_pattern"

    def oracle(p: Plain) -> Tensor:
        def hooks(i: int) -> list[Any]:
            new = p.read(SOURCES[i], hook)[2, p.last(SOURCES[i])]
            return [attend(hook, p.last(ROWS[i]), 2, new)]

        return p.logits(ROWS, hooks)

    plan = [Transplant(((p.high, 2),), SOURCE, PREFIX, through="pattern")]
    return plan, oracle


def swapped(row: Any) -> Any:
    return (("X1", *row[0][1:]), row[1])


def swap(p: Plain) -> Case:
    return [Swap(((0, "X1"),) * len(ROWS))], lambda p: p.logits([swapped(r) for r in ROWS])


def force_prefix(p: Plain) -> Case:
    forced = (("X1", "X0"), ("X0",), (), ("X1",))
    rows = [(x, y) for (x, _), y in zip(ROWS, forced, strict=True)]
    return [ForcePrefix(forced)], lambda p: p.logits(rows)


def freeze(p: Plain) -> Case:
    layers = (p.high,)
    hook = f"blocks.{p.high}.attn.hook_pattern"

    def oracle(p: Plain) -> Tensor:
        def hooks(i: int) -> list[Any]:
            clean = p.read(ROWS[i], hook)
            return [(hook, lambda value, hook: clean[None])]

        return p.logits([swapped(r) for r in ROWS], hooks)

    return [Swap(((0, "X1"),) * len(ROWS)), FreezePatterns(layers)], oracle


def path(through: Any) -> Callable[[Plain], Case]:
    def make(p: Plain) -> Case:
        sent, got = f"blocks.{p.low}.attn.hook_z", f"blocks.{p.high}.attn.hook_z"
        into = f"blocks.{p.high}.attn.hook_{through}"
        between = [f"blocks.{i}.attn.hook_z" for i in range(p.low + 1, p.high)]
        between += [f"blocks.{i}.hook_mlp_out" for i in range(p.low, p.high)]

        def oracle(p: Plain) -> Tensor:
            heads = p.adapter.count_heads(into)
            which = 1 * heads // p.adapter.n_heads

            def hooks(i: int) -> list[Any]:
                row, source = ROWS[i], SOURCES[i]
                new = p.read(source, sent)
                held = [(h, p.read(row, h)) for h in between if h in p.adapter.hook_names]
                first = [put(sent, p.own(row, sent), lambda j, old: new[p.own(row, sent)[j], 3], 3)]
                frozen = [
                    (h, lambda value, hook, clean=clean: clean[None].to(value)) for h, clean in held
                ]
                patched = p.read(row, into, [*first, *frozen])
                own = p.own(row, into)
                edit = put(into, own, lambda j, old: patched[own[j], which], which)
                output = p.read(row, got, [edit])
                queries = p.own(row, got)
                return [put(got, queries, lambda j, old: output[queries[j], 1], 1)]

            return p.logits(ROWS, hooks)

        return [PathPatch((p.low, 3), (p.high, 1), through, SOURCE, PREFIX)], oracle

    return make


INTERVENTIONS: dict[str, Callable[[Plain], Case]] = {
    "`Ablate` a head, zero": zero_head,
    "`Ablate` a head, mean of a reference": mean_head,
    "`Ablate` an MLP, mean of the batch": mean_mlp,
    "`Ablate` a key head, resample": resample_key,
    "`Interchange` the residual stream": interchange_stream,
    "`Steer` a value head": steer_value,
    "`Redirect` a head": redirect,
    "`Transplant` a head's output": transplant,
    "`Transplant` a head's pattern": transplant_pattern,
    "`Swap`": swap,
    "`Swap` and `FreezePatterns`": freeze,
    "`ForcePrefix`": force_prefix,
    "`PathPatch` through q": path("q"),
    "`PathPatch` through k": path("k"),
    "`PathPatch` through v": path("v"),
}


def outcome(plain: Plain, intervention: str) -> str:
    """ "equal", or the error by which the plan is refused; AssertionError where the two differ."""
    plan, oracle = INTERVENTIONS[intervention](plain)
    try:
        ours = run(plain.adapter, plain.task, INPUT, plan, PREFIX)
    except RecinterpError as error:
        return type(error).__name__
    away = float((ours.logits - oracle(plain)).abs().max())
    scale = max(1.0, float(ours.logits.abs().max()))
    assert away <= TOLERANCE * scale, f"{intervention}: {away:.1e} away from plain hooks"
    clean = float((ours.clean_logits - plain.logits(ROWS)).abs().max())
    assert clean <= TOLERANCE * scale, f"clean logits: {clean:.1e} away from plain hooks"
    return "equal"


def table() -> str:
    """The outcomes of every intervention on every model, as Markdown."""
    plains = {name: Plain(adapted(name)) for name in MODELS}
    lines = ["| intervention | " + " | ".join(MODELS) + " |", "| --- " * (len(MODELS) + 1) + "|"]
    for intervention in INTERVENTIONS:
        cells = [show(outcome(plain, intervention)) for plain in plains.values()]
        lines.append(f"| {intervention} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def show(found: str) -> str:
    return found if found == "equal" else f"refused: {found.removesuffix('Error')}"


def written() -> list[str]:
    """The lines of the table in the page."""
    return [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8").splitlines()
    above = [line for line in page if not line.startswith("|")]
    PAGE.write_text("\n".join(above).rstrip() + "\n\n" + cast(str, table()), encoding="utf-8")
