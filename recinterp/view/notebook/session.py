"""A model under interventions on its heads, queried again and again by a notebook's widgets.

    session = Session(ex)
    session.answer(["X1", "01"], HeadIntervention(((1, 0),), "mean")).output

Every answer equals what `recinterp.perturb.run` returns for `session.plan(intervention)`, but takes
fewer forward passes: greedy decoding guesses the whole output and checks all of it in one pass, as
often as it has to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recinterp.errors import InterventionError, ModelNotLoadedError, UnknownNameError
from recinterp.machine.execution.interpreter import machine_states
from recinterp.models.torch_threads import one_thread
from recinterp.perturb.liveness import assert_live
from recinterp.perturb.lowering.forward_pass import run_edits
from recinterp.perturb.lowering.lower import lower
from recinterp.perturb.lowering.sources import SourceCache, source_cache
from recinterp.perturb.lowering.validate import check_plan
from recinterp.perturb.plan import Ablate, Intervention, Redirect, edited_units, head
from recinterp.perturb.positions import At, PromptBatch, build_batch
from recinterp.perturb.runner import decode_tokens
from recinterp.pipeline import explain
from recinterp.probe.landmarks import Landmark, landmarks
from recinterp.stats import Rate
from recinterp.tokens import EOS, TRUNCATED, TokenTuple, first_difference

if TYPE_CHECKING:
    from recinterp.explanation import Explanation
    from recinterp.machine import MachineState
    from recinterp.models import Adapter

HeadIndex: TypeAlias = tuple[int, int]  # (layer, head)
Attention: TypeAlias = UInt8[Tensor, "layer head query key"]  # 255: all of a query's attention
InterventionKind = Literal["zero", "mean", "resample", "redirect"]
KINDS: tuple[InterventionKind, ...] = get_args(InterventionKind)


@dataclass(frozen=True, kw_only=True)
class SessionConfig:
    """How much a session computes for one click.

    Attributes:
        reference_inputs: inputs whose activations give the means and the resampled values of an
            ablation. 32 inputs are one batch, run once.
        inputs_per_stratum: inputs of each recursion depth that the accuracy is measured on. With
            16, all depths of a 16-token domain are answered within a second.
        redirected_per_stratum: the same for a redirect, where every output token takes a row of
            its own.
        batch_size: rows of one forward pass while a newer request may be waiting for the model.
        guessed_tokens: output tokens guessed beyond the last known one, where an output goes on.
        rederive_max_length: tokens; the longest input queried when machine and diff are derived
            again. All inputs of up to 8 tokens are answered in about half a minute.
    """

    reference_inputs: int = 32
    inputs_per_stratum: int = 16
    redirected_per_stratum: int = 4
    batch_size: int = 64
    guessed_tokens: int = 4
    rederive_max_length: int = 8


@dataclass(frozen=True)
class HeadIntervention:
    """Some heads, and what is done to them.

    Attributes:
        heads: the heads as (layer, head) indices; none of them leaves the model as it is.
        kind: "zero", "mean" or "resample" ablates the heads' outputs; "redirect" points their
            attention to one input position.
        to: the name of the landmark that a redirect points to, one of `Session.pointers`.

    Raises:
        InterventionError: for a kind that does not exist.
    """

    heads: tuple[HeadIndex, ...] = ()
    kind: InterventionKind = "zero"
    to: str = "t"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InterventionError(
                f"intervene by {self.kind!r}", "no such kind exists", f"use {', '.join(KINDS)}"
            )


NO_INTERVENTION = HeadIntervention()


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """One input under an intervention.

    Attributes:
        input: the input's tokens.
        truth: the correct output.
        clean: the model's output without the intervention.
        output: the model's output under the intervention.
        machine_output: what the learned machine predicts, up to where it abstains.
        changed: the indices at which `output` is not `clean`.
        first_difference: the first index at which `output` is not `machine_output`; None where
            they are equal.
        step: the index in `run` of the machine's step that writes that token.
        run: the machine's states, one for each step.
        attention: uint8[layer, head, query, key], 255 for all of a query's attention; the queries
            begin at SEP.
        tokens: the tokens of the row, one for each key.
        first_query: the index in `tokens` of the first query.
    """

    input: TokenTuple
    truth: TokenTuple
    clean: TokenTuple
    output: TokenTuple
    machine_output: TokenTuple
    changed: tuple[int, ...]
    first_difference: int | None
    step: int | None
    run: tuple[MachineState, ...]
    attention: Attention
    tokens: TokenTuple
    first_query: int


@dataclass(frozen=True, kw_only=True)
class StratumAccuracy:
    """How many outputs of one stratum are exactly right.

    Attributes:
        name: the stratum, such as "depth 3".
        clean: the rate without an intervention.
        edited: the rate under the intervention, on the same inputs.
    """

    name: str
    clean: Rate
    edited: Rate


class Session:
    """An explained model that can be queried under interventions on its heads.

    Args:
        ex: an explanation with its model.
        config: how much is computed for one click.

    Raises:
        ModelNotLoadedError: where the explanation has no hooked model.
    """

    def __init__(self, ex: Explanation, config: SessionConfig = SessionConfig()) -> None:
        from torch import nn

        from recinterp.models import Adapter

        if not isinstance(ex.model, nn.Module):
            problem = "it has none" if ex.model is None else "it is not a hooked model"
            raise ModelNotLoadedError(
                "query the explanation's model", problem, "pass Explanation.load(path, model=…)"
            )
        self.ex, self.task, self.config = ex, ex.task, config
        self.adapter: Adapter = Adapter(ex.model, ex.task)
        if not self.adapter.has_patterns:
            problem = "its attention patterns are out of reach"
            hint = "name what passes them on: ri.Wrapped(…, patterns=[…])"
            raise ModelNotLoadedError("query the explanation's model", problem, hint)
        self._lock = threading.Lock()  # hooks are the model's own: one pass at a time
        self._source_cache: SourceCache = {}
        self._clean: dict[TokenTuple, tuple[TokenTuple, Attention]] = {}
        self._clean_right: dict[tuple[str, int], int] = {}

    @property
    def heads(self) -> tuple[HeadIndex, ...]:
        """Every (layer, head)."""
        layers, heads = range(self.adapter.n_layers), range(self.adapter.n_heads)
        return tuple((layer, h) for layer in layers for h in heads)

    def name(self, which: HeadIndex) -> str:
        """The field's name for a head: L1H0; E1H0, D1H0 and X1H0 of an encoder-decoder.

        Args:
            which: the head as (layer, head).
        """
        return f"{self.adapter.block_names[which[0]]}H{which[1]}"

    @cached_property
    def pointers(self) -> dict[str, Landmark]:
        """The landmarks that a head can be redirected to, by name; the heads' own come first."""
        known = {str(mark): mark for mark in landmarks(self.task)}
        own = [h.landmark for h in self.ex.heads if h.landmark in known]
        return {name: known[name] for name in dict.fromkeys([*own, *known])}

    @cached_property
    def suggested_inputs(self) -> tuple[tuple[str, TokenTuple], ...]:
        """(reason, input): counterexamples, edge cases and ordinary inputs to pick from."""
        diff, reasons = self.ex.diff, dict[TokenTuple, str]()
        if diff.counterexample is not None:
            reasons[tuple(diff.counterexample.input)] = "counterexample"
        for shortcut in diff.shortcuts:
            reasons.setdefault(tuple(shortcut.counterexample), f"counterexample, {shortcut.kind}")
        for divergence in diff.unexplained[:2]:
            reasons.setdefault(tuple(divergence.input), "unexplained by the machine")
        for x, reason in self._deepest_inputs():
            reasons.setdefault(x, reason)
        for drawn in self.ex.domain.sample(self.task, 4, seed=5):
            reasons.setdefault(tuple(drawn), "drawn at random")
        return tuple((reason, x) for x, reason in reasons.items())

    def _deepest_inputs(self) -> Iterator[tuple[TokenTuple, str]]:
        longest = self.ex.domain.max_length or 8
        for length in (longest, longest // 2):
            depths = self.ex.domain.depths(self.task, length)
            if not depths:
                continue
            for x in self.ex.domain.sample_cell(self.task, length, max(depths), 1, seed=1):
                yield tuple(x), f"deepest input of {length} tokens"

    def plan(
        self, intervention: HeadIntervention, positions: Sequence[int | None] = ()
    ) -> list[Intervention]:
        """The intervention in the language of `recinterp.perturb`.

        Args:
            intervention: the heads and what is done to them.
            positions: for a redirect, the input position that each row's heads point to.

        Returns:
            One perturb intervention for each head.

        Raises:
            InterventionError: for a head that the model does not have.
            UnknownNameError: for a redirect to an unknown landmark.
        """
        if intervention.kind == "redirect":
            to = At("input", tuple(positions))
            return [Redirect(layer, h, to) for layer, h in self._checked_heads(intervention)]
        reference = None if intervention.kind == "zero" else self._reference
        heads = self._checked_heads(intervention)
        return [Ablate(head(*which), intervention.kind, reference) for which in heads]

    def _checked_heads(self, intervention: HeadIntervention) -> tuple[HeadIndex, ...]:
        if not set(intervention.heads) <= set(self.heads):
            known = f"{self.name(self.heads[0])} to {self.name(self.heads[-1])}"
            raise InterventionError(
                f"intervene on heads {intervention.heads}",
                "the model does not have all of them",
                f"its heads are {known}",
            )
        if intervention.kind == "redirect" and intervention.to not in self.pointers:
            raise UnknownNameError("redirect a head", intervention.to, self.pointers)
        return intervention.heads

    @cached_property
    def _reference(self) -> tuple[TokenTuple, ...]:
        drawn = self.ex.domain.sample(self.task, self.config.reference_inputs, seed=11)
        return tuple(map(tuple, drawn))

    def warm_up(self) -> None:
        """Run what every answer needs once: the clean means, the proof that edits take effect."""
        self.answer(self.suggested_inputs[0][1], HeadIntervention(self.heads[:1], "mean"))

    def output(
        self, tokens: Sequence[str], intervention: HeadIntervention = NO_INTERVENTION
    ) -> TokenTuple:
        """The model's greedy output under an intervention.

        Args:
            tokens: an input of the task.
            intervention: the heads and what is done to them; by default nothing.

        Returns:
            The output's tokens without EOS; it closes with "…" where it did not end.

        Raises:
            InvalidInputError: for tokens that are not an input of the task.
        """
        return self._output_and_attention(tuple(tokens), intervention)[0]

    def _output_and_attention(
        self, x: TokenTuple, intervention: HeadIntervention
    ) -> tuple[TokenTuple, Attention]:
        """The output, and the attention it was written with; clean ones are cached."""
        if not intervention.heads and x in self._clean:
            return self._clean[x]
        self.task.well_formed(x)
        self._checked_heads(intervention)
        guess = self.output(x) if intervention.heads else ()
        result = self._decode(x, intervention, guess)
        if not intervention.heads:
            self._clean[x] = result
        return result

    def answer(
        self, tokens: Sequence[str], intervention: HeadIntervention = NO_INTERVENTION
    ) -> Answer:
        """Everything that one click shows, except for the accuracy (see `accuracy`).

        Args:
            tokens: an input of the task.
            intervention: the heads and what is done to them; by default nothing.

        Returns:
            The outputs, the machine's run beside them, and every head's attention.

        Raises:
            InvalidInputError: for tokens that are not an input of the task.
        """
        x = tuple(tokens)
        clean = self.output(x)
        output, attention = self._output_and_attention(x, intervention)
        run = tuple(state for state, _ in machine_states(self.ex.machine, x))
        machine_output = tuple(self.ex.machine.known_prefix(x))
        difference = first_difference(output, machine_output)
        batch = build_batch(self.task, [x], [_encodable_prefix(output, self.task.ids)])
        return Answer(
            input=x,
            truth=tuple(self.task.apply(x)),
            clean=clean,
            output=output,
            machine_output=machine_output,
            changed=tuple(
                i for i in range(len(output)) if i >= len(clean) or output[i] != clean[i]
            ),
            first_difference=difference,
            step=None if difference is None else _step_that_writes(run, difference),
            run=run,
            attention=attention,
            tokens=self._row_tokens(batch),
            first_query=int(batch.sep[0]),
        )

    def patterns(
        self, tokens: Sequence[str]
    ) -> tuple[Float[Tensor, "layer head query key"], TokenTuple]:
        """Attention over the input, SEP and the model's own output.

        Args:
            tokens: an input of the task.

        Returns:
            The pattern of every head, each query's attention adding up to 1, and the row's tokens.

        Raises:
            InvalidInputError: for tokens that are not an input of the task.
        """
        output = _encodable_prefix(self.output(tokens), self.task.ids)
        batch = build_batch(self.task, [tokens], [output])
        captured: dict[str, Tensor] = {}
        self._logits(batch, [], captured)
        stacked = torch.stack([captured[name][0] for name in self._pattern_hooks])
        return stacked, self._row_tokens(batch)

    def _row_tokens(self, batch: PromptBatch) -> TokenTuple:
        return tuple(self.adapter.token(i) for i in batch.ids[0].tolist())

    @property
    def _pattern_hooks(self) -> list[str]:
        return [f"blocks.{layer}.attn.hook_pattern" for layer in range(self.adapter.n_layers)]

    def accuracy(
        self, intervention: HeadIntervention, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[StratumAccuracy]:
        """How many outputs are exactly right, one recursion depth after the other.

        Args:
            intervention: the heads and what is done to them.
            should_stop: called before each stratum; true ends the iteration.

        Returns:
            The strata, from the smallest depth on.
        """
        for name, drawn in self._strata.items():
            if should_stop():
                return
            redirects = intervention.kind == "redirect"
            inputs = drawn[: self.config.redirected_per_stratum] if redirects else drawn
            clean = self._count_clean_right(name, inputs)
            edited = self._count_right(inputs, intervention) if intervention.heads else clean
            total = len(inputs)
            yield StratumAccuracy(name=name, clean=Rate(clean, total), edited=Rate(edited, total))

    def _count_clean_right(self, name: str, inputs: Sequence[TokenTuple]) -> int:
        key = (name, len(inputs))
        if key not in self._clean_right:
            self._clean_right[key] = self._count_right(inputs, NO_INTERVENTION)
        return self._clean_right[key]

    @cached_property
    def _strata(self) -> dict[str, list[TokenTuple]]:
        domain, longest = self.ex.domain, self.ex.domain.max_length or 8
        size = self.config.inputs_per_stratum
        by_depth: dict[int, dict[TokenTuple, None]] = {}
        lengths = range(1, longest + 1)
        depths = sorted({d for n in lengths for d in domain.depths(self.task, n)})
        for depth in depths:
            if domain.is_sampled:
                at = [n for n in lengths if depth in domain.depths(self.task, n)]
                each = -(-size // len(at))
                drawn = [
                    x for n in at for x in domain.sample_cell(self.task, n, depth, each, depth)
                ]
            else:
                drawn = self.task.sample(
                    size,
                    seed=depth,
                    depth=depth,
                    max_length=longest,
                    min_length=domain.min_length or 0,
                )
            inside = [x for x in drawn if domain.contains(self.task, x)]
            by_depth[depth] = dict.fromkeys(map(tuple, inside))
        return {f"depth {d}": list(xs) for d, xs in by_depth.items() if xs}

    def _count_right(self, inputs: Sequence[TokenTuple], intervention: HeadIntervention) -> int:
        """How many outputs are the truth: forced along it, every next token has to be its own."""
        truth = [tuple(y) for y in self.task.apply_many(inputs)]
        if intervention.kind == "redirect" and intervention.heads:
            pairs = list(zip(inputs, truth, strict=True))
            return sum(self._redirected_steps(x, y, intervention)[0] == [*y, EOS] for x, y in pairs)
        batch = build_batch(self.task, inputs, truth)
        predicted = self._logits(batch, self._constant_plan(intervention)).argmax(-1)
        right = 0
        for i, y in enumerate(truth):
            wanted = self.task.target(y)[: len(y) + 1]  # with EOS, where the task has one
            sep = int(batch.sep[i])
            right += predicted[i, sep : sep + len(wanted)].tolist() == wanted
        return right

    def rederive(
        self, intervention: HeadIntervention, progress: Callable[[str], None] | None = None
    ) -> Explanation:
        """Explain the model as it behaves under an intervention, on short inputs.

        Args:
            intervention: the heads and what is done to them.
            progress: called with each stage's name; what it raises ends the derivation.

        Returns:
            An explanation from outputs only, on inputs of at most `config.rederive_max_length`
            tokens.
        """
        limit = self.config.rederive_max_length
        given = self.ex.domain
        shortest = min(map(self.task.length, given.inputs(self.task, limit=1)), default=0)
        longest = min(given.max_length or limit, max(limit, shortest))
        domain = replace(given, max_length=longest)
        report = progress or (lambda _: None)

        def predict(inputs: list[list[str]]) -> list[list[str]]:
            outputs: list[list[str]] = []
            for i in range(0, len(inputs), self.config.batch_size):
                report(f"querying the model: {i:,} of {len(inputs):,} inputs")
                batch = inputs[i : i + self.config.batch_size]
                outputs += (list(self.output(x, intervention)) for x in batch)
            return outputs

        return explain(predict, self.task, domain=domain, progress=report)

    def _constant_plan(self, intervention: HeadIntervention) -> list[Intervention]:
        """The plan where one pass serves every step; a redirect has another one at each step."""
        return [] if intervention.kind == "redirect" else self.plan(intervention)

    def _decode(
        self, x: TokenTuple, intervention: HeadIntervention, guess: TokenTuple
    ) -> tuple[TokenTuple, Attention]:
        """Guess the output, check all of it in one pass, go on from what holds.

        The last pass has read the whole output, so its attention is the one returned.
        """
        ids, start = self.task.ids, len(self.task.prompt(x))
        room = self.adapter.n_ctx - start
        ahead = _encodable_prefix(guess, ids)[: room - 1]
        while True:
            predicted, attention = self._next_tokens(x, ahead, intervention)
            checked = next((i for i, y in enumerate(ahead) if predicted[i] != y), len(ahead))
            output = predicted[: checked + 1]
            stop = next((i for i, y in enumerate(output) if y == EOS or y not in ids), None)
            if stop is not None or len(output) >= room:
                closed = _close_output(output, stop)
                length = len(_encodable_prefix(closed, ids))
                return closed, attention[:, :, : 1 + length, : start + length]
            more = _encodable_prefix(predicted[len(output) :], ids)
            guessed = more or (output[-1],) * self.config.guessed_tokens
            ahead = (*output, *guessed)[: room - 1]

    def _next_tokens(
        self, x: TokenTuple, prefix: TokenTuple, intervention: HeadIntervention
    ) -> tuple[list[str], Attention]:
        """The next token after each beginning of a prefix, and the attention it takes."""
        if intervention.kind == "redirect" and intervention.heads:
            return self._redirected_steps(x, prefix, intervention)
        batch, captured = build_batch(self.task, [x], [prefix]), dict[str, Tensor]()
        sep = int(batch.sep[0])
        logits = self._logits(batch, self._constant_plan(intervention), captured)
        patterns = torch.stack([captured[name][0, :, sep:] for name in self._pattern_hooks])
        ids, steps = logits[0, sep:].argmax(-1).tolist(), range(len(prefix) + 1)
        tokens = self.adapter.name_next_tokens(ids, [x] * len(steps), steps)
        return tokens, _quantize_uint8(patterns)

    def _redirected_steps(
        self, x: TokenTuple, prefix: TokenTuple, intervention: HeadIntervention
    ) -> tuple[list[str], Attention]:
        """`_next_tokens` for a redirect, which points elsewhere at each step: a row for each."""
        landmark = self.pointers[intervention.to]
        positions = [landmark.at(x, t) for t in range(len(prefix) + 1)]
        width = len(self.task.prompt(x)) + len(prefix)
        hooks, predicted = self._pattern_hooks, dict[int, str]()
        patterns = torch.zeros(len(hooks), self.adapter.n_heads, len(positions), width)
        for exists in (True, False):
            steps = [t for t, at in enumerate(positions) if (at is not None) == exists]
            if not steps:
                continue
            batch = build_batch(self.task, [x] * len(steps), [prefix[:t] for t in steps])
            plan = self.plan(intervention, [positions[t] for t in steps]) if exists else []
            captured: dict[str, Tensor] = {}
            logits, each = self._logits(batch, plan, captured), torch.arange(len(steps))
            tokens = decode_tokens(self.adapter, logits[each, batch.prediction], batch)
            predicted |= dict(zip(steps, tokens, strict=True))
            for i, name in enumerate(hooks):
                read = captured[name][each, :, batch.prediction]  # (step, head, key)
                patterns[i, :, steps, : read.shape[-1]] = read.transpose(0, 1)
        return [predicted[t] for t in range(len(positions))], _quantize_uint8(patterns)

    def _logits(
        self,
        batch: PromptBatch,
        plan: Sequence[Intervention],
        captured: dict[str, Tensor] | None = None,
    ) -> Float[Tensor, "batch pos vocab"]:
        """Logits at every position; every layer's attention pattern goes into `captured`."""
        with self._lock, one_thread(), source_cache(self._source_cache), torch.no_grad():
            for hook in sorted({unit.hook for unit in edited_units(self.adapter, plan)}):
                assert_live(self.adapter, self.task, hook)
            check_plan(self.adapter, plan)
            edits = lower(self.adapter, self.task, batch, plan)
            hooks = self._pattern_hooks if captured is not None else ()
            logits, read = run_edits(self.adapter, batch, edits, read=hooks, after=True)
            if captured is not None:
                captured |= {name: value.float().cpu() for name, value in read.items()}
            return logits.float().cpu()


def _quantize_uint8(patterns: Float[Tensor, "layer head query key"]) -> Attention:
    return (patterns * 255).round().to(torch.uint8)


def _close_output(output: Sequence[str], stop: int | None) -> TokenTuple:
    """An output that has ended: by itself, at a token of no task, or at the context's end."""
    if stop is None:
        return (*output, TRUNCATED)
    return tuple(output[:stop]) if output[stop] == EOS else (*output[: stop + 1], TRUNCATED)


def _encodable_prefix(tokens: Sequence[str], ids: Any) -> TokenTuple:
    """The beginning of an output that can be forced on a model."""
    end = next((i for i, y in enumerate(tokens) if y not in ids or y == EOS), len(tokens))
    return tuple(tokens[:end])


def _step_that_writes(run: Sequence[MachineState], index: int) -> int | None:
    """The step of a run that writes an output index; the last one for what it never writes."""
    after = next((i for i in range(1, len(run)) if len(run[i].out) > index), None)
    if after is not None:
        return after - 1
    return len(run) - 1 if run else None
