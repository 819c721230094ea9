"""From noise to image: the reverse process, step by step (theory §1.3).

KG's deterministic loop runs over `t_j = j/n`, `j = n..1`, on the machine's schedule:

    φ ← √ᾱ(t_{j−1}) x̂0 + √(1−ᾱ(t_{j−1})) ε̂

Any scheduler of `diffusers` that takes a prediction of ε, x0 or v can take its place. A scheduler
that counts in σ (noise added to the clean image) is the same process seen at `ᾱ = 1/(1+σ²)`.
Trajectories are generators: who iterates may look at every step, and stop early.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from scoremachines.errors import InputError, whole
from scoremachines.machine.limits import Limits
from scoremachines.machine.schedulers import check_scheduler
from scoremachines.machine.schedulers import make_scheduler as make_scheduler
from scoremachines.machine.schedulers import scheduler_names as scheduler_names
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.schedule import NoiseSchedule, TableSchedule, predicted

__all__ = [
    "Denoiser",
    "Step",
    "kg_trajectory",
    "make_scheduler",
    "noise_generator",
    "scheduler_names",
    "scheduler_trajectory",
    "starting_noise",
]


class Denoiser(Protocol):
    """Whatever turns φ into x̂0: a machine, or a network behind an adapter."""

    def denoise(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Return x̂0, `[B, C, H, W]` in [-1, 1]."""
        ...


@dataclass(frozen=True)
class Step:
    """One step of the reverse process.

    Args:
        number: steps done, this one included; counts to `total`.
        total: number of steps.
        alpha_bar: ᾱ at which the denoiser was evaluated.
        noisy: φ that it was given, `[B, C, H, W]`.
        clean: x̂0 that it answered.
        after: φ after the step; after the last step, the sample.
        posterior: the whole answer, on the last step, if sources were requested.
        bound: largest error that the engine may have made in `clean`; 0 for exact engines.
    """

    number: int
    total: int
    alpha_bar: float
    noisy: Tensor
    clean: Tensor
    after: Tensor
    posterior: Posterior | None = None
    bound: float = 0.0


