"""Measures of generated images: proportions with intervals, nearest training image (theory §6)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scoremachines.errors import MOST, InputError, real, whole

if TYPE_CHECKING:
    from scoremachines.data.training_set import TrainingSet

__all__ = ["Proportion", "nearest_training_image", "share_words"]


@dataclass(frozen=True)
class Proportion:
    """How many of n trials succeeded; `str` gives rate, 95 % interval and counts.

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


def share_words(share: float) -> str:
    """Return a share explained in words: per cent, or that a plain colour would do better.

    Args:
        share: E or S of theory §6.4, at most 1; −∞ for an image without contrast.

    Returns:
        Such as `87.3 %`, or `worse than a plain colour`.

    Raises:
        InputError: it is no such number.
    """
    if isinstance(share, float) and share == float("-inf"):
        return "nothing: it has no contrast"
    share = real("share", share)
    return f"{100 * share:.1f} %" if share >= 0 else "worse than a plain colour"


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
