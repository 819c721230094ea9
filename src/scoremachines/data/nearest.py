"""The nearest training image of a generated one (theory §6)."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole

__all__ = ["nearest_training_image"]


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
    best = vectors.new_full((count,), torch.inf)
    index = torch.zeros(count, dtype=torch.int64, device=images.device)
    length = max(1, memory // ((count + size) * vectors.element_size()))
    for start in range(0, len(data), length):
        block = data.block(slice(start, start + length), images.dtype, images.device).flatten(1)
        distance = torch.cdist(vectors, block, compute_mode="donot_use_mm_for_euclid_dist")
        nearest, position = distance.min(1)
        closer = nearest < best
        best = torch.where(closer, nearest, best)
        index = torch.where(closer, position + start, index)
    return index, best / sqrt(size)
