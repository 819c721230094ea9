"""Samples: many trajectories, the same ones however they are batched (theory §1.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, check_counts, whole
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.sampling.result import Result
from scoremachines.sampling.reverse_process import (
    Step,
    kg_trajectory,
    make_scheduler,
    noise_generator,
    scheduler_trajectory,
    starting_noise,
)
from scoremachines.theory.posterior import Posterior

__all__ = ["sample", "sample_labels", "trajectory"]


def sample(
    machine: DenoiserModel,
    n: int = 16,
    steps: int = 20,
    seed: int = 0,
    *,
    scheduler: Any = "kg",
    labels: int | str | Sequence[int | str] | None = None,
    best: int = 4,
    batch: int = 16,
    on_step: Callable[[Step], None] | None = None,
    data: TrainingSet | None = None,
) -> Result:
    """Paint new images.

    Sample `i` depends on the machine, `seed`, `i`, the label and the scheduler alone: not on `n`,
    nor on `batch`.

    Args:
        machine: the machine, or a network.
        n: number of samples, at least 1.
        steps: number of steps, at least 1.
        seed: at least 0.
        scheduler: `"kg"` for KG's deterministic loop, the name of a `diffusers` scheduler, which
            takes over the settings that a network was saved with, or a scheduler itself.
        labels: one class for all samples, or one for each.
        best: K, how many sources to name for every pixel of a sample; 0 for no provenance.
        batch: how many samples to compute at a time.
        on_step: called after every step of every batch.
        data: the training set of the result; a machine brings its own.

    Returns:
        Images and their provenance.

    Raises:
        InputError: an argument is out of range.
    """
    n, steps, batch = check_counts(n=n, steps=steps, batch=batch)
    seed, best = whole("seed", seed), whole("best", best)
    known = _training_set(machine, data)
    classes = sample_labels(known, labels, n)
    last: list[Step] = []
    bound = 0.0
    for start in range(0, n, batch):
        indices = range(start, min(start + batch, n))
        step = None
        for step in trajectory(machine, indices, steps, seed, scheduler, classes, best):
            bound = max(bound, step.bound)
            if on_step is not None:
                on_step(step)
        assert step is not None  # steps >= 1
        last.append(step)
    posteriors = [step.posterior for step in last if step.posterior is not None]
    return Result(
        images=torch.cat([step.after for step in last]).float().cpu(),
        data=known,
        posterior=Posterior.cat(posteriors) if posteriors else None,
        labels=classes,
        bound=bound,
    )


def _training_set(machine: DenoiserModel, data: TrainingSet | None) -> TrainingSet:
    known = getattr(machine, "data", None) if data is None else data
    if known is None:
        raise InputError("data", None, "the training set, which a network does not bring along")
    return known


def trajectory(
    machine: DenoiserModel,
    indices: range,
    steps: int = 20,
    seed: int = 0,
    scheduler: Any = "kg",
    labels: Tensor | None = None,
    best: int = 0,
    resume: tuple[int, Tensor] | None = None,
) -> Iterator[Step]:
    """Yield the steps of some of a run's samples.

    Args:
        machine: the machine, or a network.
        indices: numbers of the samples in the run.
        steps: number of steps.
        seed: of the run.
        scheduler: as in `sample`.
        labels: class of every sample of the run, by number of the sample.
        best: how many sources the last step names; 0 for none.
        resume: number of steps done and φ after them, to continue KG's loop.

    Returns:
        The steps, computed as they are requested.
    """
    noise = starting_noise(seed, indices, machine.shape).to(machine.device, machine.dtype)
    if labels is not None and (labels.ndim != 1 or len(labels) < indices.stop):
        raise InputError("labels", labels, f"one class for each of {indices.stop} samples")
    chosen = None if labels is None else labels[indices.start : indices.stop]
    if isinstance(scheduler, str) and scheduler == "kg":
        done, noisy = resume or (0, noise)
        noisy = noisy.to(noise)
        return kg_trajectory(machine, noisy, machine.schedule, steps, chosen, best, done)
    generators = [noise_generator(seed, index) for index in indices]
    for generator in generators:
        # The first numbers have become the starting noise; the scheduler's come after them.
        torch.randn(machine.shape, generator=generator)
    made = scheduler
    if isinstance(scheduler, str):
        made = make_scheduler(scheduler, getattr(machine, "scheduler_settings", None))
    return scheduler_trajectory(machine, noise, made, steps, chosen, generators, best)


def sample_labels(
    data: TrainingSet, labels: int | str | Sequence[int | str] | None, n: int
) -> Tensor | None:
    """Resolve the classes of a run's samples.

    Args:
        data: the training set that has the classes.
        labels: one class for all samples, or one for each; names or numbers; None for any.
        n: number of samples.

    Returns:
        The class of each sample, int64 `[n]`, or None.

    Raises:
        InputError: unknown class, or neither one class nor `n`.
    """
    if labels is None:
        return None
    several = isinstance(labels, Iterable) and not isinstance(labels, str)
    if (
        several and getattr(labels, "ndim", None) != 0
    ):  # NumPy's and torch's single numbers have none
        listed = list(cast(Iterable[int | str], labels))
    else:
        listed = [cast(int | str, labels)] * n
    if len(listed) != n:
        raise InputError("labels", labels, f"one class or {n} classes")
    return torch.tensor([data.label(label) for label in listed])
