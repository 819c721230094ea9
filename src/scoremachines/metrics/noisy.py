"""Noisy copies of training images, which a test of memorisation is tried on (theory §6.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.data.images.placement import Placement
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, real, whole
from scoremachines.metrics.copies import Kind, check_kinds

__all__ = ["noisy_copies"]

NOISE = 0.1


def noisy_copies(
    data: TrainingSet, index: Tensor, kind: Kind, *, shift: int = 0, noise: float = NOISE
) -> tuple[Tensor, list[Placement]]:
    """Return random copies of training images: of one kind, moved, with noise.

    A copy is `x = g x_i + σ ε`, g a random placement of the kind (theory §6.4).

    A shrunk copy lies on black, on white or on the image's mean colour, a moved one is wrapped.

    Args:
        data: the training set.
        index: which images, int64 `[n]`.
        kind: the kind of copy.
        shift: the largest move, pixels.
        noise: standard deviation of the noise.

    Returns:
        The copies, `[n, C, H, W]`, and how each was placed.

    Raises:
        InputError: there are no such images, or noise or shift that cannot be used.
    """
    height, width = data.shape[1:]
    check_kinds([kind])
    shift = whole("shift", shift, 0, min(height, width) - 1)
    noise = real("noise", noise, 0, 1e6)
    if index.dtype != torch.int64 or not ((index >= 0) & (index < len(data))).all():
        raise InputError("index", index, f"places from 0 to {len(data) - 1}, int64")
    generator = torch.Generator().manual_seed(0)
    copies, placements = [], []
    for image in data.block(index).cpu().split(1):
        move = torch.randint(-shift, shift + 1, (2,), generator=generator).tolist()
        placement = kind.draw(height, width, generator).moved(*move)
        grounds = (image.new_tensor(-1.0), image.new_tensor(1.0), image.mean((2, 3), True))
        ground = grounds[int(torch.randint(3, (), generator=generator))]
        if not placement.shrinks(height, width):
            ground = placement.turned(image).roll(placement.move, (-2, -1))
        copy = placement.lay(image, ground)
        if placement.recoloured:
            gain, offset = torch.rand(2, generator=generator).tolist()
            copy = (0.6 * (1.6 / 0.6) ** gain * copy + 0.6 * offset - 0.3).clamp(-1, 1)
        copies.append(copy + noise * torch.randn(copy.shape, generator=generator))
        placements.append(placement)
    return torch.cat(copies), placements
