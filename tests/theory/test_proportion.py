"""Proportions against the score test that Wilson's interval inverts; nearest images by hand."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scoremachines.data import TrainingSet
from scoremachines.data.nearest import nearest_training_image
from scoremachines.errors import InputError
from scoremachines.metrics.words import share_words
from scoremachines.theory.proportion import Proportion


def test_a_proportion_reads_as_rate_interval_and_counts() -> None:
    assert str(Proportion(9, 60)) == "15.0 % [8.1, 26.1] (9/60)"
    assert str(Proportion(0, 10)) == "0.0 % [0.0, 27.8] (0/10)"
    assert str(Proportion(10, 10)) == "100.0 % [72.2, 100.0] (10/10)"


def test_no_trials_say_nothing() -> None:
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


def random_images(n: int, seed: int) -> torch.Tensor:
    return 2 * torch.rand(n, 3, 5, 7, generator=torch.Generator().manual_seed(seed)) - 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 13), st.integers(0, 4), st.integers(1, 10_000), st.integers(0, 9))
def test_the_nearest_image_is_found_whatever_the_blocks(
    count: int, queries: int, memory: int, seed: int
) -> None:
    data, images = TrainingSet(random_images(count, seed)), random_images(queries, seed + 1)
    index, distance = nearest_training_image(images, data, memory)
    every = (images.unsqueeze(1) - data.images).square().mean((2, 3, 4)).sqrt()
    assert index.tolist() == every.argmin(1).tolist()
    torch.testing.assert_close(distance, every.amin(1))
    whole = nearest_training_image(images, data)
    assert torch.equal(index, whole[0])
    assert torch.equal(distance, whole[1])


def test_copies_are_at_distance_zero_and_the_first_of_equals_counts() -> None:
    pixels = torch.randint(0, 256, (4, 3, 5, 7), dtype=torch.uint8)
    data = TrainingSet(pixels[[0, 1, 2, 1, 3, 0]])
    for memory in (1, 2**20):
        index, distance = nearest_training_image(data.images, data, memory)
        assert index.tolist() == [0, 1, 2, 1, 4, 0]
        assert distance.tolist() == [0.0] * 6


def test_distances_are_in_units_of_the_pixels_and_keep_the_dtype() -> None:
    data = TrainingSet(torch.stack([torch.full((3, 5, 7), level) for level in (-1.0, 0.5)]))
    index, distance = nearest_training_image(torch.ones(1, 3, 5, 7, dtype=torch.float64), data)
    assert (index.item(), distance.item()) == (1, pytest.approx(0.5))
    assert distance.dtype == torch.float64


def test_images_of_another_size_or_kind_are_refused() -> None:
    data = TrainingSet(random_images(2, 0))
    for images in (torch.zeros(2, 3, 7, 5), torch.zeros(2, 3, 5, 7, dtype=torch.uint8)):
        with pytest.raises(InputError, match="images"):
            nearest_training_image(images, data)
    with pytest.raises(InputError, match="memory"):
        nearest_training_image(random_images(1, 0), data, 0)


def test_shares_in_words() -> None:
    words = [share_words(share) for share in (1.0, 0.8731, 0.0, -12.49, float("-inf"))]
    assert words[:3] == ["100.0 %", "87.3 %", "0.0 %"]
    assert words[3] == "worse than a plain colour"
    assert words[4] == "nothing: it has no contrast"
