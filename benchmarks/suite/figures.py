"""The figures that summarise a table of scored models: label, bar to reach, and the count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, median
from typing import Any

Row = dict[str, Any]
Rows = Sequence[Row]

MIN_FAILURE_RATE = 0.01  # of a model that counts as having failures
MIN_TRIALS = 10  # trials of a rate, or the rate is left out
ACCEPTED_ACCURACY = 0.85  # interchange accuracy of a localised variable
HOLDS = 0.99  # share of longer inputs on which a machine from shorter ones has to match


@dataclass(frozen=True)
class Groups:
    """The rows of one table, by what the figures are about.

    Attributes:
        rows: one scored model each, as in results.json; those with `error` are left out of all.
        zoo_group: the `group` of the models that stand for trained ones.
    """

    rows: Rows
    zoo_group: str = "zoo"

    @cached_property
    def explained(self) -> list[Row]:
        """All models that could be explained."""
        return [r for r in self.rows if "error" not in r]

    @cached_property
    def zoo(self) -> list[Row]:
        """Models that were trained on a task."""
        return [r for r in self.explained if r["group"] == self.zoo_group]

    @cached_property
    def learned(self) -> list[Row]:
        """Models that compute something: trained, with a planted fault, compiled."""
        groups = (self.zoo_group, "planted", "compiled")
        return [r for r in self.explained if r["group"] in groups]

    @cached_property
    def failing(self) -> list[Row]:
        """Those of `learned` that get at least 1 % of the counted inputs wrong."""
        return [r for r in self.learned if is_failing(r)]

    @cached_property
    def diagnosed(self) -> list[Row]:
        """Those of `learned` that fail on some input and are not undetermined."""
        return [r for r in self.learned if is_determined(r) and r["failures"]]

    @cached_property
    def undetermined(self) -> list[Row]:
        """Those of `learned` that are undetermined."""
        return [r for r in self.learned if not is_determined(r)]

    @cached_property
    def capped(self) -> list[Row]:
        """Those of `learned` that were trained up to some depth and queried beyond it."""
        return [r for r in self.learned if r["beyond_cap"][0]]

    @cached_property
    def faulty(self) -> list[Row]:
        """Models with a known fault that are exactly the machine they were to learn."""
        return [r for r in self.explained if r["planted"] and r["missed"] == 0]

    @cached_property
    def extended(self) -> list[Row]:
        """Those of `learned` with a machine from shorter inputs, compared on longer ones."""
        return [r for r in self.learned if r["longer"]]

    @cached_property
    def overfitted(self) -> list[Row]:
        """Those of `extended` whose machine does not hold on the longer inputs."""
        return [r for r in self.extended if r["longer"][0] < HOLDS * r["longer"][1]]

    @cached_property
    def variables(self) -> list[list[Row]]:
        """For each variable of each of `learned`, the sites at which it was looked for."""
        found: dict[tuple[str, str], list[Row]] = {}
        for r in self.learned:
            for site in r["sites"]:
                found.setdefault((r["name"], site["variable"]), []).append(site)
        return list(found.values())

    @cached_property
    def separable(self) -> list[list[Row]]:
        """Those of `variables` with enough pairs whose source writes a third token."""
        return [v for v in self.variables if any(s["third_token"][1] >= MIN_TRIALS for s in v)]

    @cached_property
    def accepted_sites(self) -> list[Row]:
        """All accepted sites of `learned`."""
        return [s for r in self.learned for s in r["sites"] if s["accepted"]]


def is_determined(r: Row) -> bool:
    """Whether a verdict other than `undetermined` was reached."""
    return bool(r["verdict"] != "undetermined")


def is_failing(r: Row) -> bool:
    """Whether a model gets at least 1 % of the counted inputs wrong."""
    return bool(r["failures"] >= MIN_FAILURE_RATE * r["inputs"])


def has_planted_kind(r: Row) -> bool:
    """Whether the fault that was put in is among the kinds, with its bound if it has one."""
    kind, bound = r["planted"]
    return any(k == kind and bound in (None, b) for k, b in r["kinds"])


def mostly_abstains(r: Row) -> bool:
    """Whether a machine from shorter inputs abstains on more than half of the longer ones."""
    _, total, claims = r["longer"]
    return bool(claims < 0.5 * total)


def carries_variable_only(site: Row) -> bool:
    """Whether a site is accepted and carries the variable if the source writes a third token."""
    hits, total = site["third_token"]
    return bool(site["accepted"] and total >= MIN_TRIALS and hits >= ACCEPTED_ACCURACY * total)


def share(hits: int, total: int) -> str:
    """A count of a count, and its share."""
    return f"{hits} of {total} ({hits / total:.0%})" if total else "–"


def share_of(rows: Sequence[Any], holds: Callable[[Any], bool]) -> str:
    """How many of some rows have a property."""
    return share(sum(map(holds, rows)), len(rows))


def mean_rate(rows: Rows, hits: str | Callable[[Row], int], total: str) -> str:
    """The mean of hits / total, model by model, and of how many models."""
    counts = [(hits(r) if callable(hits) else r[hits], r[total]) for r in rows]
    found = [n / of for n, of in counts if of]
    return f"{mean(found):.1%} over {len(found)} models" if found else "–"


def median_rate(rows: Rows, field: str, *, min_trials: int = 1, digits: int = 3) -> str:
    """The median of a rate over the models that have it."""
    rates = [r[field] for r in rows if r[field] and r[field][1] >= min_trials]
    found = [hits / total for hits, total in rates]
    return f"{median(found):.{digits}f} over {len(found)} models" if found else "–"


def cap_recall(g: Groups) -> str:
    """Failures among the inputs deeper than the trained depth, of all failures."""
    return mean_rate(g.capped, lambda r: r["beyond_cap"][1], "failures")


def cap_precision(g: Groups) -> str:
    """Failures among the inputs deeper than the trained depth, of all such inputs."""
    found = [hits / total for total, hits in (r["beyond_cap"] for r in g.capped)]
    return f"{mean(found):.1%} over {len(found)} models" if found else "–"


def called_shortcut(rows: Rows) -> list[Row]:
    """Models with that verdict."""
    return [r for r in rows if r["verdict"] == "shortcut"]


def negatives(g: Groups) -> list[Row]:
    """Models that computed nothing to be explained."""
    return [r for r in g.explained if r["group"] in ("shuffled", "untrained")]


def holds_or_equivalent_does(r: Row) -> bool:
    """Whether a machine from shorter inputs holds on longer ones, or one equivalent to it does."""
    return bool(r["best_equivalent"] >= HOLDS * r["longer"][1])


def fails_only_beyond(g: Groups) -> str:
    """Of the overfitted, those of which no shorter input fails; a dash where it was not counted."""
    if not all("shorter_failures" in r for r in g.explained):
        return "–"
    return share_of(g.overfitted, lambda r: r["shorter_failures"] == 0)


def forced_prefix_claims(g: Groups) -> str:
    """Predictions after forced prefixes that are right: with the rules, and without them."""
    rules = [rule for r in g.learned for rule in r["forced_prefix_rules"]]
    with_rules, without, total = (sum(rule[i] for rule in rules) for i in range(3))
    return f"{share(with_rules, total)}; {share(without, total)}"


def machine_sizes(g: Groups) -> str:
    """Sizes of the machines of shortcuts, median and largest, beside the planted ones' median."""
    found, known = [r["size"] for r in called_shortcut(g.zoo)], [r["size"] for r in g.faulty]
    if not found or not known:
        return "–"
    return f"{median(found):,.0f}; {max(found):,}; {median(known):,.0f}"


