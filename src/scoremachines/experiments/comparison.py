"""A network and machines, from the same noise, seed by seed (theory §6.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, check_counts, whole
from scoremachines.experiments.comparison_page import save_comparison
from scoremachines.io.files import folder_path, reading
from scoremachines.io.sealed import Spec, kept, read_tensors, write_tensors
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.metrics.agreement import (
    Summary,
    paired_difference,
    pearson_r,
    pearson_r2,
    r2_determination,
    summarise,
)
from scoremachines.runs.record import OpenRun
from scoremachines.sampling.reverse_process import Denoiser, kg_trajectory, starting_noise
from scoremachines.sampling.sample import sample_labels

__all__ = ["BASELINES", "WITHOUT_ATTENTION", "Comparison", "Row", "compare"]

BASELINES = ("ideal", "wiener")
PARTS = "parts"
"""Folder of the batches that an interrupted comparison goes on from."""
WITHOUT_ATTENTION = ("none", "bbels", "els", "local")
"""Names under which a machine without attention may take part; the first of them is the one that
the others are measured against."""


@dataclass(frozen=True)
class Row:
    """How well one machine predicts the network.

    Args:
        machine: its name.
        r: Pearson's correlation for each seed, `[n]`.
        r2: its square.
        determination: the coefficient of determination of the machine's image.
        lead: r less that of the machine without attention, on the same seeds; None for that
            machine itself, or where there is none.
    """

    machine: str
    r: tuple[float, ...]
    r2: tuple[float, ...]
    determination: tuple[float, ...]
    lead: Summary | None

    def summaries(self) -> dict[str, Summary]:
        """Return median and interval of each measure, by its name."""
        measures = {"r": self.r, "r2": self.r2, "determination": self.determination}
        return {name: summarise(values) for name, values in measures.items()}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Images of a network and of machines; image i of all started from the same noise.

    Args:
        network: the network's images, float32 `[n, C, H, W]` on the CPU.
        machines: each machine's images, by its name.
        without: name of the machine without attention that the others are measured against.
        about: how the images came about, in words and numbers.

    Raises:
        InputError: `without` names no machine.
    """

    network: Tensor
    machines: Mapping[str, Tensor]
    without: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.without is not None and self.without not in self.machines:
            raise InputError("without", self.without, ", ".join(self.machines))

    @cached_property
    def rows(self) -> list[Row]:
        """Each machine's agreement with the network."""
        r = {name: pearson_r(images, self.network) for name, images in self.machines.items()}
        base = None if self.without is None else r[self.without]
        return [
            Row(
                name,
                tuple(r[name].tolist()),
                tuple(pearson_r2(images, self.network).tolist()),
                tuple(r2_determination(images, self.network).tolist()),
                None if base is None or name == self.without else paired_difference(r[name], base),
            )
            for name, images in self.machines.items()
        ]

    def table(self) -> str:
        """Return the rows as text: medians with their bootstrap 95 % intervals."""
        head = ["machine", "Pearson r", "Pearson r2", "determination"]
        if self.without is not None:
            head.append(f"r above that of {self.without}")
        lines = [head]
        for row in self.rows:
            lead = [] if self.without is None else ["–" if row.lead is None else _brief(row.lead)]
            cells = [_brief(each) for each in row.summaries().values()]
            lines.append([row.machine, *cells, *lead])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def save(self, folder: str | Path, command: str = "") -> Path:
        """Write numbers, images, figures and a page into a folder, each file whole or not at all.

        Args:
            folder: made if it is missing.
            command: the line that makes them again, for the page.

        Returns:
            The page, `report.html`; beside it `compare.json`, `images.safetensors`, `pairs.png`,
            `pixels.png` and, where there are machines to set against each other, `scatter.png`.

        Raises:
            InputError: it cannot be written.
        """
        return save_comparison(self, folder_path("folder", folder), command)


def _brief(summary: Summary) -> str:
    return f"{summary.median:.3f} [{summary.low:.3f}, {summary.high:.3f}]"


