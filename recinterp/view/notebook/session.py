"""A model under a cut, asked again and again: what a notebook's widgets call back.

    session = Session(ex)
    session.answer(["X1", "01"], Cut(((1, 0),), "mean")).output

Every answer is what `recinterp.perturb.run` gives for `session.plan(cut)`, sooner: greedy decoding
guesses the whole output and checks all of it in one pass, as often as it has to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor

from recinterp.errors import InterventionError, ModelNotLoadedError, UnknownNameError
from recinterp.machine.execution.interpreter import machine_states
from recinterp.models.torch_threads import one_thread
from recinterp.perturb.liveness import assert_live
from recinterp.perturb.lowering.lower import lower_to_hooks
from recinterp.perturb.lowering.sources import SourceCache, source_cache
from recinterp.perturb.plan import Ablate, Intervention, Redirect, edited_units, head
from recinterp.perturb.positions import At, PromptBatch, build_batch
from recinterp.perturb.runner import decode_tokens
from recinterp.probe.landmarks import Landmark, landmarks
from recinterp.tokens import EOS, TRUNCATED

if TYPE_CHECKING:
    from recinterp.explanation import Explanation
    from recinterp.machine import MachineState
    from recinterp.models import Adapter

Tokens: TypeAlias = "tuple[str, ...]"
Seen: TypeAlias = Tensor  # attention as eight bits: (layer, head, query from SEP on, key)
Kind = Literal["zero", "mean", "resample", "redirect"]
KINDS: tuple[Kind, ...] = ("zero", "mean", "resample", "redirect")
REFERENCE = 32  # inputs that means and resampled values are read from
PER_DEPTH = 16  # inputs a stratum of the live accuracy
PER_REDIRECT = 4  # the same where every output token takes a row of its own
BATCH = 64  # rows a pass while something else may be waiting for the model
AHEAD = 4  # tokens guessed beyond the last known one, where a run goes on
REDERIVED = 8  # longest input asked about when machine and diff are derived again


@dataclass(frozen=True)
class HeadIntervention:
    """Heads, as (layer, head), and what is done to them. to: the landmark of a redirect."""

    heads: tuple[tuple[int, int], ...] = ()
    kind: Kind = "zero"
    to: str = "t"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InterventionError(f"cut {self.kind!r}", "no such kind", ", ".join(KINDS))


@dataclass(frozen=True, eq=False)
class Answer:
    """One input under a cut.

    changed: indices at which the output is not the clean one; parts: the first index at which it is
    not the learned machine's, and `step` the machine's step that writes there; attention: uint8
    (layer, head, query, key), 255 for all, of the queries from SEP on; tokens: that row's.
    """

    input: Tokens
    truth: Tokens
    clean: Tokens
    output: Tokens
    claimed: Tokens
    changed: tuple[int, ...]
    parts: int | None
    step: int | None
    run: tuple[MachineState, ...]
    attention: Tensor
    tokens: Tokens
    first_query: int


@dataclass(frozen=True)
class StratumAccuracy:
    """A stratum's share of exactly right outputs, clean and under the cut."""

    name: str
    total: int
    clean: int
    cut: int


