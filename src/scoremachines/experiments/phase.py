"""Where a machine recites its training images, over noise, window and number (theory §6.6).

For every number of training images, noise level and window, noised training images are asked how
much their patches know of the image that they come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from scoremachines.calibration.information import noised_images, recall
from scoremachines.calibration.stored import read_choice
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import make_engine
from scoremachines.errors import InputError, check_counts, whole
from scoremachines.experiments.measuring import PhaseSettings
from scoremachines.experiments.phase_figure import phase_figure
from scoremachines.experiments.phase_map import ALL, Cell, edge_table
from scoremachines.experiments.run_settings import memory_bytes
from scoremachines.io.folders import output_folder
from scoremachines.io.listed import kept_list
from scoremachines.io.plots import save_figure
from scoremachines.io.sealed import write_json
from scoremachines.theory.locality import (
    Window,
    WindowSchedule,
    check_window,
    parse_window,
    windows_of,
)
from scoremachines.theory.positions import read_sources
from scoremachines.theory.schedule import noise_schedule

__all__ = ["FIGURE", "FILE", "phase_in_folder"]

FILE, FIGURE = "phase.json", "phase.png"


def phase_in_folder(
    settings: PhaseSettings, data: TrainingSet, output: str | Path, *, resume: bool = False
) -> Path:
    """Measure what patches know of their images, print a table, and draw a map.

    Args:
        settings: noise levels, windows and numbers of images.
        data: the training set.
        output: folder to write to.
        resume: go on where a run in that folder stopped.

    Returns:
        The folder, with the table as JSON and the map as PNG.

    Raises:
        InputError: a setting or the folder cannot be used.
    """
    steps, draws = check_counts(steps=settings.steps, draws=settings.draws)
    whole("seed", settings.seed)
    drawn = _drawn(settings.drawn, data)
    make_engine(settings.engine, memory_bytes(settings.memory))
    levels, windows = noise_schedule(settings.schedule), settings.window_choices(data.shape[1:])
    times = [j / steps for j in range(1, steps + 1)]
    read_sources(settings.sources)
    chosen = list(_sets(settings, data))
    with output_folder(output, marker=FILE, resume=resume) as folder:
        known = {"settings": asdict(settings), "training_set": data.fingerprint()}
        cells = [Cell(**each) for each in kept_list(folder / FILE, known, "cells")]
        missing = [
            (name, some, time)
            for name, some in chosen
            for time in times
            if not any(
                (each.group, each.images, each.time) == (name, len(some), time) for each in cells
            )
        ]
        with tqdm(missing, desc="asking patches", unit="level", delay=2) as progress:
            for name, some, time in progress:
                alpha_bar = float(levels.alpha_bar(time))
                cells += _measured(name, some, time, alpha_bar, windows, draws, settings)
                write_json(folder / FILE, known | {"cells": [asdict(each) for each in cells]})
        write_json(folder / FILE, known | {"cells": [asdict(each) for each in cells]})
        print(f"{data!r}, {settings.sources} sources\n\n{edge_table(cells)}")
        save_figure(phase_figure(cells, drawn), folder / FIGURE)
        return folder


def _sets(settings: PhaseSettings, data: TrainingSet) -> Iterator[tuple[str, TrainingSet]]:
    """Yield training sets of several numbers of images, then those of each class."""
    draw = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(len(data), generator=draw)
    if len(data) < 2:
        raise InputError("data", data, "at least two images")
    for count in settings.count_choices(len(data)):
        yield ALL, data.subset(order[:count].sort().values)
    if not settings.classes:
        return
    if data.labels is None:
        raise InputError("classes", True, "images with labels")
    for label in data.labels.unique().tolist():
        members = data.of_class(label)
        if members is not None and len(members) > 1:
            name = data.classes[label] if data.classes else str(label)
            yield name, data.subset(members)


def _measured(
    group: str,
    data: TrainingSet,
    time: float,
    alpha_bar: float,
    windows: list[int],
    draws: int,
    settings: PhaseSettings,
) -> list[Cell]:
    """Return the cells of all windows at one noise level."""
    places, noise = noised_images(data, draws, settings.seed)
    clean = data.block(places, torch.float32)
    noisy = alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * noise.to(clean)
    level = torch.full((draws,), alpha_bar, dtype=torch.float64)
    engine = make_engine(settings.engine, memory_bytes(settings.memory))
    cells = []
    for window in windows:
        found = recall(data, engine, noisy, level, window, settings.sources, places)
        information, gap, weight = (float(each.mean()) for each in found)
        error = float(found.weight.std() / draws**0.5) if draws > 1 else 0.0
        cells.append(Cell(group, len(data), time, window, information, gap, weight, error))
    return cells


def _drawn(text: str | None, data: TrainingSet) -> Window:
    """Return the k(t) to draw, from a text or the file of a calibration."""
    if text is None:
        return None
    if Path(text).suffix == ".json":
        times, windows, _ = read_choice(text, "windows")
        return WindowSchedule(tuple(times), tuple(map(int, windows)))
    window = parse_window(text)
    for each in windows_of(window):
        check_window(each, data.shape[1:])
    return window
