"""Nearest training images, by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scoremachines.data import TrainingSet
from scoremachines.data.nearest import nearest_training_image
from scoremachines.errors import InputError


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
