"""Proportions with their intervals (theory §6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from scoremachines.errors import MOST, InputError, real, whole

__all__ = ["Proportion"]


@dataclass(frozen=True)
class Proportion:
    """How many of n trials succeeded; `str` gives rate, 95 % interval and counts.

    Its Wilson interval, with z the normal quantile (theory §6.1):

        p = successes/n,    ( p + z²/2n ± z √(p(1−p)/n + z²/4n²) ) / (1 + z²/n)

    Attributes:
        successes: number of successes.
        n: number of trials.

    Raises:
        InputError: if there are fewer than 0 or more than n successes.
    """

    successes: int
    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", whole("n", self.n, 0, MOST))
        object.__setattr__(self, "successes", whole("successes", self.successes, 0, self.n))

    @property
    def rate(self) -> float:
        """Fraction of successes, from 0 to 1; NaN without trials."""
        return self.successes / self.n if self.n else float("nan")

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        r"""Return the Wilson interval of the underlying probability.

        With z the normal quantile of (1 + level)/2 and p = successes/n, its ends are

            (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)

        Args:
            level: confidence level, between 0 and 1.

        Returns:
            Lower and upper end, from 0 to 1; (0, 1) without trials.

        Raises:
            InputError: if the level is not between 0 and 1.
        """
        level = real("level", level, 0, 1)
        if level in (0, 1):
            raise InputError("level", level, "a number between 0 and 1, both excluded")
        if not self.n:
            return 0.0, 1.0
        z, p, n = NormalDist().inv_cdf((1 + level) / 2), self.rate, self.n
        middle = p + z**2 / (2 * n)
        half = z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        low, high = ((middle + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
        return max(0.0, min(low, p)), min(1.0, max(high, p))

    def __str__(self) -> str:
        low, high = self.interval()
        rate = f"{100 * self.rate:.1f} % " if self.n else ""
        return f"{rate}[{100 * low:.1f}, {100 * high:.1f}] ({self.successes}/{self.n})"
