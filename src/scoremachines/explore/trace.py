"""The trajectory of one sample: φ, x̂0 and the sources of every pixel at every step.

A run keeps the sources of its last step only. The trajectory is deterministic given the seed, so
it is followed again here, with the machine's sources at each step (theory §1.3, §6.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scoremachines.explore.attention_maps import Attended, attended, strongest
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.sampling.sample import trajectory
from scoremachines.theory.locality import WindowSchedule
from scoremachines.theory.posterior import Posterior

__all__ = ["Course", "Trace", "follow", "look", "windows_at"]

ATTENDED = 6
"""How many attended places are named for each pixel."""


@dataclass(frozen=True)
class Course:
    """What decides a run's samples, but the machine.

    Args:
        steps: number of steps.
        seed: of the starting noise.
        scheduler: as `sample` takes it.
        labels: class of every sample, int64 `[n]`; None for any.
        best: K, how many sources to name for every pixel.
    """

    steps: int = 20
    seed: int = 0
    scheduler: Any = "kg"
    labels: Tensor | None = None
    best: int = 4

    def label(self, sample: int) -> int | None:
        """Return the class that a sample was to be of; None for any."""
        return None if self.labels is None else int(self.labels[sample])


@dataclass(frozen=True)
class Trace:
    """One sample under one denoiser, step by step; all on the CPU.

    Args:
        image: the sample, `[C, H, W]` in [-1, 1].
        alpha_bar: ᾱ of the S steps.
        time: t of the S steps, in [0, 1].
        windows: k of the S steps, pixels; None for the whole image.
        noisy: φ, `[S, C, H, W]`; None where only the end is known.
        clean: x̂0, `[S, C, H, W]`.
        posterior: sources and entropy, the steps in the place of the batch; None if nobody named
            them.
        attended: what each pixel attends to at each step; None without attention.
    """

    image: Tensor
    alpha_bar: list[float]
    time: list[float]
    windows: list[int | None]
    noisy: Tensor | None
    clean: Tensor
    posterior: Posterior | None
    attended: list[Attended] | None


class _Watched:
    """A denoiser that keeps its inputs and outputs."""

    def __init__(
        self, denoiser: DenoiserModel, reader: ScoreMachine | None, label: int | None, best: int
    ) -> None:
        self.denoiser, self.reader = denoiser, reader
        self.label, self.best = label, best
        self.shape, self.schedule = denoiser.shape, denoiser.schedule
        self.device, self.dtype = denoiser.device, denoiser.dtype
        self.posterior_now: Posterior | None = None
        self.attended_now: Attended | None = None

    def denoise(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        level = float(alpha_bar)
        if self.reader is not None:
            known = self.reader.posterior(noisy, level, labels, best=self.best)
            self.posterior_now = _on_cpu(known)
        if isinstance(self.denoiser, ScoreMachine):
            self.attended_now = attended(self.denoiser, noisy, level, self.label, ATTENDED)
            assert self.posterior_now is not None  # a machine reads for itself
            return self.posterior_now.mean.to(noisy)
        self.attended_now = _network_attended(self.denoiser, noisy, level)
        with torch.no_grad():
            return self.denoiser.denoise(noisy, level, labels)


def follow(
    denoiser: DenoiserModel,
    sample: int,
    course: Course,
    reader: ScoreMachine | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Trace:
    """Paint one sample of a run again and keep every step.

    Args:
        denoiser: a machine, or a network.
        sample: its number in the run.
        course: of the run.
        reader: names the sources of a network's noisy images; a machine names its own.
        on_step: called after every step with its number and the number of steps.

    Returns:
        The trace.
    """
    if isinstance(denoiser, ScoreMachine):
        reader = denoiser
    label = course.label(sample)
    watched = _Watched(denoiser, reader, label, course.best)
    chosen = range(sample, sample + 1)
    labels = course.labels
    steps: list[Any] = []
    posteriors: list[Posterior | None] = []
    places: list[Attended | None] = []
    walk = trajectory(
        watched,  # type: ignore[arg-type]
        chosen,
        course.steps,
        course.seed,
        course.scheduler,
        labels,
    )
    for step in walk:
        steps.append(step)
        posteriors.append(watched.posterior_now)
        places.append(watched.attended_now)
        if on_step is not None:
            on_step(step.number, step.total)
    levels = [step.alpha_bar for step in steps]
    times = [float(denoiser.schedule.time(level)) for level in levels]
    return Trace(
        image=steps[-1].after[0].float().cpu(),
        alpha_bar=levels,
        time=times,
        windows=windows_at(reader, times),
        noisy=torch.cat([step.noisy for step in steps]).float().cpu(),
        clean=torch.cat([step.clean for step in steps]).float().cpu(),
        posterior=_joined(posteriors),
        attended=_all(places),
    )


def look(
    machine: ScoreMachine, noisy: Tensor, alpha_bar: float, label: int | None, best: int
) -> Trace:
    """Evaluate a machine, of whatever kind, at one noisy image.

    Args:
        machine: the machine.
        noisy: φ, `[C, H, W]`.
        alpha_bar: ᾱ in [0, 1].
        label: restrict the training set to this class; None for all.
        best: K, how many sources to name.

    Returns:
        A trace of a single step.
    """
    batch = noisy[None].to(machine.device, machine.dtype)
    watched = _Watched(machine, machine, label, best)
    labels = None if label is None else torch.tensor([label])
    clean = watched.denoise(batch, alpha_bar, labels).float().cpu()
    time = float(machine.schedule.time(alpha_bar))
    return Trace(
        image=clean[0],
        alpha_bar=[alpha_bar],
        time=[time],
        windows=windows_at(machine, [time]),
        noisy=noisy[None].float().cpu(),
        clean=clean,
        posterior=watched.posterior_now,
        attended=_all([watched.attended_now]),
    )


def _network_attended(network: DenoiserModel, noisy: Tensor, alpha_bar: float) -> Attended | None:
    """Return what a network attends to, if it shows its maps and they are not zero."""
    maps = getattr(network, "attention", None)
    if maps is None or not callable(maps):
        return None
    with torch.no_grad():
        rows = maps(noisy, network.schedule.time(alpha_bar))
    if not rows.any():
        return None
    height, width = noisy.shape[-2:]
    return strongest(rows.reshape(-1, *rows.shape[-2:])[0], height, width, ATTENDED)


def windows_at(machine: ScoreMachine | None, times: list[float]) -> list[int | None]:
    """Return a machine's window at each of some times; None for the whole image."""
    window = None if machine is None else machine.window
    if isinstance(window, WindowSchedule):
        return [window(time) for time in times]
    return [window] * len(times)


def _on_cpu(posterior: Posterior) -> Posterior:
    sources = posterior.sources
    return Posterior(
        posterior.log_weight.cpu(),
        posterior.mean.cpu(),
        None if posterior.entropy is None else posterior.entropy.cpu(),
        None if sources is None else sources.map(lambda field: field.cpu()),
    )


def _joined(parts: list[Posterior | None]) -> Posterior | None:
    known = [part for part in parts if part is not None]
    return Posterior.cat(known) if known and len(known) == len(parts) else None


def _all(places: list[Attended | None]) -> list[Attended] | None:
    known = [each for each in places if each is not None]
    return known if known and len(known) == len(places) else None
