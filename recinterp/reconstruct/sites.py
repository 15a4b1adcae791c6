"""Where a machine's variables live in the network: interchange interventions at sites.

A source run's activation is put into a base run, and the model must write what the machine writes
with the source's value. Candidates are a handful of patches per layer; half of the pairs chooses
among them, the other half gives the accuracy that is reported, beside a norm-matched random
direction and a source of the same value (which must change nothing).
Source: Geiger et al., Causal abstractions of neural networks (2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recinterp.machine.syntax import Machine
from recinterp.perturb import (
    INPUTS,
    OUTPUTS,
    QUERY,
    SEP,
    At,
    Interchange,
    Rows,
    Unit,
    is_live,
    lay_out,
    say,
    sources_kept,
)
from recinterp.rate import Rate
from recinterp.reconstruct.pairs import Pair, Pairs, Step, faithful
from recinterp.reconstruct.variables import Kind, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from recinterp.models import Adapter
    from recinterp.tasks import Task

ACCEPT, CONTROL, SINGLE = 0.85, 0.2, 0.5
CHOOSING, REPORTING, FEWEST = 40, 60, 20
UNSEEN = Rate(0, 0)
WORDS = {
    "query": "the query",
    "sep": "SEP",
    "read": "the input read",
    "changed": "the inputs changed",
    "others": "the other inputs",
    "inputs": "the inputs",
    "outputs": "the previous outputs",
}
OTHERS_THAN = "others than "
READING = ("read", "changed", "others", "inputs")


def words(position: str) -> str:
    """A class of positions in words; `at p` is where the pointer p stands."""
    if position.startswith(OTHERS_THAN):
        return f"the inputs other than at {position.removeprefix(OTHERS_THAN)}"
    return WORDS.get(position) or f"the input {position}"


@dataclass(frozen=True)
class Part:
    """One place of a patch: a hook point (or one head of it) at a class of positions.

    position: query, sep, changed, others, inputs, outputs, read, `at` a pointer of the machine, or
    `others than` where that stands.
    block: what its block is called, where that is not its number (E0, D0, X0 of encoder-decoders).
    """

    hook: str
    position: str
    head: int | None = None
    block: str = ""

    @property
    def layer(self) -> int:
        """The layer whose output it is; -1: the embeddings'."""
        number = int(self.hook.split(".")[1])
        return number - 1 if self.hook.endswith("resid_pre") else number

    @property
    def while_reading(self) -> bool:
        """Whether it lies before the output begins."""
        return self.position in READING or self.position.startswith(("at ", OTHERS_THAN))

    @property
    def stage(self) -> int:
        """Its place in the order of computation: embeddings 0, attention 1, layer output 2, …"""
        return 2 * self.layer + (1 if self.hook.endswith("hook_z") else 2)

    @property
    def place(self) -> str:
        """Which activation, in words."""
        if self.hook.endswith("hook_z"):
            alone = f"{self.block or f'L{self.layer}'}H{self.head}"
            whole = f"{self.block or f'layer-{self.layer}'} attention"
            return f"in {whole if self.head is None else alone}"
        after = f"after {self.block or f'layer {self.layer}'}"
        return "in the embedding" if self.layer < 0 else after

    def named(self, adapter: Adapter) -> Part:
        """The same with its block's name."""
        told = adapter.architecture == "encoder-decoder" and self.layer >= 0
        return replace(self, block=adapter.block_names[self.layer]) if told else self

    def __str__(self) -> str:
        return f"{self.place} at {words(self.position)}"


Patch = tuple[Part, ...]


def described(patch: Patch) -> str:
    """A patch in words: parts of one place together."""
    places = dict.fromkeys(part.place for part in patch)
    return " and ".join(
        f"{place} at " + " and ".join(words(part.position) for part in patch if part.place == place)
        for place in places
    )


@dataclass(frozen=True)
class Site:
    """A variable's place, with its interchange accuracy and what that has to beat.

    control: a norm-matched random direction's accuracy; kept: how often a source of the same value
    leaves the answer alone; strict: accuracy where the source's own token is wrong as well. dims:
    of a subspace at each place, where only that was interchanged (`alone`); 0: all that is there.
    """

    variable: str
    where: tuple[str, ...]
    accuracy: float
    interval: tuple[float, float]
    control: float
    pairs: int
    accepted: bool
    single: bool
    note: str = ""
    patch: Patch = ()
    kept: float = float("nan")
    strict: Rate = UNSEEN
    kind: str = ""
    dims: int = 0


def sites(
    adapter: Adapter,
    task: Task,
    machine: Machine,
    inputs: Sequence[Sequence[str]],
    seed: int = 0,
) -> tuple[Site, ...]:
    """For every variable: its best single site and, where that falls short, a joint one."""
    finder = Pairs(task, machine, inputs, seed)
    found: list[Site] = []
    for variable in finder.variables:
        with sources_kept():
            found += _sites_of(adapter, task, finder, variable, seed)
    return tuple(found)


