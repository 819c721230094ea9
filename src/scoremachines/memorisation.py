"""Is an image a training image, nearly? A test with a threshold that is calibrated (theory §6.4).

An image x is *explained whole* by training image i, moved by s, to the share

    S_i(x) = 1 − Σ_u ‖x(u) − x_i(u−s)‖² / Σ_u ‖x(u) − x̄‖²

with x̄ the mean colour of x, and u over the pixels where both lie. S(x) is the largest over
training images and small moves: 1 for a copy. How large it is for images that are no copies
depends on the training set, so the threshold is found on held-out images. An image without
contrast is explained by nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole
from scoremachines.measures import Proportion

__all__ = ["MemorisationTest", "WholeMatch", "calibrate_memorisation", "whole_match"]

BLOCK = 2**24
"""Numbers of a block of training images."""
LEAST = 0.8
"""A move must leave as much of the image's contrast in sight."""
FLAT = 1e-9
"""An image whose contrast is below this has none."""
NOISE = 0.1
"""Standard deviation of the noise on the copies that the test is tried on."""


@dataclass(frozen=True)
class WholeMatch:
    """Which single training image explains each image best, and how far.

    Args:
        share: S(x), at most 1, float64 `[n]`.
        image: place in the training set, int64 `[n]`.
        move: by how many rows and columns it is moved, int64 `[n, 2]`.
    """

    share: Tensor
    image: Tensor
    move: Tensor


def whole_match(
    images: Tensor, data: TrainingSet, shift: int = 0, own: Tensor | None = None
) -> WholeMatch:
    """Find the training image that explains each image whole.

    Args:
        images: `[n, C, H, W]` in [-1, 1].
        data: the training set.
        shift: the largest move, pixels; 0 for none.
        own: place in the training set of each image itself, which is passed over, int64 `[n]`.

    Returns:
        The matches.

    Raises:
        InputError: images of another shape, or a shift that does not fit.
    """
    if images.shape[1:] != data.shape:
        expected = f"images [n, {', '.join(map(str, data.shape))}]"
        raise InputError("images", list(images.shape), expected)
    _, height, width = data.shape
    shift = whole("shift", shift, 0, min(height, width) - 1)
    images = images.double().cpu()
    mean = images.mean((2, 3), keepdim=True)
    contrast = (images - mean).square().sum((1, 2, 3))
    share = torch.full((len(images),), -torch.inf, dtype=torch.float64)
    image = torch.zeros(len(images), dtype=torch.int64)
    move = torch.zeros(len(images), 2, dtype=torch.int64)
    moves = [(down, right) for down in _moves(shift) for right in _moves(shift)]
    for places, block in _blocks(data):
        for down, right in moves:
            here, there = _overlap(images, down, right), _overlap(block, -down, -right)
            seen = (here - mean).square().sum((1, 2, 3))
            apart = _squares(here.flatten(1), there.flatten(1))
            found = 1 - apart / seen[:, None].clamp(min=1e-12)
            found[(seen < LEAST * contrast) | (contrast < FLAT)] = -torch.inf
            if own is not None:
                found[own[:, None] == places[None]] = -torch.inf
            best, index = found.max(1)
            better = best > share
            share = torch.where(better, best, share)
            image = torch.where(better, places[index], image)
            move[better] = torch.tensor([down, right])
    return WholeMatch(share.clamp(max=1), image, move)


def _moves(shift: int) -> list[int]:
    """Return moves from the smallest on: of equals, the first counts."""
    return sorted(range(-shift, shift + 1), key=abs)


