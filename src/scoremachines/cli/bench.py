"""`scoremachines bench`: engines side by side, one folder."""

from __future__ import annotations

from pathlib import Path

from scoremachines.data.open import open_data
from scoremachines.experiments.bench.attentions import run as time_attentions
from scoremachines.experiments.bench.denoisers import run as time_denoisers
from scoremachines.experiments.bench.executors import run as time_executors
from scoremachines.experiments.bench.images import made_up_images
from scoremachines.experiments.bench.run import run
from scoremachines.experiments.bench.settings import BenchSettings
from scoremachines.experiments.run_settings import memory_bytes

__all__ = ["bench"]


def bench(
    settings: BenchSettings,
    output: str,
    *,
    quick: bool = False,
    sample: bool = False,
    attentions: bool = False,
    denoisers: bool = False,
    executors: bool = False,
    resume: bool = False,
) -> Path:
    """Measure the engines, print the table, and write `bench.json` and `bench.png`.

    Args:
        settings: what to measure.
        output: folder to write to.
        quick: a few small measurements instead, to see that everything works.
        sample: one whole ELS sample on all images instead.
        attentions: every attention beside none instead, into a file `attentions.json`.
        denoisers: sources with a width, and all other denoisers, beside ELS instead, into a file
            `denoisers.json`.
        executors: executors beside one process instead, into a file `executors.json`.
        resume: go on where a benchmark in that folder stopped.

    Returns:
        The file of measurements.

    Raises:
        InputError: a setting, the images or the folder cannot be used.
    """
    settings = settings.quick() if quick else settings
    data = made_up_images(settings) if settings.source is None else open_data(settings)
    memory = memory_bytes(settings.memory)
    if attentions:
        found = time_attentions(settings, data, output, memory=memory)
    elif denoisers:
        found = time_denoisers(settings, data, output, memory=memory)
    elif executors:
        found = time_executors(settings, data, output, memory=memory, resume=resume)
    else:
        found = run(settings, data, output, memory=memory, sample=sample, resume=resume)
    print(f"measurements: {found}")
    return found
