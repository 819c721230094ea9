"""Tests of order, against Fisher's test, random permutations and the t-test's own formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scoremachines.errors import InputError
from scoremachines.metrics.significance import rate_test, seed_test
from scoremachines.theory.proportion import Proportion

CNN = [Proportion(11, 100), Proportion(14, 100), Proportion(8, 90)]
TOP1 = [Proportion(21, 100), Proportion(30, 100), Proportion(15, 90)]


@given(st.integers(0, 40), st.integers(0, 40), st.data())
def test_one_seed_is_fishers_exact_test(n: int, m: int, data: st.DataObject) -> None:
    better = Proportion(data.draw(st.integers(0, n)), n)
    worse = Proportion(data.draw(st.integers(0, m)), m)
    table = [
        [better.successes, better.n - better.successes],
        [worse.successes, worse.n - worse.successes],
    ]
    known = stats.fisher_exact(table, alternative="greater").pvalue
    assert rate_test([better], [worse]) == pytest.approx(known, rel=1e-9)


def test_several_seeds_against_random_permutations() -> None:
    """Under no difference, any samples of a seed may be called the better ones."""
    draw, draws = np.random.default_rng(0), 20_000
    better = [Proportion(5, 12), Proportion(9, 15), Proportion(4, 10)]
    worse = [Proportion(3, 11), Proportion(6, 14), Proportion(3, 9)]
    sums = np.zeros(draws, dtype=int)
    for one, other in zip(better, worse, strict=True):
        successes = one.successes + other.successes
        failures = one.n + other.n - successes
        sums += draw.hypergeometric(successes, failures, one.n, size=draws)
    known = (sums >= sum(each.successes for each in better)).mean()
    found = rate_test(better, worse)
    assert found == pytest.approx(known, abs=4 * math.sqrt(known * (1 - known) / draws))


def test_strata_matter_where_seeds_differ() -> None:
    """Simpson: within each seed the rates are equal, in the pooled table they are not."""
    better = [Proportion(80, 100), Proportion(2, 10)]
    worse = [Proportion(8, 10), Proportion(20, 100)]
    pooled = stats.fisher_exact([[82, 28], [28, 82]], alternative="greater").pvalue
    assert pooled < 1e-9
    assert rate_test(better, worse) > 0.3


def test_the_order_and_the_number_of_seeds_count_as_they_should() -> None:
    assert rate_test(TOP1, CNN) < 0.01
    assert rate_test(CNN, TOP1) > 0.99
    assert rate_test(TOP1[::-1], CNN[::-1]) == pytest.approx(rate_test(TOP1, CNN), rel=1e-9)
    assert rate_test(TOP1, CNN) < rate_test(TOP1[:1], CNN[:1])
    assert rate_test(CNN, CNN) > 0.5
    assert rate_test([Proportion(0, 5)], [Proportion(0, 6)]) == 1.0
    assert rate_test([Proportion(0, 0)], [Proportion(3, 6)]) == 1.0


def test_false_alarms_are_as_rare_as_p() -> None:
    draw = np.random.default_rng(0)
    alarms = 0
    for _ in range(500):
        rates = draw.uniform(0.1, 0.6, size=3)
        sides = [[Proportion(int(draw.binomial(40, p)), 40) for p in rates] for _ in range(2)]
        alarms += rate_test(*sides) < 0.05
    assert alarms <= 25 + 3 * math.sqrt(500 * 0.05 * 0.95)


def test_the_seed_as_unit_is_the_paired_t_test() -> None:
    rates = [[each.rate for each in side] for side in (TOP1, CNN)]
    known = stats.ttest_rel(*rates, alternative="greater").pvalue
    assert seed_test(TOP1, CNN) == pytest.approx(known)
    differences = np.subtract(*rates)
    t = differences.mean() / (differences.std(ddof=1) / math.sqrt(3))
    assert seed_test(TOP1, CNN) == pytest.approx(0.5 * (1 - t / math.sqrt(2 + t**2)))  # df = 2
    assert seed_test(CNN, TOP1) == pytest.approx(1 - known)


def test_more_samples_do_not_make_more_seeds() -> None:
    many = [[Proportion(50 * each.successes, 50 * each.n) for each in s] for s in (TOP1, CNN)]
    assert seed_test(*many) == pytest.approx(seed_test(TOP1, CNN))
    assert rate_test(*many) < 1e-9 < rate_test(TOP1, CNN)


def test_a_spread_that_is_not_known_gives_no_answer() -> None:
    assert math.isnan(seed_test(TOP1[:1], CNN[:1]))
    even = [Proportion(each.successes + 10, each.n) for each in CNN[:2]]
    assert math.isnan(seed_test(even, CNN[:2]))


def test_seeds_that_do_not_pair_are_refused() -> None:
    for test in (rate_test, seed_test):
        with pytest.raises(InputError, match="training seeds"):
            test(TOP1, CNN[:2])
        with pytest.raises(InputError, match="training seeds"):
            test([], [])
    with pytest.raises(InputError, match="0 samples"):
        seed_test([Proportion(0, 0)], CNN[:1])
