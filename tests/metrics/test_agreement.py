"""Three measures kept apart, against numpy and scipy; intervals that cover what they claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from scoremachines.errors import InputError
from scoremachines.metrics.agreement import (
    Summary,
    paired_difference,
    pearson_r,
    pearson_r2,
    r2_determination,
    summarise,
)

SHAPE = (2, 3, 5, 7)


def images(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(SHAPE, generator=generator, dtype=dtype)


def test_the_measures_are_those_of_scipy() -> None:
    truth = images(0)
    prediction = 0.6 * truth + images(1)
    r = [stats.pearsonr(a, b).statistic for a, b in zip(*pair(prediction, truth), strict=True)]
    np.testing.assert_allclose(pearson_r(prediction, truth), r, rtol=1e-12)
    np.testing.assert_allclose(pearson_r2(prediction, truth), np.square(r), rtol=1e-12)
    for found, a, b in zip(
        r2_determination(prediction, truth), *pair(prediction, truth), strict=True
    ):
        assert float(found) == pytest.approx(1 - np.mean((a - b) ** 2) / np.var(b))


def pair(first: Tensor, second: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return first.flatten(1).numpy(), second.flatten(1).numpy()


def test_the_three_differ_where_images_differ_in_contrast() -> None:
    truth = images(0)
    assert pearson_r(-2 * truth, truth).tolist() == pytest.approx([-1, -1])
    assert pearson_r2(-2 * truth, truth).tolist() == pytest.approx([1, 1])
    found = r2_determination(truth.mean((1, 2, 3), keepdim=True).expand(SHAPE), truth)
    assert found.tolist() == pytest.approx([0, 0], abs=1e-12)
    assert (r2_determination(-2 * truth, truth) < -7).all()


@given(
    st.integers(0, 99),
    st.floats(1e-2, 1e3),
    st.floats(-100, 100),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_brightness_and_contrast_do_not_change_r(
    seed: int, contrast: float, brightness: float, dtype: torch.dtype
) -> None:
    first, second = images(seed), images(seed + 1)
    known = pearson_r(first, second)
    changed = contrast * first + brightness
    torch.testing.assert_close(pearson_r(changed, second), known, rtol=0, atol=1e-7)
    torch.testing.assert_close(pearson_r(second, changed), known, rtol=0, atol=1e-7)
    torch.testing.assert_close(pearson_r(-changed, second), -known, rtol=0, atol=1e-7)
    # Sums over pixels and channels know no order.
    torch.testing.assert_close(pearson_r(first.flip(1, 2), second.flip(1, 2)), known)
    exact = first.to(dtype) * contrast
    assert pearson_r(exact, exact).tolist() == [1.0, 1.0]
    assert pearson_r2(exact, exact).tolist() == [1.0, 1.0]
    assert r2_determination(exact, exact).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 1e9])
def test_an_image_of_one_value_has_no_correlation(value: float) -> None:
    first, second = images(0), images(1)
    first[1] = value
    for r in (pearson_r(first, second), pearson_r(second, first), pearson_r2(first, second)):
        assert r.isnan().tolist() == [False, True]
    assert r2_determination(second, first).isnan().tolist() == [False, True]
    # Nor does one whose values differ by their rounding alone.
    first[1] = (value * (1 + 1e-7 * images(2)[1])).float()
    assert pearson_r(first, second).isnan().tolist() == [False, True]
    assert r2_determination(first, second).isfinite().tolist() == [True, True]


def test_values_that_are_not_finite_give_nan_and_no_neighbour_suffers() -> None:
    first, second = images(0), images(1)
    known = pearson_r(first, second)
    for broken in (math.nan, math.inf):
        damaged = first.clone()
        damaged[0, 1, 2, 3] = broken
        found = pearson_r(damaged, second)
        assert found[0].isnan()
        assert found[1] == known[1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.zeros(2, 3, 5, 7), torch.zeros(2, 3, 7, 5)),
        (torch.zeros(3, 5, 7), torch.zeros(3, 5, 7)),
        (torch.zeros(0, 3, 5, 7), torch.zeros(0, 3, 5, 7)),
        (torch.zeros(2, 3, 5, 7), torch.zeros(2, 3, 5, 7, dtype=torch.uint8)),
    ],
)
def test_what_is_no_pair_of_batches_is_refused(first: Tensor, second: Tensor) -> None:
    for measure in (pearson_r, pearson_r2, r2_determination):
        with pytest.raises(InputError, match="images"):
            measure(first, second)


def test_a_summary_is_the_median_and_the_percentiles_of_resampled_medians() -> None:
    values = np.random.default_rng(1).normal(size=25)
    found = summarise(values, seed=3)
    # The median of 25 draws is at most the k-th value if 13 draws are.
    below = stats.binom.sf(12, 25, np.arange(1, 26) / 25)
    low, high = np.sort(values)[np.searchsorted(below, [0.025, 0.975])]
    assert (found.median, found.low, found.high) == (np.median(values), low, high)
    assert found == summarise(torch.from_numpy(values), seed=3)
    assert found == summarise(values.tolist(), seed=3)
    assert summarise(values, seed=3, draws=9) != summarise(values, seed=4, draws=9)


def test_the_interval_covers_the_true_median_at_its_level() -> None:
    draw = np.random.default_rng(0)
    runs = [summarise(draw.exponential(size=30), seed, 400) for seed in range(400)]
    covered = sum(run.low <= math.log(2) <= run.high for run in runs)
    # 0.95 of 400 is 380; bootstrap intervals of a median are known to fall a little short.
    assert 360 <= covered <= 396


def test_missing_values_are_counted_and_left_out() -> None:
    found = summarise([0.5, math.nan, 0.5, math.nan, 0.5])
    assert found == Summary(0.5, 0.5, 0.5, 3, 2)
    assert str(found) == "0.500 [0.500, 0.500] (n=3, 2 missing)"
    nothing = summarise([math.nan, math.nan])
    assert math.isnan(nothing.median)
    assert (nothing.n, nothing.missing, nothing.above_zero) == (0, 2, False)
    assert summarise([]).n == 0
    assert str(summarise([0.25, 0.25])) == "0.250 [0.250, 0.250] (n=2)"


def test_pairing_finds_what_the_spread_over_seeds_hides() -> None:
    draw = np.random.default_rng(0)
    seeds = draw.normal(size=40)
    better = seeds + 0.1 + 0.01 * draw.normal(size=40)
    lead = paired_difference(better, seeds)
    assert lead.above_zero
    assert lead.median == pytest.approx(0.1, abs=0.01)
    assert not paired_difference(seeds, better).above_zero
    # The same numbers, no longer paired, show nothing.
    assert not paired_difference(better, draw.permutation(seeds)).above_zero
    missing = paired_difference([1.0, math.nan, 3.0], [0.5, 0.5, math.nan])
    assert (missing.n, missing.missing, missing.median) == (1, 2, 0.5)


def test_values_that_are_no_list_of_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="values"):
        summarise(torch.zeros(2, 3))
    with pytest.raises(InputError, match="values"):
        summarise([0.0, math.inf])
    with pytest.raises(InputError, match="paired by seed"):
        paired_difference([1.0, 2.0], [1.0])