def _blocks(data: TrainingSet) -> Iterator[tuple[Tensor, Tensor]]:
    length = max(1, BLOCK // math.prod(data.shape))
    for start in range(0, len(data), length):
        block = data.block(slice(start, start + length), torch.float64, "cpu")
        yield torch.arange(start, start + len(block)), block


def _overlap(images: Tensor, down: int, right: int) -> Tensor:
    """Return the part of images that is in sight when something moves by so much over them."""
    height, width = images.shape[-2:]
    rows = slice(max(0, down), height + min(0, down))
    columns = slice(max(0, right), width + min(0, right))
    return images[..., rows, columns]


def _squares(one: Tensor, other: Tensor) -> Tensor:
    """Return squared distances of all pairs, float64 `[n, N]`."""
    squares = one.square().sum(1)[:, None] + other.square().sum(1)[None]
    return (squares - 2 * one @ other.T).clamp(min=0)


@dataclass(frozen=True)
class MemorisationTest:
    """A threshold for S, and how often it is wrong.

    Args:
        threshold: an image with a larger S is called memorised.
        level: rate of false positives that the threshold was chosen for.
        calibrated_on: how many held-out images chose it.
        false_positives: of other held-out images, those called memorised.
        found: of copies with noise of standard deviation 0.1, moved by up to `shift`, those called
            memorised.
        shift: the largest move, pixels.
    """

    threshold: float
    level: float
    calibrated_on: int
    false_positives: Proportion
    found: Proportion
    shift: int

    def flags(self, match: WholeMatch) -> Tensor:
        """Return which images are called memorised, bool `[n]`."""
        return match.share > self.threshold


def calibrate_memorisation(
    data: TrainingSet,
    held_out: Tensor | None = None,
    *,
    level: float = 0.01,
    shift: int = 0,
    most: int = 600,
) -> MemorisationTest:
    """Choose the threshold on held-out images, and try it on others.

    With S of m held-out images in rising order, the threshold is the `⌈(1−α)(m+1)⌉`-th: a further
    image from where they came from exceeds it with probability at most α **[known: Vovk et al.
    2005]**. Where m is too small for α, it is the largest, and α is `1/(m+1)`.

    Args:
        data: the training set.
        held_out: images that are not in it, in random order, `[n, C, H, W]`; None to take training
            images, each compared with all others.
        level: α, the rate of false positives to allow, between 0 and 1.
        shift: the largest move, pixels.
        most: how many held-out images to use; every second one chooses, the others try.

    Returns:
        The test.

    Raises:
        InputError: a level out of range, or fewer than four held-out images.
    """
    if not 0 < level < 1:
        raise InputError("level", level, "a number between 0 and 1")
    own = None
    if held_out is None:
        own = torch.linspace(0, len(data) - 1, min(most, len(data)), dtype=torch.float64)
        own = own.round().long()
        images = data.block(own).cpu()
    else:
        images = held_out[:most]
    if len(images) < 4 or len(data) < 2:
        raise InputError("held_out", f"{len(images)} images", "at least 4 images")
    values = whole_match(images, data, shift, own).share
    chosen, tried = values[::2].sort().values, values[1::2]
    rank = math.ceil((1 - level) * (len(chosen) + 1))
    threshold = float(chosen[min(rank, len(chosen)) - 1])
    wrong = Proportion(int((tried > threshold).sum()), len(tried))
    copies = whole_match(_copies(data, len(tried), shift), data, shift).share
    return MemorisationTest(
        threshold=threshold,
        level=max(level, 1 / (len(chosen) + 1)),
        calibrated_on=len(chosen),
        false_positives=wrong,
        found=Proportion(int((copies > threshold).sum()), len(copies)),
        shift=shift,
    )


def _copies(data: TrainingSet, most: int, shift: int) -> Tensor:
    """Return training images, moved and with noise."""
    generator = torch.Generator().manual_seed(0)
    places = torch.linspace(0, len(data) - 1, min(most, len(data)), dtype=torch.float64)
    copies = []
    for image in data.block(places.round().long()).cpu():
        down, right = (
            int(torch.randint(-shift, shift + 1, (), generator=generator)) for _ in "ab"
        )
        moved = image.roll((down, right), (-2, -1))
        copies.append(moved + NOISE * torch.randn(image.shape, generator=generator))
    return torch.stack(copies)
