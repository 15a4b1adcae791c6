"""Rates in words: a percentage that never rounds something to nothing, counts, an interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from recinterp.stats import Rate


def percent_text(rate: Rate) -> str:
    """`93.8%`; `<0.1%` and `>99.9%` where rounding would say 0 or 100; `–` for 0 of 0."""
    if not rate.total:
        return "–"
    return f"{_rounded(100 * rate.value)}%"


def _rounded(value: float) -> str:
    if 0 < value < 0.05:
        return "<0.1"
    if 99.95 <= value < 100:
        return ">99.9"
    return f"{value:.1f}".removesuffix(".0")


def interval_text(rate: Rate) -> str:
    """`[93.1–94.4]`, the Wilson 95 % interval in percent; empty for 0 of 0."""
    if not rate.total:
        return ""
    low, high = (f"{100 * end:.1f}".removesuffix(".0") for end in rate.interval)
    return f"[{low}–{high}]"


def counts_text(rate: Rate) -> str:
    """`4,087/4,095`."""
    return f"{rate.hits:,}/{rate.total:,}"


def rate_text(rate: Rate) -> str:
    """`99.8% (4,087/4,095) [99.6–99.9]`."""
    if not rate.total:
        return "– (0/0)"
    return f"{percent_text(rate)} ({counts_text(rate)}) {interval_text(rate)}"


def range_text(values: Iterable[int]) -> str:
    """`0–3, 7`: whole numbers with runs shortened."""
    runs: list[list[int]] = []
    for value in sorted(set(values)):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{r[0]}" if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs)


def grouped_percent(rates: Mapping[int, Rate]) -> list[tuple[str, str]]:
    """(percentage, range of keys), neighbours with the same percentage together."""
    groups: list[tuple[str, list[int]]] = []
    for key in sorted(rates):
        text = percent_text(rates[key])
        if groups and groups[-1][0] == text:
            groups[-1][1].append(key)
        else:
            groups.append((text, [key]))
    return [(text, range_text(keys)) for text, keys in groups]