def compare(
    network: DenoiserModel,
    machines: Mapping[str, Denoiser],
    data: TrainingSet,
    n: int = 32,
    steps: int = 20,
    seed: int = 0,
    *,
    network_steps: int | None = None,
    batch: int = 16,
    labels: int | str | Sequence[int | str] | None = None,
    run: OpenRun | None = None,
) -> Comparison:
    """Sample a network and machines from the same noise, on the network's schedule (theory §1.3).

    Sample i depends on the denoiser, `seed`, i and its label alone. The first machine that is
    called as one of `WITHOUT_ATTENTION` is what the others are measured against.

    Args:
        network: the network, or any denoiser that takes its place.
        machines: by name, on the network's device; the network may be among them.
        data: the training set of all, which knows the classes.
        n: number of samples, at least 1.
        steps: of the machines, at least 1.
        seed: of the starting noise, at least 0.
        network_steps: of the network; by default those of the machines.
        batch: how many samples to compute at a time; changes nothing but the rounding of a
            network's convolutions.
        labels: one class for all samples, or one for each.
        run: keeps every batch of images in its folder, and reads those that lie there.

    Returns:
        All images, and how well they agree.

    Raises:
        InputError: a count is out of range, there is no machine, or the images are of another
            shape than the network's.
    """
    most = steps if network_steps is None else network_steps
    n, steps, most, batch = check_counts(n=n, steps=steps, network_steps=most, batch=batch)
    seed = whole("seed", seed)
    if not machines:
        raise InputError("machines", machines, "at least one machine")
    if tuple(data.shape) != tuple(network.shape):
        accepted = f"images of {' × '.join(map(str, network.shape))}, as the network takes them"
        raise InputError("data", data, accepted)
    classes = sample_labels(data, labels, n)
    batches = [range(start, min(start + batch, n)) for start in range(0, n, batch)]
    total = n * (most + steps * len(machines))
    with tqdm(total=total, unit="step", delay=2, smoothing=0.1) as progress:

        def images(name: str, denoiser: Denoiser, count: int) -> Tensor:
            progress.set_description(name, refresh=False)

            def sampled(chosen: range) -> Tensor:
                return _sampled(denoiser, network, chosen, count, seed, classes, progress.update)

            if run is None:
                return torch.cat([sampled(chosen) for chosen in batches])
            return torch.cat([_kept(run, name, data, chosen, sampled) for chosen in batches])

        theirs = images("network", network, most)
        ours = {name: images(name, machine, steps) for name, machine in machines.items()}
    about = {
        "network": type(network).__name__,
        "read as": network.facts(),
        "training_set": data.name,
        "fingerprint": data.fingerprint(),
        "n": n,
        "seed": seed,
        "steps": steps,
        "network_steps": most,
        "labels": None if classes is None else classes.tolist(),
        "shape": list(theirs.shape[1:]),
    }
    without = next((name for name in WITHOUT_ATTENTION if name in machines), None)
    return Comparison(theirs, ours, without, about)


def _kept(
    run: OpenRun, name: str, data: TrainingSet, chosen: range, sampled: Callable[[range], Tensor]
) -> Tensor:
    """Return samples that lie in the folder of a run, after computing them if they do not."""
    about = {"run": run.key, "name": name, "samples": f"{chosen.start}-{chosen.stop}"}
    place = hashlib.sha256(name.encode()).hexdigest()[:8]
    path = run.folder / PARTS / f"{place}-{chosen.start:06d}-{chosen.stop:06d}.safetensors"

    def read() -> Tensor:
        return read_tensors(path, {"images": Spec((len(chosen), *data.shape))}, about)["images"]

    images = kept(path, read)
    if images is None:
        images = sampled(chosen)
        with reading("output", path.parent, "a folder to write to"):
            path.parent.mkdir(exist_ok=True)
        write_tensors(path, {"images": images}, about)
    return images


def _sampled(
    denoiser: Denoiser,
    network: DenoiserModel,
    chosen: range,
    steps: int,
    seed: int,
    classes: Tensor | None,
    update: Callable[[int], Any],
) -> Tensor:
    """Return samples of these numbers, float32 on the CPU."""
    noisy = starting_noise(seed, chosen, network.shape).to(network.device)
    labels = None if classes is None else classes[chosen.start : chosen.stop]
    for step in kg_trajectory(denoiser, noisy, network.schedule, steps, labels):
        noisy = step.after
        update(len(chosen))
    return noisy.float().cpu()
