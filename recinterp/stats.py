"""A rate with its counts: hits of total, and the Wilson 95 % interval."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan, sqrt


@dataclass(frozen=True)
class Rate:
    """A rate that knows its counts.

    Attributes:
        hits: How often it was the case.
        total: How often it was counted.
    """

    hits: int
    total: int

    @classmethod
    def of(cls, flags: Iterable[bool]) -> Rate:
        """The rate of the true ones among some flags.

        Args:
            flags: One flag for each case that is counted.
        """
        counted = [bool(flag) for flag in flags]
        return cls(sum(counted), len(counted))

    @property
    def value(self) -> float:
        """hits / total, in [0, 1]; NaN for 0 of 0."""
        return self.hits / self.total if self.total else nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the rate; (0, 1) for 0 of 0.

        Reference:
            Wilson, Probable inference, the law of succession, and statistical inference, JASA 22
            (1927).
        """
        return self.wilson_interval(1.959963984540054)  # leaves 2.5 % on either side

    def wilson_interval(self, z: float) -> tuple[float, float]:
        """Wilson's interval of the rate for a quantile z of the normal distribution."""
        if not self.total:
            return (0.0, 1.0)
        n, p, z2 = self.total, self.value, z * z
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return (max(0.0, middle - half), min(1.0, middle + half))

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.hits}/{self.total})" if self.total else "– (0/0)"