def noise_generator(seed: int, index: int) -> torch.Generator:
    """Return the generator of sample `index` of a run: it depends on nothing else."""
    numbers = [whole("seed", seed), whole("index", index, 0, 2**63 - 1)]
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def starting_noise(
    seed: int, indices: range, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return the noise that samples `indices` start from, the same for every machine and network.

    Args:
        seed: seed of the run, at least 0.
        indices: numbers of the samples.
        shape: (C, H, W).
        dtype: of the result; numbers are drawn in float32 on the CPU whatever it is.

    Returns:
        Standard normal, `[len(indices), C, H, W]`.

    Raises:
        InputError: the seed or a side is no whole number, or out of range.
    """
    seed, shape = whole("seed", seed), tuple(whole("shape", side, 1) for side in shape)
    draws = [torch.randn(shape, generator=noise_generator(seed, index)) for index in indices]
    return torch.stack(draws).to(dtype)


def kg_trajectory(
    machine: Denoiser,
    noise: Tensor,
    schedule: NoiseSchedule,
    steps: int = 20,
    labels: Tensor | None = None,
    best: int = 0,
    done: int = 0,
) -> Iterator[Step]:
    """Yield the steps of KG's deterministic loop.

    A network whose scheduler limited x̂0 (`limits`) is limited in the same way: ε̂ follows from x̂0
    as it was answered, and the step is taken with x̂0 within its limits, as DDIM does.

    Args:
        machine: the denoiser.
        noise: φ at t = 1, or, to continue, φ after `done` steps, `[B, C, H, W]`.
        schedule: ᾱ(t).
        steps: n, at least 1.
        labels: class of every sample, `[B]`.
        best: how many sources the last step names for every pixel; 0 for none.
        done: steps taken already.

    Yields:
        The steps, the last one with the samples.

    Raises:
        InputError: an answer is not finite.
    """
    steps, done = whole("steps", steps, 1), whole("done", done)
    noisy, limits = noise, getattr(machine, "limits", Limits())
    for j in range(steps - done, 0, -1):
        now, later = (float(schedule.alpha_bar(i / steps)) for i in (j, j - 1))
        clean, posterior, bound = _answer(machine, noisy, now, labels, best if j == 1 else 0)
        _check_finite(machine, clean, steps - j + 1, steps, now)
        epsilon = predicted("epsilon", clean, noisy, now)
        clean = limits(clean)
        after = clean if j == 1 else later**0.5 * clean + (1 - later) ** 0.5 * epsilon
        yield Step(steps - j + 1, steps, now, noisy, clean, after, posterior, bound)
        noisy = after


def _check_finite(
    machine: object, clean: Tensor, number: int, total: int, alpha_bar: float
) -> None:
    """Refuse an answer that is not finite, and name the step."""
    if not torch.isfinite(clean).all():
        argument = "machine" if hasattr(machine, "posterior") else "network"
        reason = f"x̂0 is not finite at step {number} of {total} (ᾱ = {alpha_bar:.3g})"
        name = type(getattr(machine, "module", machine)).__name__
        raise InputError(argument, name, "one whose answers are finite", reason)


def _answer(
    machine: Any, noisy: Tensor, alpha_bar: float, labels: Tensor | None, best: int
) -> tuple[Tensor, Posterior | None, float]:
    """Return x̂0, its sources where they are wanted, and its largest error."""
    if not hasattr(machine, "posterior"):
        return machine.denoise(noisy, alpha_bar, labels), None, 0.0
    posterior = machine.posterior(noisy, alpha_bar, labels, best=best)
    bound = float(posterior.error_bound.max())
    return posterior.mean, posterior if best else None, bound


def scheduler_trajectory(
    machine: Denoiser,
    noise: Tensor,
    scheduler: Any,
    steps: int = 20,
    labels: Tensor | None = None,
    generators: list[torch.Generator] | None = None,
    best: int = 0,
) -> Iterator[Step]:
    """Yield the steps of a `diffusers` scheduler.

    Args:
        machine: the denoiser.
        noise: standard normal, `[B, C, H, W]`.
        scheduler: takes predictions of ε, x0 or v.
        steps: how many, as the scheduler counts them.
        labels: class of every sample, `[B]`.
        generators: one for each sample, for schedulers that draw noise.
        best: how many sources the last step names for every pixel; 0 for none.

    Yields:
        The steps, the last one with the samples.

    Raises:
        InputError: no such scheduler, it does not take that many steps, or an answer is not
            finite.
    """
    check_scheduler(scheduler)
    steps = whole("steps", steps, 1)
    _set_timesteps(scheduler, steps)
    noisy = noise * scheduler.init_noise_sigma
    total = len(scheduler.timesteps)
    for number, timestep in enumerate(scheduler.timesteps, 1):
        alpha_bar, scale = _level(scheduler, timestep)
        variance_preserving = noisy * scale
        last = number == total
        clean, posterior, bound = _answer(
            machine, variance_preserving, alpha_bar, labels, best if last else 0
        )
        _check_finite(machine, clean, number, total, alpha_bar)
        scheduler.scale_model_input(noisy, timestep)  # schedulers insist on the call
        output = _output(scheduler, clean, variance_preserving, noisy, alpha_bar)
        after = scheduler.step(output, timestep, noisy, **_randomness(scheduler, generators))
        after = after.prev_sample
        if not torch.isfinite(after).all():  # such as where two timesteps round to the same
            reason = "the scheduler's numbers are not finite"
            raise InputError("steps", steps, "another number of steps", reason)
        yield Step(number, total, alpha_bar, variance_preserving, clean, after, posterior, bound)
        noisy = after


def _set_timesteps(scheduler: Any, steps: int) -> None:
    wanted = ("set_timesteps", "init_noise_sigma", "scale_model_input", "step")
    if not all(hasattr(scheduler, each) for each in wanted):
        accepted = "kg, or a diffusers scheduler that takes a prediction of ε, x0 or v"
        raise InputError("scheduler", scheduler, accepted)
    try:
        scheduler.set_timesteps(steps)
    except ValueError as error:
        accepted = f"a number of steps that {type(scheduler).__name__} takes"
        raise InputError("steps", steps, accepted, str(error)) from error


def _is_edm(scheduler: Any) -> bool:
    return hasattr(scheduler, "precondition_outputs")


def _level(scheduler: Any, timestep: Tensor) -> tuple[float, float]:
    """Return ᾱ at this step, and the factor that turns the scheduler's sample into φ."""
    one = torch.ones(1, dtype=torch.float64)
    scale = 1.0 if _is_edm(scheduler) else float(scheduler.scale_model_input(one, timestep))
    if scale < 1:
        return scale**2, scale
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is not None and hasattr(scheduler, "step_index"):
        variance = float(sigmas[scheduler.step_index or 0]) ** 2
        alpha_bar = 1 / (1 + variance)
        return alpha_bar, alpha_bar**0.5 if _is_edm(scheduler) else 1.0
    return float(TableSchedule(scheduler.alphas_cumprod).at_step(timestep)), 1.0


def _output(
    scheduler: Any, clean: Tensor, noisy: Tensor, sample: Tensor, alpha_bar: float
) -> Tensor:
    """Return x̂0 in the form that the scheduler wants it in."""
    kind = scheduler.config.prediction_type
    if not _is_edm(scheduler):
        return predicted(kind, clean, noisy, alpha_bar)
    # EDM wants the raw network F: x̂0 = c_skip x + c_out F.
    spread, sigma = scheduler.config.sigma_data, (1 / alpha_bar - 1) ** 0.5
    total = (sigma**2 + spread**2) ** 0.5
    sign = -1 if kind == "v_prediction" else 1
    return (clean - (spread / total) ** 2 * sample) * (sign * total / (sigma * spread))


def _randomness(scheduler: Any, generators: list[torch.Generator] | None) -> dict[str, Any]:
    takes = "generator" in inspect.signature(scheduler.step).parameters
    return {"generator": generators} if takes and generators is not None else {}
