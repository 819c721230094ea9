"""The cost of sources with a width, and of denoisers that are no score machines (theory §3)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from scoremachines.data.training_set import TrainingSet
from scoremachines.experiments.bench.attentions import first_images, in_turn
from scoremachines.experiments.bench.processor import cores, processor
from scoremachines.experiments.bench.settings import BenchSettings
from scoremachines.experiments.bench.tasks import checked
from scoremachines.io.folders import output_folder
from scoremachines.io.sealed import write_json
from scoremachines.machine.by_name import make_denoiser
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.named import named_machine
from scoremachines.theory.schedule import noise_schedule
from scoremachines.theory.specs.machine import denoiser_names

__all__ = ["FILE", "HEAD", "run"]

FILE = "denoisers.json"
HEAD = ["| N | k | ᾱ | denoiser | seconds | of els |", "|---" * 6 + "|"]
WIDTHS = ("", ":smooth=0.5", ":smooth=0.5+contrasts")
MACHINES = [kind + width for kind in ("els", "local") for width in WIDTHS]


def run(
    settings: BenchSettings, data: TrainingSet, output: str | Path, *, memory: int = 2**30
) -> Path:
    """Time one answer of every denoiser, print a table, and write a file.

    Seconds are those of the processor, of all threads together; on a GPU those of the clock. All
    of one window take turns, and the shortest time of each counts: of several times, so that what
    is found once for all answers, such as a covariance, does not.

    Args:
        settings: numbers of images, windows, levels, repeats and threads.
        data: the training set.
        output: folder to write to.
        memory: bytes that an engine may use above the training set.

    Returns:
        The file.

    Raises:
        InputError: a setting or the folder cannot be used.
    """
    counts, windows = checked(settings, data)
    torch.set_num_threads(settings.threads or cores())
    rows: list[dict[str, Any]] = []
    with output_folder(output, marker=FILE) as folder:
        about = f"{processor()}, {torch.get_num_threads()} thread(s), {data.name}"
        print("\n".join([about, "", *HEAD]), flush=True)
        for count in counts:
            few = first_images(data, count)
            for window in windows:
                models = _models(few, window, memory, settings.device)
                rows += in_turn(settings, few, models, {}, window, "denoiser")
                content = {"settings": asdict(settings), "machine": about, "rows": rows}
                write_json(folder / FILE, content)
        return folder / FILE


def _models(data: TrainingSet, window: int, memory: int, device: str) -> dict[str, DenoiserModel]:
    """Return all denoisers by name, on a device."""
    schedule = noise_schedule("cosine")
    models: dict[str, DenoiserModel] = {
        name: named_machine(name, data, window, memory=memory) for name in MACHINES
    }
    models |= {name: make_denoiser(name, data, window, schedule) for name in denoiser_names()}
    return {name: model.to(device) for name, model in models.items()}
