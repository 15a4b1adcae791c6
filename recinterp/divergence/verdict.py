"""The verdict on a frozen machine: exact, shortcut, sporadic or undetermined, and its shortcuts.

exact          model and truth agree everywhere that was looked
shortcut       they do not, and of the departures that the machine predicts at least 90 % are the
               model's, token for token; it predicts at least 90 % of the model's, or all but a
               sporadic rest, which is listed; and both hold of the inputs held out of its making
sporadic       they differ on under 0.1 % of inputs, most of them unpredicted: all are listed
undetermined   anything else, with the region that does hold; a model that is right nowhere, unless
               a readable edit of the truth says how
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from recinterp.divergence.groups import DivergenceGroup, Runs, group_divergences, run_both
from recinterp.divergence.kinds import TEXT, Facts, Measures, collect_facts, fitting_kinds, sentence
from recinterp.divergence.results import Diff, Divergence, ShareRow, Shortcut
from recinterp.splits import held_out
from recinterp.synthesis.edits.beam import READABLE

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.tasks import Task

Tokens = list[str]
PREDICTED = 0.9
LEAST = 3  # departures a rule has to predict, or it is no rule
RARE = 0.001
VARIED = 8  # true outputs of one length, or one output for all of them says little
AGREES = 2 / 3  # of the tokens written or due: what writes so many as the truth has learned of it


@dataclass(frozen=True)
class ComparedOutputs:
    """Model, truth and machine on the same inputs: all of a domain, or a sample."""

    task: Task
    machine: Machine
    inputs: Sequence[Tokens]
    outputs: Sequence[Tokens]
    expected: Sequence[Tokens]
    claimed: Sequence[Tokens | None]
    exhaustive: bool

    @cached_property
    def measures(self) -> Measures:
        """Depth and length of every input."""
        return Measures.of(self.task, self.inputs)

    @cached_property
    def departures(self) -> list[int]:
        """Rows on which model and truth differ."""
        return [
            i for i, (y, z) in enumerate(zip(self.outputs, self.expected, strict=True)) if y != z
        ]

    @cached_property
    def predicted(self) -> list[int]:
        """Rows on which the machine claims that they differ."""
        pairs = zip(self.claimed, self.expected, strict=True)
        return [i for i, (m, z) in enumerate(pairs) if m is not None and m != z]

    def hits(self, rows: Sequence[int]) -> int:
        """How many rows the machine tells exactly."""
        return sum(self.claimed[i] == self.outputs[i] for i in rows)

    def confirms(self, i: int) -> bool:
        """Whether the model departs on a row as the machine says, or where it says only that."""
        claim, output = self.claimed[i], self.outputs[i]
        return claim == output if claim is not None else output != self.expected[i]

    def divergence(self, i: int) -> Divergence:
        """One row as a result."""
        claim = self.claimed[i]
        return Divergence(
            tuple(self.inputs[i]),
            tuple(self.expected[i]),
            tuple(self.outputs[i]),
            None if claim is None else tuple(claim),
        )


def judge_divergence(census: ComparedOutputs, truth: Machine, mechanism: str, beyond: str) -> Diff:
    """Verdict and shortcuts. beyond: a sentence on where the statement ends, for the headline."""
    departures, predicted = census.departures, census.predicted
    degenerate = _ignores_input(census)
    lost = degenerate or _follows_nowhere(census, truth)
    name = "undetermined" if lost else _verdict(census, departures, predicted)
    found = [_degenerate(census)] if degenerate else _shortcuts(census, truth)
    wrong = [i for i in range(len(census.inputs)) if _unexplained(census, i)]
    shown = min(departures, key=lambda i: len(census.inputs[i]), default=None)
    region = "" if name in ("exact", "shortcut") else _region(census)
    return Diff(
        name,
        mechanism,
        _headline(name, census, found, mechanism, region, beyond),
        tuple(found),
        tuple(census.divergence(i) for i in wrong),
        region,
        len(departures),
        len(census.inputs),
        census.exhaustive,
        None if shown is None else census.divergence(shown),
    )


def _verdict(census: ComparedOutputs, departures: list[int], predicted: list[int]) -> str:
    if not departures:
        return "exact"
    apart = [held_out(x) for x in census.inputs]
    told = [i for i in departures if apart[i]], [i for i in predicted if apart[i]]
    if census.hits(departures) >= LEAST and (
        _foretold(census, departures, predicted, len(census.inputs))
        and _foretold(census, *told, sum(apart), spared=1)
    ):
        return "shortcut"
    silent = sum(m is None for m in census.claimed)
    return "sporadic" if len(departures) + silent < RARE * len(census.inputs) else "undetermined"


def _foretold(
    census: ComparedOutputs,
    departures: list[int],
    predicted: list[int],
    among: int,
    spared: int = 0,
) -> bool:
    """Whether what the machine says of departures holds, and leaves few of them out.

    spared: so many may be amiss however few they are.
    """
    hits = census.hits(departures)
    amiss, missed = len(predicted) - hits, len(departures) - hits
    precise = amiss <= max((1 - PREDICTED) * len(predicted), spared)
    few = max((1 - PREDICTED) * len(departures), spared)
    return precise and (missed <= few or missed < RARE * among)


def _unexplained(census: ComparedOutputs, i: int) -> bool:
    """A departure that the machine does not tell, or a claim that the model does not keep."""
    claim, model = census.claimed[i], census.outputs[i]
    return claim != model if claim is not None else model != census.expected[i]


def _ignores_input(census: ComparedOutputs) -> bool:
    """Whether inputs of a length all get one output, where the truth tells them apart.

    Not where two inputs of a length get two outputs that are right: there it heeds them.
    """
    given, true, right = (defaultdict[int, set[tuple[str, ...]]](set) for _ in range(3))
    for x, y, z in zip(census.inputs, census.outputs, census.expected, strict=True):
        given[len(x)].add(tuple(y))
        true[len(x)].add(tuple(z))
        if y == z:
            right[len(x)].add(tuple(z))
    told_apart = [n for n, outputs in true.items() if len(outputs) >= VARIED]
    heeds = any(len(outputs) > 1 for outputs in right.values())
    return bool(told_apart) and not heeds and all(len(given[n]) == 1 for n in told_apart)


def _follows_nowhere(census: ComparedOutputs, truth: Machine) -> bool:
    """Whether hardly any output is right, nor most tokens, and no readable edit says why.

    A network as it was initialised is a simple function too, and no shortcut of this one.
    """
    rows = list(zip(census.outputs, census.expected, strict=True))
    right = {tuple(z) for y, z in rows if y == z}
    enough = min(VARIED, len({tuple(z) for z in census.expected}) / 2)
    if len(right) >= enough or census.machine.size <= truth.size + READABLE:
        return False
    same = sum(a == b for y, z in rows for a, b in zip(y, z, strict=False))
    return same < AGREES * sum(max(len(y), len(z)) for y, z in rows)


def _degenerate(census: ComparedOutputs) -> Shortcut:
    i = min(census.departures, key=lambda i: len(census.inputs[i]))
    x, z, y = census.inputs[i], census.expected[i], census.outputs[i]
    share = _share(
        census, np.array([a != b for a, b in zip(census.outputs, census.expected, strict=True)])
    )
    return Shortcut(
        ("degenerate",),
        None,
        (("degenerate", None),),
        x,
        z,
        y,
        share,
        "",
        "",
        TEXT["degenerate"](None),
    )


def _shortcuts(census: ComparedOutputs, truth: Machine) -> list[Shortcut]:
    """One shortcut per fault that the model confirms, shortest first.

    A fault is a group of departures, or several that one kind describes together: a machine may
    take two rules to say what is one fault (the last step within a bound, and those beyond it).
    """
    runs = run_both(census.machine, truth, census.inputs)
    faults: list[_Fault] = []
    for group in group_divergences(runs):
        fault = _fault(census, truth, runs, group)
        at = next((i for i, f in enumerate(faults) if _one(fault, f, runs)), len(faults))
        faults[at : at + 1] = [_joined(fault, f, runs) for f in faults[at : at + 1]] or [fault]
    found = [s for f in faults if (s := _shortcut(census, truth, runs, f)) is not None]
    return sorted(found, key=lambda s: len(s.counterexample))


@dataclass(frozen=True)
class _Fault:
    """Departures that are told as one: where, by which rules, and every kind that fits."""

    group: DivergenceGroup
    known: Facts
    kinds: tuple[tuple[str, int | None], ...]


def _fault(census: ComparedOutputs, truth: Machine, runs: Runs, group: DivergenceGroup) -> _Fault:
    step = truth.rules[group.step]
    owners = (
        {k for k, r in enumerate(truth.rules) if r.origin == step.origin}
        if step.origin
        else {group.step}
    )
    known = collect_facts(census.measures, runs.truth, runs.learned, owners)
    return _Fault(group, known, tuple(fitting_kinds(group.rows, runs.astray, known)))


def _one(fault: _Fault, other: _Fault, runs: Runs) -> bool:
    """Whether a kind with a bound that fits both describes them together."""
    shared = {k for k, bound in fault.kinds if bound is not None} & {k for k, _ in other.kinds}
    together = fitting_kinds(fault.group.rows | other.group.rows, runs.astray, other.known)
    return bool(shared & {name for name, _ in together})


def _joined(fault: _Fault, first: _Fault, runs: Runs) -> _Fault:
    """Two faults as one, under the rule and step of the first, which is the larger."""
    rows = first.group.rows | fault.group.rows
    found = tuple(fitting_kinds(rows, runs.astray, first.known))
    return _Fault(replace(first.group, rows=rows), first.known, found)


def _shortcut(
    census: ComparedOutputs, truth: Machine, runs: Runs, fault: _Fault
) -> Shortcut | None:
    group, step = fault.group, truth.rules[fault.group.step]
    confirmed = [i for i in np.flatnonzero(group.rows).tolist() if census.confirms(i)]
    if not confirmed:
        return None
    fitting = fault.kinds or (("other", None),)
    shown = min(confirmed, key=lambda i: len(census.inputs[i]))
    return Shortcut(
        tuple(name for name, _ in fitting),
        fitting[0][1],
        fitting,
        list(census.inputs[shown]),
        list(census.expected[shown]),
        list(census.outputs[shown]),
        _share(census, group.rows),
        census.machine.rules[group.rule].name,
        step.origin or step.name,
        sentence(fitting),
    )


def _share(census: ComparedOutputs, rows: np.ndarray) -> tuple[ShareRow, ...]:
    """How many of each cell's inputs are among some rows."""
    cells = np.stack([census.measures.length, census.measures.depth], axis=1)
    found, cell = np.unique(cells, axis=0, return_inverse=True)
    total, hit = np.bincount(cell.ravel()), np.bincount(cell.ravel(), weights=rows)
    return tuple(
        ShareRow(n, d, int(k), of)
        for (n, d), k, of in zip(found.tolist(), hit, total.tolist(), strict=True)
    )