class Session:
    """An explained model that can be asked under cuts. Errors: ModelNotLoadedError without one."""

    def __init__(self, ex: Explanation) -> None:
        from torch import nn

        from recinterp.models import Adapter

        if not isinstance(ex.model, nn.Module):
            wrong = "it has none" if ex.model is None else "it is no hooked model"
            raise ModelNotLoadedError(
                "ask an explanation's model", wrong, "Explanation.load(path, model=…)"
            )
        self.ex, self.task = ex, ex.task
        self.adapter: Adapter = Adapter(ex.model, ex.task)
        self._lock = threading.Lock()  # hooks are the model's own: one pass at a time
        self._kept: SourceCache = {}
        self._clean: dict[Tokens, tuple[Tokens, Seen]] = {}
        self._right: dict[tuple[str, int], int] = {}

    @property
    def heads(self) -> tuple[tuple[int, int], ...]:
        """Every (layer, head)."""
        layers, heads = range(self.adapter.n_layers), range(self.adapter.n_heads)
        return tuple((layer, h) for layer in layers for h in heads)

    def name(self, which: tuple[int, int]) -> str:
        """The field's name for a head: L1H0; E1H0, D1H0 and X1H0 of an encoder-decoder."""
        return f"{self.adapter.block_names[which[0]]}H{which[1]}"

    @cached_property
    def pointers(self) -> dict[str, Landmark]:
        """The landmarks a head can be redirected to, by name; the heads' own first."""
        known = {str(mark): mark for mark in landmarks(self.task)}
        own = [h.landmark for h in self.ex.heads if h.landmark in known]
        return {name: known[name] for name in dict.fromkeys([*own, *known])}

    @cached_property
    def offered(self) -> tuple[tuple[str, Tokens], ...]:
        """(why, input): counterexamples, edge cases and ordinary inputs to pick from."""
        diff, found = self.ex.diff, dict[Tokens, str]()
        if diff.counterexample is not None:
            found[tuple(diff.counterexample.input)] = "counterexample"
        for s in diff.shortcuts:
            found.setdefault(tuple(s.counterexample), f"counterexample, {s.kind}")
        for case in diff.unexplained[:2]:
            found.setdefault(tuple(case.input), "not told by the machine")
        for x, why in self._edges():
            found.setdefault(x, why)
        for drawn in self.ex.domain.sample(self.task, 4, seed=5):
            found.setdefault(tuple(drawn), "drawn at random")
        return tuple((why, x) for x, why in found.items())

    def _edges(self) -> Iterator[tuple[Tokens, str]]:
        longest = self.ex.domain.max_length or 8
        for length in (longest, longest // 2):
            depths = self.task.depths(length)
            if depths:
                (x,) = self.task.sample(1, seed=1, length=length, depth=max(depths))
                if self.ex.domain.contains(self.task, x):
                    yield tuple(x), f"as deep as {length} tokens get"

    def plan(self, cut: HeadIntervention, at: Sequence[int | None] = ()) -> list[Intervention]:
        """The cut as interventions. at: per row, the input position a redirect points to."""
        if cut.kind == "redirect":
            to = At("input", tuple(at))
            return [Redirect(layer, h, to) for layer, h in self._checked(cut)]
        reference = None if cut.kind == "zero" else self._reference
        return [Ablate(head(*which), cut.kind, reference) for which in self._checked(cut)]

    def _checked(self, cut: HeadIntervention) -> tuple[tuple[int, int], ...]:
        if not set(cut.heads) <= set(self.heads):
            known = f"{self.name(self.heads[0])} to {self.name(self.heads[-1])}"
            raise InterventionError(f"cut {cut.heads}", "no such head", known)
        if cut.kind == "redirect" and cut.to not in self.pointers:
            raise UnknownNameError("redirect a head", cut.to, self.pointers)
        return cut.heads

    @cached_property
    def _reference(self) -> tuple[Tokens, ...]:
        return tuple(map(tuple, self.ex.domain.sample(self.task, REFERENCE, seed=11)))

    def warm(self) -> None:
        """Run what every answer needs once: the clean runs' means, the proof that edits count."""
        self.answer(self.offered[0][1], HeadIntervention(self.heads[:1], "mean"))

    def output(self, tokens: Sequence[str], cut: HeadIntervention = HeadIntervention()) -> Tokens:
        """The model's greedy output under a cut. Errors: InvalidInputError for what is no input."""
        return self._said(tuple(tokens), cut)[0]

    def _said(self, x: Tokens, cut: HeadIntervention) -> tuple[Tokens, Seen]:
        """The output, and the attention it was written with; clean ones are remembered."""
        if not cut.heads and x in self._clean:
            return self._clean[x]
        self.task.well_formed(x)
        self._checked(cut)
        found = self._greedy(x, cut, () if not cut.heads else self.output(x))
        if not cut.heads:
            self._clean[x] = found
        return found

    def answer(self, tokens: Sequence[str], cut: HeadIntervention = HeadIntervention()) -> Answer:
        """Everything one click shows but the accuracy (see `accuracy`)."""
        x = tuple(tokens)
        clean = self.output(x)
        out, seen = self._said(x, cut)
        run = tuple(state for state, _ in machine_states(self.ex.machine, x))
        claimed = tuple(self.ex.machine.known_prefix(x))
        parts = first_difference(out, claimed)
        rows = build_batch(self.task, [x], [_spellable(out, self.task.ids)])
        written = None if parts is None else _writing(run, parts)
        changed = tuple(i for i in range(len(out)) if i >= len(clean) or out[i] != clean[i])
        truth = tuple(self.task.apply(x))
        row, sep = self._row(rows), int(rows.sep[0])
        return Answer(x, truth, clean, out, claimed, changed, parts, written, run, seen, row, sep)

    def patterns(self, tokens: Sequence[str]) -> tuple[Tensor, Tokens]:
        """Attention over input, SEP and own output, (layer, head, query, key); the row's tokens."""
        said = _spellable(self.output(tokens), self.task.ids)
        rows = build_batch(self.task, [tokens], [said])
        held: dict[str, Tensor] = {}
        self._logits(rows, [], held)
        return torch.stack([held[name][0] for name in self._patterns]), self._row(rows)

    def _row(self, rows: PromptBatch) -> Tokens:
        return tuple(self.adapter.token(i) for i in rows.ids[0].tolist())

    @property
    def _patterns(self) -> list[str]:
        return [f"blocks.{layer}.attn.hook_pattern" for layer in range(self.adapter.n_layers)]

    def accuracy(
        self, cut: HeadIntervention, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[StratumAccuracy]:
        """Stratum by stratum, how many outputs are exactly right; ends early once `stop()`."""
        for name, drawn in self._strata.items():
            if stop():
                return
            inputs = drawn[:PER_REDIRECT] if cut.kind == "redirect" else drawn
            clean = self._clean_right(name, inputs)
            right = self._exact(inputs, cut) if cut.heads else clean
            yield StratumAccuracy(name, len(inputs), clean, right)

    def _clean_right(self, name: str, inputs: Sequence[Tokens]) -> int:
        key = (name, len(inputs))
        if key not in self._right:
            self._right[key] = self._exact(inputs, HeadIntervention())
        return self._right[key]

    @cached_property
    def _strata(self) -> dict[str, list[Tokens]]:
        longest = self.ex.domain.max_length or 8
        by_depth: dict[int, dict[Tokens, None]] = {}
        depths = sorted({d for n in range(1, longest + 1) for d in self.task.depths(n)})
        for depth in depths:
            drawn = self.task.sample(PER_DEPTH, seed=depth, depth=depth, max_length=longest)
            inside = [x for x in drawn if self.ex.domain.contains(self.task, x)]
            by_depth[depth] = dict.fromkeys(map(tuple, inside))
        return {f"depth {d}": list(xs) for d, xs in by_depth.items() if xs}

    def _exact(self, inputs: Sequence[Tokens], cut: HeadIntervention) -> int:
        """How many outputs are the truth: forced along it, every next token has to be its own."""
        truth = [tuple(y) for y in self.task.apply_many(inputs)]
        if cut.kind == "redirect" and cut.heads:
            pairs = list(zip(inputs, truth, strict=True))
            return sum(self._each_step(x, y, cut)[0] == [*y, EOS] for x, y in pairs)
        rows = build_batch(self.task, inputs, truth)
        said = self._logits(rows, self._whole(cut)).argmax(-1)
        right = 0
        for i, y in enumerate(truth):
            want = [self.task.ids[token] for token in y] + [self.task.eos]
            sep = int(rows.sep[i])
            right += said[i, sep : sep + len(want)].tolist() == want
        return right

    def rederive(
        self, cut: HeadIntervention, progress: Callable[[str], None] | None = None
    ) -> Explanation:
        """Machine and diff of the model under the cut, on inputs of up to REDERIVED tokens.

        progress is told each stage; what it raises ends the derivation.
        """
        from recinterp.pipeline import explain
        from recinterp.tasks import Domain

        longest = min(self.ex.domain.max_length or REDERIVED, REDERIVED)
        domain = Domain(longest, self.ex.domain.max_depth, self.ex.domain.exclude)
        said = progress or (lambda _: None)

        def ask(inputs: list[list[str]]) -> list[list[str]]:
            outputs: list[list[str]] = []
            for i in range(0, len(inputs), BATCH):
                said(f"asking the model: {i:,} of {len(inputs):,} inputs")
                outputs += (list(self.output(x, cut)) for x in inputs[i : i + BATCH])
            return outputs

        return explain(ask, self.task, domain=domain, progress=said)

    def _whole(self, cut: HeadIntervention) -> list[Intervention]:
        """The plan where one pass serves every step; a redirect has one for each step."""
        return [] if cut.kind == "redirect" else self.plan(cut)

    def _greedy(self, tokens: Tokens, cut: HeadIntervention, guess: Tokens) -> tuple[Tokens, Seen]:
        """Guess, check all of it in one pass, keep what holds; the last pass saw the whole."""
        room = self.adapter.n_ctx - len(self.task.prompt(tokens))
        ahead = _spellable(guess, self.task.ids)[: room - 1]
        while True:
            said, seen = self._step_by_step(tokens, ahead, cut)
            sure = next((i for i, y in enumerate(ahead) if said[i] != y), len(ahead))
            out = said[: sure + 1]
            stop = next((i for i, y in enumerate(out) if y == EOS or y not in self.task.ids), None)
            if stop is not None or len(out) >= room:
                kept = _finished(out, stop)
                width = len(self.task.prompt(tokens)) + len(_spellable(kept, self.task.ids))
                return kept, seen[:, :, : 1 + width - len(self.task.prompt(tokens)), :width]
            more = _spellable(said[len(out) :], self.task.ids)
            ahead = (*out, *(more or (out[-1],) * AHEAD))[: room - 1]

    def _step_by_step(
        self, tokens: Tokens, prefix: Tokens, cut: HeadIntervention
    ) -> tuple[list[str], Seen]:
        """What is said next after each beginning of a prefix, and the attention it takes."""
        if cut.kind == "redirect" and cut.heads:
            return self._each_step(tokens, prefix, cut)
        rows, held = build_batch(self.task, [tokens], [prefix]), dict[str, Tensor]()
        sep = int(rows.sep[0])
        said = decode_tokens(self.adapter, self._logits(rows, self._whole(cut), held)[0, sep:])
        return said, _eighths(torch.stack([held[name][0, :, sep:] for name in self._patterns]))

    def _each_step(
        self, tokens: Tokens, prefix: Tokens, cut: HeadIntervention
    ) -> tuple[list[str], Seen]:
        """The same for a redirect, which is another one at each step."""
        at = [self.pointers[cut.to].at(tokens, t) for t in range(len(prefix) + 1)]
        width = len(self.task.prompt(tokens)) + len(prefix)
        names, said = self._patterns, dict[int, str]()
        pattern = torch.zeros(len(names), self.adapter.n_heads, len(at), width)
        for stands in (True, False):
            ts = [t for t, place in enumerate(at) if (place is not None) == stands]
            if not ts:
                continue
            rows = build_batch(self.task, [tokens] * len(ts), [prefix[:t] for t in ts])
            plan, held = self.plan(cut, [at[t] for t in ts]) if stands else [], dict[str, Tensor]()
            logits, each = self._logits(rows, plan, held), torch.arange(len(ts))
            said |= dict(
                zip(ts, decode_tokens(self.adapter, logits[each, rows.query]), strict=True)
            )
            for i, name in enumerate(names):
                seen = held[name][each, :, rows.query]  # (step, head, key)
                pattern[i, :, ts, : seen.shape[-1]] = seen.transpose(0, 1)
        return [said[t] for t in range(len(at))], _eighths(pattern)

    def _logits(
        self,
        rows: PromptBatch,
        plan: Sequence[Intervention],
        held: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Logits at every position, (batch, pos, vocab); every layer's pattern into `held`."""
        with self._lock, one_thread(), source_cache(self._kept), torch.no_grad():
            for hook in sorted({unit.hook for unit in edited_units(self.adapter, plan)}):
                assert_live(self.adapter, self.task, hook)
            hooks = lower_to_hooks(self.adapter, self.task, rows, plan)
            if held is not None:
                hooks += [(name, _capture(held, name)) for name in self._patterns]
            return self.adapter.run_with_hooks(rows.ids, hooks).float().cpu()


def _capture(held: dict[str, Tensor], name: str) -> Callable[..., Any]:
    def keep(value: Tensor, hook: object = None) -> None:
        held[name] = value.detach().float().cpu()

    return keep


def _eighths(pattern: Tensor) -> Seen:
    """Shares as eight bits."""
    return (pattern * 255).round().to(torch.uint8)


def _finished(out: Sequence[str], stop: int | None) -> Tokens:
    """An output that has ended: by itself, at a token of no task, or at the context's end."""
    if stop is None:
        return (*out, TRUNCATED)
    return tuple(out[:stop]) if out[stop] == EOS else (*out[: stop + 1], TRUNCATED)


def _spellable(tokens: Sequence[str], ids: Any) -> Tokens:
    """The beginning of an output that can be forced on a model."""
    end = next((i for i, y in enumerate(tokens) if y not in ids or y == EOS), len(tokens))
    return tuple(tokens[:end])


def first_difference(a: Sequence[str], b: Sequence[str]) -> int | None:
    """The first index at which two sequences differ; None where they are equal."""
    if tuple(a) == tuple(b):
        return None
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _writing(run: Sequence[MachineState], index: int) -> int | None:
    """The step of a run that writes an output index; the last one for what it never writes."""
    found = next((i for i in range(1, len(run)) if len(run[i].out) > index), None)
    return len(run) - 1 if found is None and run else None if found is None else found - 1
