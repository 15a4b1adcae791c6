"""An explanation as plain numbers and sentences: what the text, the page and the JSON all show.

Whatever a renderer prints is a field here, so the three can not tell different stories.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from recinterp.stats import Rate
from recinterp.tokens import first_difference
from recinterp.view.diagram.graph import MachineGraph
from recinterp.view.diagram.outline import render_outline
from recinterp.view.diagram.side_by_side import align_machines
from recinterp.view.report.sentences.heads import head_note, layer_sentence
from recinterp.view.report.sentences.kinds import kind_does, shortcut_does
from recinterp.view.report.sentences.network import (
    condition_text,
    effect_text,
    location_text,
    mechanism_sentence,
    site_note,
)
from recinterp.view.report.sentences.summary import domain_text, region_text, sentence, trust

if TYPE_CHECKING:
    from recinterp.causal.results import Site
    from recinterp.divergence import Divergence, ErrorCell, Shortcut
    from recinterp.explanation import Explanation
    from recinterp.judge import Fidelity, Stratum
    from recinterp.probe import Head

LISTED = 100  # inputs that no rule tells, as listed one by one


@dataclass(frozen=True)
class Share:
    """A rate as numbers: value None where nothing was counted; low, high: Wilson 95 %."""

    hits: int
    total: int
    value: float | None
    low: float
    high: float

    @classmethod
    def of(cls, rate: Rate) -> Share:
        """From a Rate."""
        low, high = rate.interval
        return cls(rate.hits, rate.total, rate.value if rate.total else None, low, high)


@dataclass(frozen=True)
class Case:
    """One input: true output, the model's, the machine's claim (None: it makes none).

    first: the first place where model and truth differ.
    """

    input: tuple[str, ...]
    expected: tuple[str, ...]
    output: tuple[str, ...]
    first: int
    claimed: tuple[str, ...] | None = None

    @classmethod
    def of(cls, found: Shortcut) -> Case:
        """A shortcut's counterexample, which the machine predicts."""
        true, wrote = tuple(found.expected), tuple(found.model_output)
        return cls(tuple(found.counterexample), true, wrote, _first_error(true, wrote), wrote)

    @classmethod
    def listed(cls, d: Divergence) -> Case:
        """A listed input."""
        first = _first_error(d.expected, d.model_output)
        return cls(d.input, d.expected, d.model_output, first, d.machine_output)


@dataclass(frozen=True)
class Cell:
    """All inputs of one length and depth: how many of them depart."""

    length: int
    depth: int
    hits: int
    total: int


@dataclass(frozen=True)
class ShortcutView:
    """One way in which the learned machine leaves the truth."""

    kinds: tuple[str, ...]
    meanings: tuple[str, ...]
    bound: int | None
    text: str
    case: Case
    rule: str
    step: str
    hits: int
    total: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class FidelityRow:
    """One stratum of held-out inputs; each column beside its counts, baselines by name."""

    stratum: str
    n: int
    columns: dict[str, Share]
    baselines: dict[str, Share]


@dataclass(frozen=True)
class HeadRow:
    """A head and its evidence."""

    name: str
    role: str
    score: float
    effect: float
    controls: dict[str, float]
    recursion: bool
    note: str


@dataclass(frozen=True)
class SiteRow:
    """Where a variable of the machine lives, and how sure that is."""

    variable: str
    where: tuple[str, ...]
    accuracy: float
    interval: tuple[float, float]
    control: float
    pairs: int
    accepted: bool
    single: bool
    note: str
    dims: int = 0

    @property
    def directions(self) -> str:
        """Of how many directions at each place the accuracy is; empty: of all."""
        return f"{self.dims} directions each" if self.dims else ""


@dataclass(frozen=True)
class OverrideRow:
    """What the model does behind an output put there; alone: what the machine by itself says."""

    condition: str
    effect: str
    held: Share
    alone: Share


@dataclass(frozen=True)
class Report:
    """Everything a reader is shown."""

    model: str
    task: str
    order: str
    domain: str
    verdict: str
    sentence: str
    headline: str
    mechanism: str
    how: str
    divergent: int
    inputs: int
    exhaustive: bool
    region: str
    counterexample: Case | None
    errors: tuple[Cell, ...]
    shortcuts: tuple[ShortcutView, ...]
    unexplained: tuple[Case, ...]
    unexplained_total: int
    learned: str
    outline: str
    learned_size: int
    learned_modes: int
    truth: str
    drawn: tuple[MachineGraph, MachineGraph]
    fidelity: tuple[FidelityRow, ...]
    interventional: Share | None
    unpredicted_changes: Share | None
    heads: tuple[HeadRow, ...]
    sites: tuple[SiteRow, ...]
    forced_prefix_rules: tuple[OverrideRow, ...]
    layers: tuple[str, ...]
    rejected_hypotheses: tuple[str, ...]
    equivalent_machines: tuple[str, ...]
    probes: int
    trust: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, object]:
        """The same as plain data."""
        return asdict(self)