def _region(census: ComparedOutputs) -> str:
    """Where the machine makes claims, and how many of them the model keeps."""
    from recinterp.machine.formats.writer import guard_text
    from recinterp.synthesis.abstention import ENTRY

    claims = [i for i, m in enumerate(census.claimed) if m is not None]
    kept = census.hits(claims)
    where = [guard_text(r.guard) for r in census.machine.rules_of(ENTRY) if r.lost is None]
    share = f"{len(claims):,} of {len(census.inputs):,} inputs"
    held = f"it holds on {kept:,} of them" if claims else "nothing is claimed"
    return (
        f"The machine speaks for {share}"
        + (f" ({'; or '.join(where)})" if where else "")
        + f"; {held}."
    )


def _headline(
    name: str,
    census: ComparedOutputs,
    found: Sequence[Shortcut],
    mechanism: str,
    region: str,
    beyond: str,
) -> str:
    total, wrong = len(census.inputs), len(census.departures)
    of = f"{wrong:,} of {total:,} inputs"
    left = wrong - census.hits(census.departures)
    rest = f"; {left:,} of them follow no rule and are listed" if left else ""
    rules = "; it ".join(list(dict.fromkeys(s.text for s in found))[:2])
    said = {
        "exact": f"Right on all {total:,} inputs"
        + ("" if census.exhaustive else " that were drawn"),
        "shortcut": f"Not the recursion: it {rules} ({of} come out wrong{rest})",
        "sporadic": f"Right but for {of}"
        + (
            f": it {rules}{rest}"
            if found
            else ", which follow no rule that was found, and are listed"
        ),
        "undetermined": (f"It {rules}" if found else "No machine explains this model")
        + f" ({of} come out wrong, {left:,} in a form that is not told). {region}".rstrip(". "),
    }[name]
    how = mechanism[:1].upper() + mechanism[1:]
    return f"{said}. {how} {beyond}".strip()