def _sites_of(
    adapter: Adapter, task: Task, finder: Pairs, variable: Variable, seed: int
) -> list[Site]:
    pairs = faithful(adapter, task, finder.find(variable, 2 * (CHOOSING + REPORTING)))
    pairs = pairs[: CHOOSING + REPORTING]
    if len(pairs) < FEWEST:
        # A variable that never decides a token (a pointer that has run to its end) is no finding.
        return [_unplaced(variable, len(pairs))] if pairs else []
    half = len(pairs) * CHOOSING // (CHOOSING + REPORTING)
    choose, report = pairs[:half], pairs[half:]
    controls = _Controls(
        faithful(adapter, task, finder.find(variable, REPORTING, same=True))[:REPORTING],
        faithful(adapter, task, finder.find(variable, REPORTING, strict=True))[:REPORTING],
        seed,
    )
    scored = [
        (accuracy(adapter, task, choose, p), tuple(part.named(adapter) for part in p))
        for p in _candidates(adapter, pairs, [v.name for v in finder.pointers])
        if all(is_live(adapter, task, part.hook) for part in p)
    ]
    return [
        _measured(adapter, task, variable, patch, report, controls)
        for patch in _chosen(scored, variable.kind)
    ]


def _unplaced(variable: Variable, pairs: int) -> Site:
    note = f"only {pairs} pairs of steps tell its values apart: too few to place it"
    nan = float("nan")
    return Site(
        variable.name, (), nan, (0.0, 1.0), nan, pairs, False, False, note, kind=variable.kind
    )


def _candidates(
    adapter: Adapter, pairs: Sequence[Pair], pointers: Sequence[str]
) -> Iterator[Patch]:
    """The patches tried, the narrowest first; those that the pairs do not allow are left out.

    The last layer's output at the query is the answer itself, and the embedding at the inputs is
    the input itself: a patch there would prove nothing.
    """
    reads = [f"at {name}" for name in pointers] or ["read"]
    moves = any(p.base.t != p.source.t for p in pairs)
    layers = range(adapter.n_layers)
    for layer in (-1, *layers[:-1]):
        hook = f"blocks.{layer}.hook_resid_post" if layer >= 0 else "blocks.0.hook_resid_pre"
        yield (Part(hook, "query"),)
        if layer >= 0:
            for place in ("sep", *reads, "changed", "others", "inputs"):
                yield (Part(hook, place),)
            yield (Part(hook, "inputs"), Part(hook, "query"))
            yield from ((Part(hook, place), Part(hook, "query")) for place in reads)
        if not moves:
            yield (Part(hook, "outputs"),)
            yield (Part(hook, "outputs"), Part(hook, "query"))
    for layer in layers:
        hook = f"blocks.{layer}.attn.hook_z"
        yield from ((Part(hook, "query", h),) for h in range(adapter.n_heads))
        yield (Part(hook, "query"),)
    if len(layers) > 1:
        yield tuple(Part(f"blocks.{layer}.attn.hook_z", "query") for layer in layers)


def is_single(patch: Patch) -> bool:
    """Whether a patch is one site: one place, or the one token in which the runs differ."""
    return len(patch) == 1 and patch[0].position not in ("others", "inputs", "outputs")


def plan_of(
    patch: Patch,
    pairs: Sequence[Pair],
    scramble: int | None = None,
    bases: Sequence[Tensor] | None = None,
) -> list[Interchange]:
    """The intervention that puts the sources' values of a patch into the bases of the pairs.

    bases: of subspaces, one per part, if no more than what lies in them is to be put in.
    """
    sources = tuple(p.source.tokens for p in pairs)
    prefixes = tuple(p.source.prefix for p in pairs)
    return [
        Interchange(
            (Unit(part.hook, part.head, _at(part.position, pairs, base=True)),),
            sources,
            prefixes,
            _at(part.position, pairs, base=False),
            scramble,
            None if bases is None else (bases[number],),
        )
        for number, part in enumerate(patch)
    ]


def _at(position: str, pairs: Sequence[Pair], *, base: bool) -> At:
    match position:
        case "query":
            return QUERY
        case "sep":
            return SEP
        case "inputs":
            return INPUTS
        case "outputs":
            return OUTPUTS
        case "changed":
            return At("some", tuple(p.changed for p in pairs))
    # A pair in which either side reads nothing has no such position on either side.
    both = [(_place(p.base, position), _place(p.source, position)) for p in pairs]
    index = tuple(None if None in ends else ends[0 if base else 1] for ends in both)
    return At("others" if position.startswith("others") else "input", index)


