"""The cost of every attention on every engine, relative to none (theory §4)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scoremachines.attention import Soft, make_attention
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import make_engine
from scoremachines.errors import numbers
from scoremachines.experiments.bench.processor import cores, processor
from scoremachines.experiments.bench.settings import BenchSettings
from scoremachines.experiments.bench.tasks import BASELINE, checked, engines
from scoremachines.experiments.bench.timing import shortest
from scoremachines.io.folders import output_folder
from scoremachines.io.sealed import write_json
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine

ATTENTIONS = ("none", "identity", "top1", "tiled", "full", "multiscale")
"""Maps that are timed, beside a matrix."""
__all__ = ["FILE", "HEAD", "first_images", "in_turn", "run"]

FILE = "attentions.json"
HEAD = ["| engine | N | k | ᾱ | attention | seconds | of none |", "|---" * 7 + "|"]


def run(
    settings: BenchSettings, data: TrainingSet, output: str | Path, *, memory: int = 2**30
) -> Path:
    """Time ELS with none and with every attention, print a table, and write a file.

    Seconds are those of the processor, of all threads together; on a GPU those of the clock. All
    machines of a row of measurements take turns, and the shortest time of each counts.

    Args:
        settings: engines, numbers of images, windows, levels, repeats and threads.
        data: the training set.
        output: folder to write to.
        memory: bytes that an engine may use above the training set.

    Returns:
        The file.

    Raises:
        InputError: a setting or the folder cannot be used.
    """
    counts, windows = checked(settings, data)
    names, left_out = engines(settings)
    torch.set_num_threads(settings.threads or cores())
    rows: list[dict[str, Any]] = []
    with output_folder(output, marker=FILE) as folder:
        about = f"{processor()}, {torch.get_num_threads()} thread(s), {data.name}"
        print("\n".join([*left_out, about, "", *HEAD]), flush=True)
        for count in counts:
            few = first_images(data, count)
            for window in windows:
                for name in names:
                    if name != BASELINE:
                        engine = make_engine(name, memory)
                        rows += _measured(settings, few, window, engine)
                        content = {"settings": asdict(settings), "machine": about, "rows": rows}
                        write_json(folder / FILE, content)
        return folder / FILE


def first_images(data: TrainingSet, count: int) -> TrainingSet:
    """Return the first images of a training set as one of its own, with their labels."""
    labels = None if data.labels is None else data.labels[:count]
    return TrainingSet(data.block(slice(0, count), None), labels)


def _measured(
    settings: BenchSettings, data: TrainingSet, window: int, engine: Any
) -> list[dict[str, Any]]:
    """Measure one engine at one window, and print a row for each measurement."""
    pixels = data.shape[1] * data.shape[2]
    draw = torch.Generator().manual_seed(settings.seed)
    matrix = torch.rand(pixels, pixels, generator=draw, dtype=torch.float64) / pixels
    choices: dict[str, Any] = {name: make_attention(name) for name in ATTENTIONS}
    choices["matrix"] = Soft(matrix)
    machines = {
        name: ScoreMachine(data, window, "valid", attention, engine=engine).to(settings.device)
        for name, attention in choices.items()
    }
    return in_turn(settings, data, machines, {"engine": engine.name}, window, "attention")


def in_turn(
    settings: BenchSettings,
    data: TrainingSet,
    models: Mapping[str, DenoiserModel],
    about: Mapping[str, str],
    window: int,
    column: str,
) -> list[dict[str, Any]]:
    """Time one answer of each model at every level, in turn, and print a row for each.

    Args:
        settings: levels, repeats, the device and the seed of the noise.
        data: the training set, of whose first image the noisy one is made.
        models: by name; seconds are compared with those of the first.
        about: columns that all rows begin with.
        window: k, pixels.
        column: what the names are names of.

    Returns:
        The rows.

    Raises:
        InputError: a level is out of range.
    """
    draw = torch.Generator().manual_seed(settings.seed)
    noise = torch.randn((1, *data.shape), generator=draw)
    clean = data.block(slice(0, 1), torch.float32)
    rows = []
    for level in numbers("levels", settings.levels, 0, 1):
        noisy = (level**0.5 * clean + (1 - level) ** 0.5 * noise).to(settings.device)
        works = [partial(_answered, model, noisy, level) for model in models.values()]
        clock = time.perf_counter if noisy.is_cuda else time.process_time
        times = shortest(works, settings.repeat, clock)
        for name, seconds in zip(models, times, strict=True):
            row: dict[str, Any] = {**about, "count": len(data), "window": window, "level": level}
            row |= {column: name, "seconds": seconds, "ratio": seconds / times[0]}
            rows.append(row)
            cells = [*about.values(), len(data), window, f"{level:g}", name, f"{seconds:.3f}"]
            print("| " + " | ".join(map(str, [*cells, f"{row['ratio']:.2f}"])) + " |", flush=True)
    return rows


def _answered(model: DenoiserModel, noisy: Tensor, level: float) -> None:
    model.denoise(noisy, level)
    if noisy.is_cuda:
        torch.cuda.synchronize()
