"""`scoremachines bench`: engines side by side, one folder."""

from __future__ import annotations

from pathlib import Path

import torch

from scoremachines.data.images.resize import Framing
from scoremachines.data.images.room import check_room
from scoremachines.data.open import open_data
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import whole
from scoremachines.experiments.bench.attentions import run as time_attentions
from scoremachines.experiments.bench.run import run
from scoremachines.experiments.bench.settings import BenchSettings, numbers
from scoremachines.experiments.run_settings import memory_bytes, size_pixels

__all__ = ["bench", "made_up"]


def bench(
    settings: BenchSettings,
    output: str,
    *,
    quick: bool = False,
    sample: bool = False,
    attentions: bool = False,
    resume: bool = False,
) -> Path:
    """Measure the engines, print the table, and write `bench.json` and `bench.png`.

    Args:
        settings: what to measure.
        output: folder to write to.
        quick: a few small measurements instead, to see that everything works.
        sample: one whole ELS sample on all images instead.
        attentions: every attention beside none instead, into a file `attentions.json`.
        resume: go on where a benchmark in that folder stopped.

    Returns:
        The file of measurements.

    Raises:
        InputError: a setting, the images or the folder cannot be used.
    """
    settings = settings.quick() if quick else settings
    data = made_up(settings) if settings.source is None else open_data(settings)
    if attentions:
        memory = memory_bytes(settings.memory)
        found = time_attentions(settings, data, output, memory=memory)
        print(f"measurements: {found}")
        return found
    found = run(
        settings,
        data,
        output,
        memory=memory_bytes(settings.memory),
        sample=sample,
        resume=resume,
    )
    print(f"measurements: {found}")
    return found


def made_up(settings: BenchSettings) -> TrainingSet:
    """Return as many images as any measurement asks for, of bytes drawn from the seed.

    Args:
        settings: of the benchmark.

    Returns:
        The training set.

    Raises:
        InputError: the numbers of images cannot be read, or so many do not fit into memory.
    """
    count = int(max(numbers("counts", settings.counts, 1, 1e9)))
    count = min(count, settings.limit or count)
    framing = Framing.of(size_pixels(settings.size) or (32, 32), channels=settings.channels)
    shape = (framing.channels or 3, *(framing.size or ()))
    check_room("counts", settings.counts, count, *shape)
    draw = torch.Generator().manual_seed(whole("seed", settings.seed))
    pixels = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    return TrainingSet(pixels, name="made-up noise")