def _place(step: Step, position: str) -> int | None:
    for front in ("at ", OTHERS_THAN):
        if position.startswith(front):
            return step.place(position.removeprefix(front))
    return step.reads


def rows_of(task: Task, pairs: Sequence[Pair]) -> Rows:
    """The base steps of some pairs, as rows."""
    return lay_out(task, [p.base.tokens for p in pairs], [p.base.prefix for p in pairs])


def answers(
    adapter: Adapter,
    task: Task,
    pairs: Sequence[Pair],
    patch: Patch,
    scramble: int | None = None,
    bases: Sequence[Tensor] | None = None,
) -> list[str]:
    """What the model writes at the bases with the sources' values put in."""
    return say(adapter, task, rows_of(task, pairs), plan_of(patch, pairs, scramble, bases))


def accuracy(
    adapter: Adapter,
    task: Task,
    pairs: Sequence[Pair],
    patch: Patch,
    scramble: int | None = None,
    bases: Sequence[Tensor] | None = None,
) -> Rate:
    """How often that is what the machine writes with the variable set."""
    if not pairs:
        return Rate(0, 0)
    said = answers(adapter, task, pairs, patch, scramble, bases)
    return Rate.of(a == p.goal for a, p in zip(said, pairs, strict=True))


def _chosen(scored: Sequence[tuple[Rate, Patch]], kind: Kind) -> list[Patch]:
    """The patches worth measuring: where the variable is first and, unless it is a state, last.

    First: the earliest stage at which a patch is accepted (a joint one with the best single one
    beside it). Last: the latest stage at which a single one is, for what is read; for a pointer,
    the latest layer output. By then the answer is made of the state, so that a state's last site
    would prove nothing. If none is accepted: the best.
    """
    stages: dict[int, list[tuple[Rate, Patch]]] = {}
    for rate, patch in scored:
        stages.setdefault(max(part.stage for part in patch), []).append((rate, patch))
    passed = [s for s in sorted(stages) if any(rate.value >= ACCEPT for rate, _ in stages[s])]
    if not passed:
        best = max(scored, key=lambda s: s[0].hits)
        single = _top(scored, single=True)
        return [best[1], *([single[1]] if single[0].value >= SINGLE and single != best else [])]
    found = _first(stages[passed[0]])
    for stage in reversed(passed[1:] if kind in ("content", "lookahead", "pointer") else []):
        rate, patch = _top(stages[stage], single=True)
        attends = any(part.hook.endswith("hook_z") for part in patch)
        if rate.value >= ACCEPT and not (attends and kind == "pointer"):
            return [*found, patch]
    return found


def _first(stage: Sequence[tuple[Rate, Patch]]) -> list[Patch]:
    single = _top(stage, single=True)
    if single[0].value >= ACCEPT:
        return [single[1]]
    joint = _top(stage, single=False)
    return [joint[1], single[1]] if single[0].value >= SINGLE else [joint[1]]


def _top(scored: Sequence[tuple[Rate, Patch]], *, single: bool) -> tuple[Rate, Patch]:
    """The best of the single or of the joint patches; of equals, the first."""
    of_kind = [s for s in scored if is_single(s[1]) is single]
    return max(of_kind, key=lambda s: s[0].hits) if of_kind else (Rate(0, 1), ())


@dataclass(frozen=True)
class _Controls:
    """Pairs of equal value, pairs whose source answers wrongly, and the seed of the noise."""

    same: Sequence[Pair]
    strict: Sequence[Pair]
    seed: int


def _measured(
    adapter: Adapter,
    task: Task,
    variable: Variable,
    patch: Patch,
    report: Sequence[Pair],
    controls: _Controls,
) -> Site:
    rate = accuracy(adapter, task, report, patch)
    noise = [accuracy(adapter, task, report, patch, controls.seed + k) for k in range(1, 5)]
    control = sum(r.value for r in noise) / len(noise)
    kept = accuracy(adapter, task, controls.same, patch)
    accepted = rate.value >= ACCEPT and control <= CONTROL and not kept.value < ACCEPT
    site = Site(
        variable.name,
        tuple(map(str, patch)),
        rate.value,
        rate.interval,
        control,
        rate.total,
        accepted,
        is_single(patch),
        patch=patch,
        kept=kept.value,
        strict=accuracy(adapter, task, controls.strict, patch),
        kind=variable.kind,
    )
    return replace(site, note=_note(site))


def _note(site: Site) -> str:
    said = [
        f"random direction {site.control:.0%}",
        f"source of the same value keeps {site.kept:.0%}",
    ]
    if site.strict.total >= FEWEST // 2:
        said.append(f"where the source's own answer is wrong too {site.strict}")
    if not site.accepted:
        said.append("not accepted")
    return "; ".join(said)
