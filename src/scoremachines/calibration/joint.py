"""k(t) and the width of sources h(t) together: of a network, or from the training set alone.

    (k, h)(t) = argmax_{k,h} mean_j values[t, h, k, j]

with `values` the likeness of network and machine on the network's own trajectories j, or minus the
error on noised training images j that the machine does not have (theory §3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scoremachines.calibration.curves import MEASURES, check_measure, follow, known_sources, origin
from scoremachines.calibration.information import noised_images
from scoremachines.calibration.search import every
from scoremachines.calibration.windows import odd_windows
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, check_counts, real, whole
from scoremachines.io.files import reading
from scoremachines.io.sealed import read_json, write_json
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.sampling.reverse_process import Step
from scoremachines.theory.locality import WindowSchedule
from scoremachines.theory.positions import read_sources
from scoremachines.theory.schedule import NoiseSchedule, noise_schedule
from scoremachines.theory.specs.width import Mixture, SmoothSchedule

__all__ = ["JointCalibration", "calibrate_jointly", "predict_jointly"]

HELD_OUT = "held-out"
KIND = "windows and widths"
LISTS = ("times", "windows", "widths")
WIDTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
"""Widths to choose among."""


@dataclass(frozen=True, eq=False)
class JointCalibration:
    """k(t) and h(t), and the numbers that they rest on.

    Args:
        times: t of the steps in [0, 1], rising.
        windows: the candidates k, odd, pixels, rising.
        widths: the candidates h, rising.
        values: for every measure, float64 `[step, width, window, trajectory]`.
        measure: the one that decides; the largest mean over trajectories is chosen.
        contrasts: whether sources come in contrasts (theory §2.9).
        about: how the numbers came about, in words and numbers.

    Raises:
        InputError: the parts do not fit together.
    """

    times: tuple[float, ...]
    windows: tuple[int, ...]
    widths: tuple[float, ...]
    values: Mapping[str, Tensor]
    measure: str
    contrasts: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = len(self.times), len(self.widths), len(self.windows)
        if self.measure not in self.values:
            raise InputError("measure", self.measure, ", ".join(self.values))
        for name, value in self.values.items():
            if value.ndim != 4 or value.shape[:3] != shape or not bool(value.isfinite().all()):
                accepted = "finite numbers [step, width, window, trajectory] for every measure"
                raise InputError("values", name, accepted)

    def chosen(self) -> list[tuple[int, float]]:
        """Return k and h at every step, by the largest mean over trajectories."""
        best = self.values[self.measure].mean(3).flatten(1).argmax(1).tolist()
        count = len(self.windows)
        return [(self.windows[each % count], self.widths[each // count]) for each in best]

    @property
    def window(self) -> WindowSchedule:
        """k(t), for `ScoreMachine(…, window=…)`."""
        return WindowSchedule(self.times, tuple(k for k, _ in self.chosen()))

    @property
    def smooth(self) -> SmoothSchedule | Mixture:
        """h(t), for `ScoreMachine(…, smooth=…)`."""
        schedule = SmoothSchedule(self.times, tuple(h for _, h in self.chosen()))
        return Mixture(schedule) if self.contrasts else schedule

    def save(self, path: str | Path) -> None:
        """Write it as JSON, all or nothing.

        Args:
            path: the file.

        Raises:
            InputError: the file cannot be written.
        """
        fields = (*LISTS, "measure", "contrasts")
        content = {"kind": KIND} | {name: getattr(self, name) for name in fields}
        content["about"] = dict(self.about)
        content["values"] = {name: value.tolist() for name, value in self.values.items()}
        write_json(path, content, indent=None)

    @staticmethod
    def load(path: str | Path) -> JointCalibration:
        """Read what `save` wrote.

        Args:
            path: the file.

        Returns:
            The same calibration.

        Raises:
            InputError: the file is missing, damaged or holds something else.
        """
        accepted = f"a file with calibrated {KIND}"
        with reading("calibration", path, accepted):
            content = read_json(path, argument="calibration", accepted=accepted)
            if content["kind"] != KIND:
                raise ValueError("it holds something else")
            values = {
                str(name): torch.tensor(value, dtype=torch.float64)
                for name, value in content["values"].items()
            }
            times, windows, widths = (tuple(content[each]) for each in LISTS)
            others = content["measure"], bool(content["contrasts"]), dict(content["about"])
            return JointCalibration(times, windows, widths, values, *others)


def calibrate_jointly(
    network: DenoiserModel,
    data: TrainingSet,
    *,
    windows: Sequence[int] | None = None,
    widths: Sequence[float] = WIDTHS,
    contrasts: bool = False,
    sources: str | None = None,
    measure: str = "error",
    steps: int = 20,
    seeds: int = 8,
    seed: int = 0,
    labels: int | str | Sequence[int | str] | None = None,
    on_step: Callable[[Step], object] | None = None,
) -> JointCalibration:
    """Find k(t) and h(t) of a network together (theory §3, Calibration).

    `(k, h)(t) = argmax_{k,h} mean_j values[t, h, k, j]` over the network's own trajectories j.

    Args:
        network: a network, or a machine that plays one.
        data: its training set.
        windows: candidates k, odd, pixels; by default all that fit into the image and into what
            the network sees.
        widths: candidates h, in [0, 1].
        contrasts: let sources come in contrasts (theory §2.9).
        sources: V(u); by default what the network's padding stands for.
        measure: what decides: `"error"`, minus the mean squared difference of x̂0, `"noise"` or
            `"clean"`, as in `calibrate`.
        steps: of the network's trajectories; their times are the knots.
        seeds: number of trajectories.
        seed: of their starting noise.
        labels: one class for all trajectories, or one for each.
        on_step: called after every step.

    Returns:
        k(t) and h(t).

    Raises:
        InputError: an argument is out of range, or data and network do not fit together.
    """
    check_measure(measure)
    chosen = known_sources(network, data, sources)
    most = getattr(network, "receptive_field", None)
    candidates, hs = odd_windows(data, windows, most), _widths(widths)
    moved = ScoreMachine(data, candidates[0], chosen).to(network.device).data
    machines = _machines(moved, candidates, hs, chosen, network.schedule, contrasts)
    times, values = follow(
        network,
        data,
        machines,
        steps=steps,
        seeds=seeds,
        seed=seed,
        labels=labels,
        on_step=on_step,
        search=every(len(machines)),
    )
    shaped = {name: values[name].unflatten(1, (len(hs), len(candidates))) for name in MEASURES}
    about = origin(network, data, chosen, seed)
    return JointCalibration(times, candidates, hs, shaped, measure, contrasts, about)


def predict_jointly(
    data: TrainingSet,
    *,
    windows: Sequence[int] | None = None,
    widths: Sequence[float] = WIDTHS,
    contrasts: bool = False,
    sources: str = "boundary",
    schedule: str | NoiseSchedule | Sequence[float] = "cosine",
    steps: int = 20,
    draws: int = 16,
    seed: int = 0,
    memory: int = 2**30,
) -> JointCalibration:
    """Predict k(t) and h(t) with no network, by the error on images held out (theory §3).

        (k, h)(t) = argmin_{k,h} E_j ‖x_j − x̂0_{k,h, without all j}(√ᾱ x_j + √(1−ᾱ) ε_j)‖²

    Args:
        data: the training set, N images.
        windows: candidates k, odd, pixels; by default all that fit into the image.
        widths: candidates h, in [0, 1].
        contrasts: let sources come in contrasts (theory §2.9).
        sources: V(u), `"aligned"`, `"valid"`, `"circular"` or `"boundary"`.
        schedule: ᾱ(t).
        steps: the knots are j/steps, j = 1..steps.
        draws: how many training images are held out, all together; at most N/2.
        seed: of the draws, at least 0.
        memory: bytes that the engine may use above the training set.

    Returns:
        k(t) and h(t).

    Raises:
        InputError: an argument is out of range.
    """
    steps, draws = check_counts(steps=steps, draws=draws)
    seed, memory = whole("seed", seed), whole("memory", memory, 1)
    sources, levels = read_sources(sources), noise_schedule(schedule)
    if draws > len(data) // 2:
        raise InputError("draws", draws, f"at most half of {len(data)} training images")
    candidates, hs = odd_windows(data, windows), _widths(widths)
    places, noise = noised_images(data, draws, seed)
    kept = torch.ones(len(data), dtype=torch.bool)
    kept[places] = False
    clean = data.block(places, torch.float64)
    machines = _machines(
        data.subset(kept), candidates, hs, sources, levels, contrasts, memory=memory
    )
    times = tuple(j / steps for j in range(1, steps + 1))
    rows = []
    for alpha_bar in levels.alpha_bar(torch.tensor(times, dtype=torch.float64)).tolist():
        noisy = alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * noise.to(clean.device)
        errors = [(each.denoise(noisy, alpha_bar) - clean).square() for each in machines]
        rows.append(torch.stack([-error.mean((1, 2, 3)) for error in errors]))
    values = torch.stack(rows).cpu().unflatten(1, (len(hs), len(candidates)))
    about = {
        "training_set": data.name,
        "fingerprint": data.fingerprint(),
        "sources": sources,
        "seed": seed,
    }
    return JointCalibration(times, candidates, hs, {HELD_OUT: values}, HELD_OUT, contrasts, about)


def _widths(widths: Sequence[float]) -> tuple[float, ...]:
    if not isinstance(widths, Sequence) or isinstance(widths, str) or not widths:
        raise InputError("widths", widths, "at least one number from 0 to 1")
    return tuple(sorted({real("widths", each, 0, 1) for each in widths}))


def _machines(
    data: TrainingSet,
    windows: Sequence[int],
    widths: Sequence[float],
    sources: str,
    schedule: NoiseSchedule,
    contrasts: bool,
    memory: int = 2**30,
) -> list[ScoreMachine]:
    """Return those of all widths, and of all windows for each width."""
    options: dict[str, Any] = {"schedule": schedule, "memory": memory}
    return [
        ScoreMachine(data, k, sources, smooth=Mixture(h) if contrasts else h, **options)
        for h, k in product(widths, windows)
    ]
