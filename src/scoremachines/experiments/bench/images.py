"""Training images of a benchmark."""

from __future__ import annotations

import torch

from scoremachines.data.images.resize import Framing
from scoremachines.data.images.room import check_room
from scoremachines.data.settings import size_pixels
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import numbers, whole
from scoremachines.experiments.bench.settings import BenchSettings

__all__ = ["made_up_images"]


def made_up_images(settings: BenchSettings) -> TrainingSet:
    """Return as many images as any measurement needs, of bytes drawn from the seed.

    Args:
        settings: of the benchmark.

    Returns:
        The training set.

    Raises:
        InputError: the numbers of images cannot be read, or so many do not fit into memory.
    """
    count = int(max(numbers("counts", settings.counts, 1, 1e9)))
    if settings.limit is not None:
        count = min(count, whole("limit", settings.limit, 1))
    framing = Framing.of(size_pixels(settings.size) or (32, 32), channels=settings.channels)
    shape = (framing.channels or 3, *(framing.size or ()))
    check_room("counts", settings.counts, count, *shape)
    draw = torch.Generator().manual_seed(whole("seed", settings.seed))
    pixels = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    return TrainingSet(pixels, name="made-up noise")
