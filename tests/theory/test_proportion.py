"""Proportions against the score test that Wilson's interval inverts."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoremachines.errors import InputError
from scoremachines.theory.proportion import Proportion


def test_a_proportion_reads_as_rate_interval_and_counts() -> None:
    assert str(Proportion(9, 60)) == "15.0 % [8.1, 26.1] (9/60)"
    assert str(Proportion(0, 10)) == "0.0 % [0.0, 27.8] (0/10)"
    assert str(Proportion(10, 10)) == "100.0 % [72.2, 100.0] (10/10)"


def test_no_trials_leave_the_whole_interval() -> None:
    nothing = Proportion(0, 0)
    assert math.isnan(nothing.rate)
    assert nothing.interval() == (0.0, 1.0)
    assert str(nothing) == "[0.0, 100.0] (0/0)"


@settings(deadline=None)
@given(st.integers(1, 500), st.data(), st.floats(0.5, 0.999))
def test_the_interval_holds_the_probabilities_that_the_score_test_accepts(
    n: int, data: st.DataObject, level: float
) -> None:
    proportion = Proportion(data.draw(st.integers(0, n)), n)
    z = NormalDist().inv_cdf((1 + level) / 2)
    low, high = proportion.interval(level)
    assert 0 <= low <= proportion.rate <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            deviation = abs(proportion.rate - end)
            assert deviation == pytest.approx(z * math.sqrt(end * (1 - end) / n), rel=1e-6)


@pytest.mark.parametrize(
    ("successes", "n", "argument"), [(-1, 5, "successes"), (6, 5, "successes"), (0, -1, "n")]
)
def test_impossible_counts_are_refused(successes: int, n: int, argument: str) -> None:
    with pytest.raises(InputError, match=f"^{argument}="):
        Proportion(successes, n)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, float("nan")])
def test_impossible_levels_are_refused(level: float) -> None:
    with pytest.raises(InputError, match="level"):
        Proportion(3, 5).interval(level)