def plain(row: FidelityRow) -> dict[str, object]:
    """A row as plain data."""
    return asdict(row)


COLUMNS = {
    "match": "match",
    "failure recall": "failure_recall",
    "failure precision": "failure_precision",
    "flagged recall": "flagged_recall",
    "flagged precision": "flagged_precision",
    "coverage": "coverage",
}


def build_report(ex: Explanation) -> Report:
    """The report of an explanation."""
    diff = ex.diff
    return Report(
        model=ex.model_name,
        task=ex.task.name,
        order=ex.task.order,
        domain=domain_text(ex.domain),
        verdict=diff.verdict,
        sentence=sentence(ex),
        headline=diff.headline,
        mechanism=diff.mechanism,
        how=_capitalised(mechanism_sentence(ex.mechanism)),
        divergent=diff.divergent,
        inputs=diff.total,
        exhaustive=diff.exhaustive,
        region=region_text(diff),
        counterexample=None if diff.counterexample is None else Case.listed(diff.counterexample),
        errors=_cells(diff.errors),
        shortcuts=tuple(map(_shortcut, diff.shortcuts)),
        unexplained=tuple(map(Case.listed, diff.unexplained[:LISTED])),
        unexplained_total=len(diff.unexplained),
        learned=str(ex.machine),
        outline=render_outline(ex.machine),
        learned_size=ex.machine.size,
        learned_modes=len(ex.machine.modes),
        truth=str(ex.truth),
        drawn=align_machines(ex.machine, ex.truth, {s.rule for s in diff.shortcuts}),
        fidelity=fidelity_rows(ex.fidelity),
        interventional=_optional(ex.fidelity.interventional),
        unpredicted_changes=_optional(ex.fidelity.unpredicted_changes),
        heads=tuple(map(_head, ex.heads)),
        sites=tuple(map(_site, ex.sites)),
        forced_prefix_rules=tuple(
            OverrideRow(
                condition_text(o), effect_text(o), Share.of(o.observed), Share.of(o.without_rule)
            )
            for o in ex.forced_prefix_rules
        ),
        layers=tuple(map(layer_sentence, ex.layers)),
        rejected_hypotheses=tuple(dict.fromkeys(ex.rejected_hypotheses)),
        equivalent_machines=tuple(map(str, ex.equivalent_machines)),
        probes=ex.query_count,
        trust=trust(ex),
        seconds=ex.seconds,
    )


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _first_error(expected: Sequence[str], output: Sequence[str]) -> int:
    """The index of the first wrong output token; the output's length where none is wrong."""
    index = first_difference(expected, output)
    return len(output) if index is None else index


def _shortcut(s: Shortcut) -> ShortcutView:
    cells = _cells(s.share)
    return ShortcutView(
        kinds=tuple(s.kinds),
        meanings=tuple(kind_does(kind, bound, s.step) for kind, bound in s.bounds),
        bound=s.bound,
        text=shortcut_does(s),
        case=Case.of(s),
        rule=s.rule,
        step=s.step,
        hits=sum(c.hits for c in cells),
        total=sum(c.total for c in cells),
        cells=cells,
    )


def _cells(table: Iterable[ErrorCell]) -> tuple[Cell, ...]:
    return tuple(Cell(c.length, c.depth, c.errors.hits, c.errors.total) for c in table)


def fidelity_rows(found: Fidelity) -> tuple[FidelityRow, ...]:
    """One row a stratum, all of them together last."""
    return tuple(map(_stratum, (*found.strata, found.overall)))


def _stratum(s: Stratum) -> FidelityRow:
    columns = {name: Share.of(getattr(s, field)) for name, field in COLUMNS.items()}
    baselines = {name: Share.of(rate) for name, rate in s.baselines.items()}
    return FidelityRow(s.name, s.n, columns, baselines)


def _optional(rate: Rate | None) -> Share | None:
    return None if rate is None else Share.of(rate)


def _head(h: Head) -> HeadRow:
    controls = {k: float(v) for k, v in h.controls.items()}
    return HeadRow(h.name, h.role.value, h.score, h.effect, controls, h.recursion, head_note(h))


def _site(s: Site) -> SiteRow:
    return SiteRow(
        s.variable,
        tuple(map(location_text, s.patch)),
        s.accuracy,
        s.interval,
        s.control,
        s.pairs,
        s.accepted,
        s.single,
        site_note(s),
        s.dims,
    )


def shortest_apart(found: Report) -> bool:
    """Whether the shortest counterexample is none of the shortcuts' own."""
    shortest = found.counterexample
    own = [len(s.case.input) for s in found.shortcuts]
    return shortest is not None and (not own or len(shortest.input) < min(own))


def kind_text(s: ShortcutView) -> str:
    """`bounded-depth 3`: the first kind with its bound."""
    return s.kinds[0] + ("" if s.bound is None else f" {s.bound}")
