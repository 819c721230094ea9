"""The nearest training image of a generated one (theory §6)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from scoremachines.data.reduction import Block, Pass, reduce
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole

__all__ = ["Found", "Nearest", "nearer", "nearest_training_image"]

Found = tuple[Tensor, Tensor]
"""Distances, and the places of the images at which they are found."""

DIRECT = "donot_use_mm_for_euclid_dist"
"""Differences, so that a copy is at distance 0."""


def nearest_training_image(
    images: Tensor, data: TrainingSet, memory: int = 2**28
) -> tuple[Tensor, Tensor]:
    """Find each image's nearest training image, exactly.

    The distance is √(mean of (image − x_i)²) over pixels and channels, from direct differences, so
    that a copy is at distance 0. The training set is read in blocks, which change nothing: among
    equally near images the first counts.

    Args:
        images: images [n, C, H, W] in [-1, 1].
        data: training set of N images [C, H, W].
        memory: bytes that a block of training images and its distances may take.

    Returns:
        Index [n] of the nearest training image, int64, and distance [n] to it, in the units of the
        images: 0 for a copy, at most 2. Both on the device of the images.

    Raises:
        InputError: if the images are not floating point or differ from the training images in
            shape, or the memory is less than one byte.
    """
    if images.shape[1:] != data.shape or images.dtype not in (torch.float32, torch.float64):
        expected = f"float32 or float64 images [n, {', '.join(map(str, data.shape))}] in [-1, 1]"
        raise InputError("images", f"{images.dtype} {list(images.shape)}", expected)
    memory = whole("memory", memory, 1)
    vectors = images.detach().flatten(1)
    count, size = vectors.shape
    length = max(1, memory // ((count + size) * vectors.element_size()))
    blocks = Pass(data, length, images.dtype, images.device)
    distance, index = reduce(Nearest(vectors), blocks)
    return index, distance / sqrt(size)


@dataclass(frozen=True)
class Nearest:
    """Distance `min_i ‖x − x_i‖` of vectors, and the first i that has it.

    Args:
        vectors: x, `[n, D]`.
    """

    vectors: Tensor

    def of(self, block: Block) -> Found:
        """Return distance and place of each vector's nearest image in a block, `[n]`."""
        images = block.images.flatten(1)
        distance = torch.cdist(self.vectors, images, compute_mode=DIRECT)
        nearest, position = distance.min(1)
        return nearest, block.index[position]

    def merge(self, one: Found, other: Found) -> Found:
        """Return the nearer of both; of equals the first."""
        return nearer(one, other)


def nearer(one: Found, other: Found) -> Found:
    """Return the smaller distances of two parts with their places; of equals the first.

    Args:
        one: distance and place, both of the same shape.
        other: of the part that comes after it.

    Returns:
        Distance and place.
    """
    closer = other[0] < one[0]
    return torch.where(closer, other[0], one[0]), torch.where(closer, other[1], one[1])
