"""An explanation as plain numbers and sentences: what the text, the page and the JSON all show.

Whatever a renderer prints is a field here, so the three can not tell different stories.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from recinterp.rate import Rate
from recinterp.view.compare import compare
from recinterp.view.graph import Graph
from recinterp.view.phrases import KINDS, domain_text, trust

if TYPE_CHECKING:
    from recinterp.diff import Diff, Shortcut
    from recinterp.explain import Explanation
    from recinterp.judge import Fidelity, Stratum
    from recinterp.probe import Head
    from recinterp.reconstruct.sites import Site

SHOWN_DIVERGENCES = 20


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
    """One input on which model and truth part; `first` is the first place where they do."""

    input: tuple[str, ...]
    expected: tuple[str, ...]
    output: tuple[str, ...]
    first: int

    @classmethod
    def of(cls, tokens: Sequence[str], expected: Sequence[str], output: Sequence[str]) -> Case:
        """From three token sequences."""
        return cls(
            tuple(tokens), tuple(expected), tuple(output), first_difference(expected, output)
        )


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


@dataclass(frozen=True)
class Report:
    """Everything a reader is shown."""

    model: str
    task: str
    order: str
    domain: str
    verdict: str
    headline: str
    mechanism: str
    how: str
    divergent: int
    inputs: int
    exhaustive: bool
    region: str
    shortcuts: tuple[ShortcutView, ...]
    unexplained: tuple[Case, ...]
    unexplained_total: int
    learned: str
    learned_size: int
    learned_modes: int
    truth: str
    drawn: tuple[Graph, Graph]
    fidelity: tuple[FidelityRow, ...]
    interventional: Share | None
    heads: tuple[HeadRow, ...]
    sites: tuple[SiteRow, ...]
    layers: tuple[str, ...]
    runners_up: tuple[str, ...]
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


def report(ex: Explanation) -> Report:
    """The report of an explanation."""
    diff = ex.diff
    return Report(
        model=ex.model_name,
        task=ex.task.name,
        order=ex.task.order,
        domain=domain_text(ex.domain),
        verdict=diff.verdict,
        headline=diff.headline,
        mechanism=diff.mechanism,
        how=ex.mechanism.sentence,
        divergent=diff.divergent,
        inputs=diff.total,
        exhaustive=diff.exhaustive,
        region=diff.region,
        shortcuts=shortcuts_of(diff),
        unexplained=unexplained_of(diff),
        unexplained_total=len(diff.unexplained),
        learned=str(ex.machine),
        learned_size=ex.machine.size,
        learned_modes=len(ex.machine.modes),
        truth=str(ex.truth),
        drawn=compare(ex.machine, ex.truth, {s.rule for s in diff.shortcuts}),
        fidelity=fidelity_rows(ex.fidelity),
        interventional=_optional(ex.fidelity.interventional),
        heads=tuple(map(_head, ex.heads)),
        sites=tuple(map(_site, ex.sites)),
        layers=tuple(str(finding.text) for finding in ex.layers),
        runners_up=tuple(map(str, ex.runners_up)),
        trust=trust(ex),
        seconds=ex.seconds,
    )


def first_difference(a: Sequence[str], b: Sequence[str]) -> int:
    """The first index at which two sequences differ; the shorter's length if it is a prefix."""
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _shortcut(s: Shortcut) -> ShortcutView:
    cells = tuple(Cell(c.length, c.depth, c.hit, c.total) for c in s.share)
    return ShortcutView(
        kinds=tuple(s.kinds),
        meanings=tuple(KINDS.get(kind, "") for kind in s.kinds),
        bound=s.bound,
        text=s.text,
        case=Case.of(s.counterexample, s.expected, s.model_output),
        rule=s.rule,
        step=s.step,
        hits=sum(c.hits for c in cells),
        total=sum(c.total for c in cells),
        cells=cells,
    )


def shortcuts_of(diff: Diff) -> tuple[ShortcutView, ...]:
    """The shortcuts as shown."""
    return tuple(map(_shortcut, diff.shortcuts))


def unexplained_of(diff: Diff) -> tuple[Case, ...]:
    """The first of the departures that no rule explains."""
    return tuple(
        Case.of(d.input, d.expected, d.model_output) for d in diff.unexplained[:SHOWN_DIVERGENCES]
    )


def fidelity_rows(found: Fidelity) -> tuple[FidelityRow, ...]:
    """One row a stratum."""
    return tuple(map(_stratum, found.strata))


def _stratum(s: Stratum) -> FidelityRow:
    columns = {name: Share.of(getattr(s, field)) for name, field in COLUMNS.items()}
    baselines = {name: Share.of(rate) for name, rate in s.baselines.items()}
    return FidelityRow(s.name, s.n, columns, baselines)


def _optional(rate: Rate | None) -> Share | None:
    return None if rate is None else Share.of(rate)


def _head(h: Head) -> HeadRow:
    controls = {k: float(v) for k, v in h.controls.items()}
    return HeadRow(h.name, h.role, h.score, h.effect, controls, h.recursion, h.note)


def _site(s: Site) -> SiteRow:
    return SiteRow(
        s.variable,
        tuple(s.where),
        s.accuracy,
        s.interval,
        s.control,
        s.pairs,
        s.accepted,
        s.single,
        s.note,
    )


def merged_cells(shortcuts: Iterable[ShortcutView]) -> tuple[Cell, ...]:
    """All shortcuts' cells on one grid."""
    hits: dict[tuple[int, int], int] = {}
    totals: dict[tuple[int, int], int] = {}
    for s in shortcuts:
        for c in s.cells:
            at = (c.length, c.depth)
            hits[at] = hits.get(at, 0) + c.hits
            totals[at] = max(totals.get(at, 0), c.total)
    return tuple(Cell(*at, hits[at], totals[at]) for at in sorted(totals))
