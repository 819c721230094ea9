"""How well machines remove noise from images that they have not seen (theory §6.5).

For each noise level σ, of pixels in [0, 1], test images are noised once, and every machine gets
the same noisy images. Where there is a choice of windows and widths, other held-out images decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole
from scoremachines.experiments.measuring import DenoiseSettings
from scoremachines.experiments.run_settings import memory_bytes
from scoremachines.io.folders import output_folder
from scoremachines.io.listed import kept_list
from scoremachines.io.sealed import write_json
from scoremachines.machine.baselines import Wiener
from scoremachines.machine.by_name import make_denoiser
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.named import named_machine
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.theory.schedule import noise_schedule
from scoremachines.theory.specs import MachineSpec, painter
from scoremachines.theory.specs.machine import WIENER
from scoremachines.theory.specs.width import smooth_at, smooth_text, with_width

__all__ = ["FILE", "HEAD", "Row", "denoise_in_folder", "noised", "ratio_of"]

FILE = "denoise.json"
HEAD = "| σ | machine | k | h | error / Wiener | ± | error |\n" + "|---" * 7 + "|"


@dataclass(frozen=True)
class Row:
    """What one machine does at one noise level.

    Args:
        sigma: of the noise, of pixels in [0, 1].
        machine: its name.
        window: k that was chosen; None for the whole image, and for denoisers of other kinds.
        width: h that was chosen, perhaps with contrasts.
        error: mean squared error of pixels in [0, 1].
        ratio: that over the Wiener filter's.
        spread: standard error of the ratio, over the test images.
    """

    sigma: float
    machine: str
    window: int | None
    width: str
    error: float
    ratio: float
    spread: float

    def __str__(self) -> str:
        window = "" if self.window is None else str(self.window)
        cells = [f"{self.sigma:g}", self.machine, window, self.width, f"{self.ratio:.3f}"]
        return f"| {' | '.join([*cells, f'{self.spread:.3f}', f'{self.error:.3g}'])} |"


def noised(images: Tensor, sigma: float, seed: int) -> tuple[Tensor, float]:
    """Return noisy images as machines take them, and their ᾱ.

    With `y = x + 2σ ε` for x in [-1, 1], `φ = y / √(1+4σ²)` and `ᾱ = 1/(1+4σ²)` (theory §1.3).

    Args:
        images: x, `[n, C, H, W]` in [-1, 1].
        sigma: σ, of pixels in [0, 1].
        seed: of the noise.

    Returns:
        φ, `[n, C, H, W]`, and ᾱ.
    """
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(images.shape, generator=draw, dtype=images.dtype)
    alpha_bar = 1 / (1 + 4 * sigma**2)
    return alpha_bar**0.5 * (images + 2 * sigma * noise), alpha_bar


def ratio_of(errors: Tensor, others: Tensor) -> tuple[float, float]:
    """Return the ratio of two mean errors on the same images, and its standard error.

    `r = Σ a / Σ b`, `s = std(a − r b) / (√n mean(b))`.

    Args:
        errors: a, `[n]`.
        others: b, `[n]`.

    Returns:
        r and s.
    """
    ratio = float(errors.mean() / others.mean())
    spread = (errors - ratio * others).std() / len(errors) ** 0.5 / others.mean()
    return ratio, float(spread)


def denoise_in_folder(
    settings: DenoiseSettings,
    data: TrainingSet,
    held_out: TrainingSet | None,
    names: Sequence[str],
    output: str | Path,
    *,
    resume: bool = False,
) -> Path:
    """Measure machines on images that they have not seen, print a table, and write a file.

    Args:
        settings: noise levels, numbers of images, windows and widths to choose among.
        data: the training set.
        held_out: test images; None to take some out of the training set.
        names: of the machines; the Wiener filter is always among them.
        output: folder to write to.
        resume: go on where a run in that folder stopped.

    Returns:
        The file.

    Raises:
        InputError: a setting or the folder cannot be used, or there are too few images.
    """
    specs = list(dict.fromkeys(map(painter, [WIENER, *names])))
    pool, chosen, test = _divided(settings, data, held_out)
    pixels = _grid(settings.pixels, pool.shape[1:])
    with output_folder(output, marker=FILE, resume=resume) as folder:
        known = {"settings": asdict(settings), "training_set": pool.fingerprint()}
        rows = [Row(**each) for each in kept_list(folder / FILE, known, "rows")]
        print(f"{pool!r}; {len(chosen)} images to choose by, {len(test)} to test by\n\n{HEAD}")
        for row in rows:
            print(row)
        for sigma in settings.levels:
            wiener = _errors(Wiener(pool), test, sigma, settings.seed, pixels)
            for spec in specs:
                if any((row.sigma, row.machine) == (sigma, str(spec)) for row in rows):
                    continue
                window, width, machine = _best(spec, pool, chosen, sigma, settings)
                errors = _errors(machine, test, sigma, settings.seed, pixels)
                mean = float(errors.mean())
                row = Row(sigma, str(spec), window, width, mean, *ratio_of(errors, wiener))
                rows.append(row)
                write_json(folder / FILE, known | {"rows": [asdict(each) for each in rows]})
                print(row, flush=True)
        return folder / FILE


def _divided(
    settings: DenoiseSettings, data: TrainingSet, held_out: TrainingSet | None
) -> tuple[TrainingSet, Tensor, Tensor]:
    """Return the pool, and images in [-1, 1] to choose and to test by."""
    draw = torch.Generator().manual_seed(whole("seed", settings.seed))
    whole("n", settings.n, 2), whole("validation", settings.validation, 1)
    wanted, other = settings.n + settings.validation, data if held_out is None else held_out
    if len(other) < wanted + (held_out is None):
        accepted = f"at most {len(other) - (held_out is None)} with those to choose by"
        raise InputError("n", settings.n, accepted)
    if other.shape != data.shape:
        accepted = "images of the training set's shape"
        raise InputError("held_out", other, accepted, "×".join(map(str, other.shape)))
    order = torch.randperm(len(other), generator=draw)
    images = other.block(order[:wanted], torch.float32)
    pool = data if held_out is not None else data.subset(order[wanted:].sort().values)
    if settings.pool is not None:
        few = torch.randperm(len(pool), generator=draw)[: whole("pool", settings.pool, 1)]
        pool = pool.subset(few.sort().values)
    return pool, images[settings.n :], images[: settings.n]


def _best(
    spec: MachineSpec, pool: TrainingSet, chosen: Tensor, sigma: float, settings: DenoiseSettings
) -> tuple[int | None, str, DenoiserModel]:
    """Return the window and the width with the least error on some images, and the machine."""
    schedule = noise_schedule("cosine")
    level = torch.tensor([1 / (1 + 4 * sigma**2)], dtype=torch.float64)
    time = float(schedule.time(level))
    size = pool.shape[1:]
    pixels = _grid(settings.pixels, size)
    windows = list[int | None](settings.window_choices(size)) if spec.has_window else [None]
    fixed = smooth_at(spec.smooth, time)
    some = [fixed] if fixed or spec.is_denoiser else settings.width_choices
    widths = [with_width(spec.smooth, h) for h in some]
    choices = list(product(windows, widths))
    options: dict[str, Any] = {"engine": settings.engine, "memory": memory_bytes(settings.memory)}
    machines: list[DenoiserModel] = [
        make_denoiser(str(spec), pool, window, schedule)
        if spec.is_denoiser
        else named_machine(spec, pool, window or 1, smooth=width, **options)
        for window, width in choices
    ]
    found = 0
    if len(choices) > 1:
        title = f"choosing for {spec} at σ = {sigma:g}"
        errors = [
            float(_errors(machine, chosen, sigma, settings.seed + 1, pixels).mean())
            for machine in tqdm(machines, desc=title, unit="machine", delay=2)
        ]
        found = min(range(len(errors)), key=errors.__getitem__)
    window, width = choices[found]
    return window, "" if width == 0 else smooth_text(width), machines[found]


def _grid(count: int | None, size: tuple[int, int]) -> Tensor:
    """Return the numbers of pixels on a grid, about so many; of all for None."""
    height, width = size
    pixels = height * width
    wanted = pixels if count is None else whole("pixels", count, 1)
    step = max(1.0, (pixels / wanted) ** 0.5)  # between pixels of the grid
    rows, columns = (
        ((torch.arange(number) + 0.5) * side / number).long()
        for side, number in ((side, max(1, round(side / step))) for side in size)
    )
    return (rows[:, None] * width + columns).flatten()


def _errors(
    machine: DenoiserModel, images: Tensor, sigma: float, seed: int, pixels: Tensor
) -> Tensor:
    """Return the mean squared error on each image, of pixels in [0, 1], float64 `[n]`."""
    found = []
    noisy, alpha_bar = noised(images, sigma, seed)
    for some, clean in zip(noisy.split(256), images.split(256), strict=True):
        if isinstance(machine, ScoreMachine):
            answer = machine.posterior(some, alpha_bar, pixels=pixels).mean
        else:
            answer = machine.denoise(some, alpha_bar)
        apart = answer.double() - clean.double()
        found.append(apart.flatten(2)[..., pixels].square().mean((1, 2)) / 4)
    return torch.cat(found)
