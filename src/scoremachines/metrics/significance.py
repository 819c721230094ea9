"""A test of two networks' rates over several training seeds (theory §6.1).

Two tests for two questions. `rate_test` is about these trained networks, whose samples are the
trials. `seed_test` is about networks trained anew, so that the training seed is the trial; with
three seeds it can only find differences that are large beside their spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from scoremachines.errors import InputError

if TYPE_CHECKING:
    from scoremachines.theory.proportion import Proportion

__all__ = ["rate_test", "seed_test"]


def rate_test(better: Sequence[Proportion], worse: Sequence[Proportion]) -> float:
    """Return how surprising the lead of one set of rates would be if there were none.

    The exact one-sided Cochran–Mantel–Haenszel test **[known: Mantel & Haenszel 1959; exact: Gart
    1970]**. Each training seed is a stratum with its own 2×2 table; given the table's margins, the
    number of successes on the better side is hypergeometric if both rates are equal, and

        p = P( Σ_k S_k ≥ Σ_k s_k )

    is found from the distribution of the sum itself. With one seed it is Fisher's exact test. The
    seeds may have any rates of their own; that the lead differs from seed to seed is not taken
    into account, so p is about these networks and not of ones trained anew (`seed_test`).

    Args:
        better: successes among samples, one proportion for each training seed.
        worse: likewise, of the other kind of network, in the order of the same seeds.

    Returns:
        p in [0, 1]; small where `better` leads.

    Raises:
        InputError: no seeds, or not as many on both sides.
    """
    _check(better, worse)
    distribution, seen = np.ones(1), 0
    for one, other in zip(better, worse, strict=True):
        successes, n = one.successes + other.successes, one.n + other.n
        lowest, highest = max(0, successes - other.n), min(one.n, successes)
        counts = np.arange(lowest, highest + 1)
        shares = stats.hypergeom.pmf(counts, n, successes, one.n)
        distribution = np.convolve(distribution, shares)
        seen += one.successes - lowest
    return float(min(1.0, distribution[seen:].sum()))


def seed_test(better: Sequence[Proportion], worse: Sequence[Proportion]) -> float:
    """Return the p-value of a lead over networks trained anew: the seed is the unit.

    `t = mean(d) / √(var(d)/n)` with `d_j` the difference of rates at seed j of n (theory §6.1).

    Student's paired one-sided t-test of the rates **[known]**, with one degree of freedom less
    than there are seeds. It treats each rate as one number, however many samples stand behind it.
    For three seeds p < 0.01 needs a mean difference of four times its standard deviation.

    Args:
        better: one proportion for each training seed, at least one sample each.
        worse: likewise, of the other kind of network, in the order of the same seeds.

    Returns:
        p in [0, 1]; NaN with fewer than two seeds, or where the differences do not vary at all:
        their spread is then unknown.

    Raises:
        InputError: no seeds, not as many on both sides, or a rate of no samples.
    """
    _check(better, worse)
    if not all(each.n for each in (*better, *worse)):
        raise InputError("rates", "0 samples", "at least one sample for each seed")
    differences = np.array([a.rate - b.rate for a, b in zip(better, worse, strict=True)])
    if len(differences) < 2 or np.ptp(differences) < 1e-12:
        return float("nan")
    return float(stats.ttest_1samp(differences, 0, alternative="greater").pvalue)


def _check(better: Sequence[Proportion], worse: Sequence[Proportion]) -> None:
    if not better or len(better) != len(worse):
        given = f"{len(better)} and {len(worse)} training seeds"
        raise InputError("rates", given, "as many training seeds on both sides, at least one")