def seconds(g: Groups) -> str:
    """The time of one explanation, median and longest."""
    found = [r["seconds"] for r in g.explained]
    return f"{median(found):.0f}; {max(found):.0f}"


# Label, bar, figure.
FIGURES: tuple[tuple[str, str, Callable[[Groups], str]], ...] = (
    ("trained models: a verdict other than `undetermined`", "80 %",
     lambda g: share_of(g.zoo, is_determined)),
    ("those with 1 % failures or more: a verdict other than `undetermined`", "60 %",
     lambda g: share_of([r for r in g.zoo if is_failing(r)], is_determined)),
    ("trained, planted and compiled models: a verdict other than `undetermined`", "80 %",
     lambda g: share_of(g.learned, is_determined)),
    ("those of them with 1 % failures or more", "60 %",
     lambda g: share_of(g.failing, is_determined)),
    ("models with failures and such a verdict: exact recall", "95 %",
     lambda g: mean_rate(g.diagnosed, "predicted_exactly", "failures")),
    ("models with failures and such a verdict: exact precision", "95 %",
     lambda g: mean_rate(g.diagnosed, "claims_exact", "claims")),
    ("models called `shortcut`: exact recall", "95 %",
     lambda g: mean_rate(called_shortcut(g.diagnosed), "predicted_exactly", "failures")),
    ("baseline, every input beyond the trained depth fails: recall", "", cap_recall),
    ("baseline, every input beyond the trained depth fails: precision", "", cap_precision),
    ("planted and compiled faults: models that are exactly their machine", "",
     lambda g: share_of([r for r in g.explained if r["planted"]], lambda r: r["missed"] == 0)),
    ("those of them with the planted kind among the kinds, and its bound", "95 %",
     lambda g: share_of(g.faulty, has_planted_kind)),
    ("models without any failure called `shortcut`", "0",
     lambda g: share_of([r for r in g.explained if r["divergent"][0] == 0],
                        lambda r: r["verdict"] == "shortcut")),
    ("shuffled and untrained models called `exact` or `shortcut`", "0",
     lambda g: share_of(negatives(g), lambda r: r["verdict"] in ("exact", "shortcut"))),
    ("machines from shorter inputs that match on 99 % of longer ones", "90 %",
     lambda g: share(len(g.extended) - len(g.overfitted), len(g.extended))),
    ("those, or machines that are equivalent to them on the shorter inputs", "90 %",
     lambda g: share_of(g.extended, holds_or_equivalent_does)),
    ("of the other machines, those that abstain on more than half of the longer inputs", "",
     lambda g: share_of(g.overfitted, mostly_abstains)),
    ("of the other machines, those of models that fail on no shorter input", "", fails_only_beyond),
    ("variables with a site of .85 interchange accuracy or more", "80 %",
     lambda g: share_of(g.variables, lambda v: any(s["accepted"] for s in v))),
    ("those with .85 also where the source writes a third token", "80 %",
     lambda g: share_of(g.separable, lambda v: any(map(carries_variable_only, v)))),
    ("accepted sites whose random control is .2 at most", "all",
     lambda g: share_of(g.accepted_sites, lambda s: s["control"] <= 0.2)),
    ("interventional match, median over models", ".85",
     lambda g: median_rate(g.learned, "interventional")),
    ("interventional match where a carried-state machine predicts a different token, 10 trials or "
     "more, median over models", ".85",
     lambda g: median_rate(g.learned, "carried_state_contrast", min_trials=MIN_TRIALS)),
    ("unpredicted changes, median over models", "",
     lambda g: median_rate(g.learned, "unpredicted_changes", digits=2)),
    ("predictions after a forced output prefix that are right: with forced-prefix rules; without",
     "", forced_prefix_claims),
    ("models with failures and a verdict other than `undetermined`: flag recall", "95 %",
     lambda g: mean_rate(g.diagnosed, "flagged_right", "failures")),
    ("models with failures and a verdict other than `undetermined`: flag precision", "90 %",
     lambda g: mean_rate(g.diagnosed, "flagged_right", "flagged")),
    ("undetermined models: flag recall", "",
     lambda g: mean_rate(g.undetermined, "flagged_right", "failures")),
    ("undetermined models: flag precision", "",
     lambda g: mean_rate(g.undetermined, "flagged_right", "flagged")),
    ("size of the machine of a `shortcut`, median; largest; of a planted fault, median", "",
     machine_sizes),
    ("seconds for one explanation, with other processes running, median; longest", "60; 120",
     seconds),
)  # fmt: skip


def summarise(*tables: Groups) -> Iterator[tuple[str, ...]]:
    """One line for each figure: its label, its bar, and the figure of each table."""
    for label, bar, figure in FIGURES:
        yield label, bar, *(figure(groups) for groups in tables)


def risk_coverage(rows: Iterable[Row]) -> list[tuple[float, float]]:
    """(coverage, risk) as models are accepted by what their explanations report of themselves.

    coverage: the share of models accepted, those with the highest reported match first; risk: the
    mean share of their inputs on which the machine does not match the model.
    """
    explained = sorted((r for r in rows if "error" not in r), key=lambda r: -r["confidence"])
    missed = [1 - r["match"] / r["inputs"] for r in explained]
    return [((i + 1) / len(missed), mean(missed[: i + 1])) for i in range(len(missed))]
