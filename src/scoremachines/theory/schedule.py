"""Noise schedules: ᾱ(t) and its inverse (theory §1).

`φ = √ᾱ x + √(1−ᾱ) ε` with `ᾱ = ᾱ(t)` falling from 1 at `t = 0` towards 0 at `t = 1`.
Between the entries of a table, the log signal-to-noise ratio `log ᾱ/(1−ᾱ)` is interpolated.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from scoremachines.errors import InputError
from scoremachines.io.files import reading

__all__ = [
    "CLOSEST",
    "PREDICTIONS",
    "SCHEDULES",
    "CosineSchedule",
    "NoiseSchedule",
    "TableSchedule",
    "clean_from",
    "noise_schedule",
    "predicted",
]

STRETCH = 1.008
CLOSEST = 1e-12
"""ᾱ is kept this far from 0 and 1, where formulas divide by √ᾱ and by 1 − ᾱ."""


class NoiseSchedule(ABC):
    """ᾱ as a function of t in [0, 1], and back.

    The forward process is `φ = √ᾱ(t) x + √(1−ᾱ(t)) ε` (theory §1.1).
    """

    name: str

    @property
    def setting(self) -> str | list[float]:
        """What `noise_schedule` makes the same schedule of."""
        return self.name

    @abstractmethod
    def alpha_bar(self, t: Tensor | float) -> Tensor:
        """Return ᾱ(t) as float64 in [0, 1], shaped as `t`."""

    @abstractmethod
    def time(self, alpha_bar: Tensor | float) -> Tensor:
        """Return the t in [0, 1] at which ᾱ(t) is `alpha_bar`, as float64; clamped at the ends."""


class CosineSchedule(NoiseSchedule):
    """KG's schedule, `ᾱ(t) = cos²(π/2 · t/1.008)` (theory §1)."""

    name = "cosine"

    def alpha_bar(self, t: Tensor | float) -> Tensor:
        angle = _numbers("t", t) * (math.pi / 2 / STRETCH)
        return angle.cos().square()

    def time(self, alpha_bar: Tensor | float) -> Tensor:
        root = _numbers("alpha_bar", alpha_bar).clamp(0, 1).sqrt()
        return (root.acos() * (2 / math.pi) * STRETCH).clamp(0, 1)


class TableSchedule(NoiseSchedule):
    """A table of ᾱ at the training steps `n = 0..T−1` of a discrete-time model (theory §1).

    Step `n` is the time `t = (n+1)/T`, so that `t = 0` is the clean image. Between entries the log
    signal-to-noise ratio `γ = log ᾱ/(1−ᾱ)` is linear, `γ(n+f) = (1−f) γ_n + f γ_{n+1}`.

    Args:
        alphas_cumprod: T strictly falling values in [0, 1].
        name: how the schedule is called in settings.

    Raises:
        InputError: the table is empty, not falling, or leaves [0, 1].
    """

    def __init__(self, alphas_cumprod: Sequence[float] | Tensor, name: str = "table") -> None:
        try:
            table = np.asarray(torch.as_tensor(alphas_cumprod, dtype=torch.float64).cpu())
        except (TypeError, ValueError, RuntimeError):  # no numbers, or not in a rectangle
            table = np.empty(0)
        falling = table.ndim == 1 and table.size > 0 and bool((np.diff(table) < 0).all())
        if not falling or not (table[-1] >= 0 and table[0] <= 1):
            raise InputError(
                "alphas_cumprod", alphas_cumprod, "a list of strictly falling values in [0, 1]"
            )
        self.name, self._table = name, table.tolist()
        self._steps = np.arange(len(table) + 1) / len(table)
        self._log_snr = _log_snr(np.concatenate([[1.0], table]))

    @classmethod
    def linear(cls) -> TableSchedule:
        """Return DDPM's schedule: β rises linearly from 1e-4 to 0.02 over 1,000 steps."""
        beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        return cls((1 - beta).cumprod(0), name="linear")

    @property
    def setting(self) -> str | list[float]:
        return self.name if self.name in SCHEDULES else self._table

    def alpha_bar(self, t: Tensor | float) -> Tensor:
        log_snr = np.interp(_numbers("t", t).cpu(), self._steps, self._log_snr)
        return torch.sigmoid(torch.as_tensor(log_snr))

    def time(self, alpha_bar: Tensor | float) -> Tensor:
        wanted = _log_snr(np.asarray(_numbers("alpha_bar", alpha_bar).cpu()))
        return torch.as_tensor(np.interp(-wanted, -self._log_snr, self._steps))

    def equals(self, alphas_cumprod: Tensor) -> bool:
        """Return whether a table is this one, but for how its numbers were rounded."""
        table = np.asarray(alphas_cumprod.double().cpu())
        if table.shape != (len(self._table),):
            return False
        return bool(np.allclose(_log_snr(table), self._log_snr[1:], rtol=0, atol=0.01))

    def at_step(self, step: Tensor | float) -> Tensor:
        """Return ᾱ at training step `step` in [0, T−1], which may lie between two entries.

        Args:
            step: the step, of any shape.

        Returns:
            float64, shaped as `step`.

        Raises:
            InputError: a step is outside of the table.
        """
        with reading("timestep", step, "a number or a tensor of numbers"):
            number = torch.as_tensor(step, dtype=torch.float64).cpu()
        last = len(self._steps) - 2
        if not ((number >= 0) & (number <= last)).all():
            reason = "it is not in the model's table; match(scheduler) gives it another"
            raise InputError("timestep", step, f"from 0 to {last}", reason)
        return self.alpha_bar((number + 1) / (len(self._steps) - 1))

    def step(self, alpha_bar: Tensor | float) -> Tensor:
        """Return the training step in [0, T−1] at which ᾱ is `alpha_bar`: inverse of `at_step`.

        It may lie between two entries; an ᾱ outside of the table is clamped to it.
        """
        last = len(self._steps) - 2
        return (self.time(alpha_bar) * (last + 1) - 1).clamp(0, last)


def _log_snr(alpha_bar: np.ndarray) -> np.ndarray:
    inside = np.clip(alpha_bar, 1e-12, 1 - 1e-12)
    return np.log(inside) - np.log1p(-inside)


def predicted(kind: str, clean: Tensor, noisy: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """Return x̂0 in another form (theory §1).

    Args:
        kind: `"sample"` for x̂0 itself, `"epsilon"` for `ε̂ = (φ − √ᾱ x̂0)/√(1−ᾱ)`, `"score"` for
            `(√ᾱ x̂0 − φ)/(1−ᾱ)`, or `"v_prediction"` for `√ᾱ ε̂ − √(1−ᾱ) x̂0`.
        clean: x̂0, `[B, C, H, W]`.
        noisy: φ, `[B, C, H, W]`.
        alpha_bar: ᾱ in [0, 1], one value or `[B]`; kept `CLOSEST` away from both ends.

    Returns:
        `[B, C, H, W]` in the dtype of `noisy`.

    Raises:
        InputError: unknown kind.
    """
    if kind not in PREDICTIONS:
        raise InputError("prediction_type", kind, ", ".join(PREDICTIONS))
    if kind == "sample":
        return clean
    signal, noise = _amplitudes(alpha_bar, noisy, clean)
    result = (noisy - signal * clean) / noise
    if kind == "score":
        result = -result / noise
    if kind == "v_prediction":
        result = signal * result - noise * clean
    return result.to(noisy.dtype)


def clean_from(kind: str, output: Tensor, noisy: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """Return x̂0 from another form of it: the inverse of `predicted` (theory §1).

    `x̂0 = (φ − √(1−ᾱ) ε̂)/√ᾱ = (φ + (1−ᾱ) s)/√ᾱ = √ᾱ φ − √(1−ᾱ) v̂`.

    Args:
        kind: `"sample"`, `"epsilon"`, `"v_prediction"` or `"score"`.
        output: what a network answered, in that form, `[B, C, H, W]`.
        noisy: φ, `[B, C, H, W]`.
        alpha_bar: ᾱ in [0, 1], one value or `[B]`; kept `CLOSEST` away from both ends.

    Returns:
        x̂0, `[B, C, H, W]` in the dtype of `noisy`.

    Raises:
        InputError: unknown kind.
    """
    if kind not in PREDICTIONS:
        raise InputError("prediction_type", kind, ", ".join(PREDICTIONS))
    if kind == "sample":
        return output
    signal, noise = _amplitudes(alpha_bar, noisy, output)
    if kind == "v_prediction":
        return (signal * noisy - noise * output).to(noisy.dtype)
    epsilon = -noise * output if kind == "score" else output
    return ((noisy - noise * epsilon) / signal).to(noisy.dtype)


def _amplitudes(alpha_bar: Tensor | float, noisy: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return √ᾱ and √(1−ᾱ), float64 `[B or 1, 1, 1, 1]` beside the noisy images."""
    if noisy.shape != known.shape or not noisy.is_floating_point():
        raise InputError("noisy", noisy, f"images of real numbers, {list(known.shape)}")
    alphas = _numbers("alpha_bar", alpha_bar).to(noisy.device)
    if alphas.numel() not in (1, len(noisy)):
        raise InputError("alpha_bar", alpha_bar, f"one value or {len(noisy)} values")
    alphas = alphas.clamp(CLOSEST, 1 - CLOSEST).reshape(-1, 1, 1, 1)
    return alphas.sqrt(), (1 - alphas).sqrt()


def _numbers(argument: str, value: Tensor | float) -> Tensor:
    """Return numbers as float64, wherever they are."""
    try:
        return torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(argument, value, "real numbers", str(error)) from error


SCHEDULES = ("cosine", "linear")
PREDICTIONS = ("epsilon", "sample", "v_prediction", "score")


def noise_schedule(schedule: str | NoiseSchedule | Sequence[float] | Tensor) -> NoiseSchedule:
    """Return the schedule of that name, or of that table of ᾱ (theory §1.2).

        cosine: ᾱ(t) = cos²(π/2 · t/1.008)       linear: ᾱ_n = Π_{j≤n} (1−β_j), β from 10⁻⁴ to 0.02

    Args:
        schedule: `"cosine"` (KG), `"linear"` (DDPM), a table of ᾱ, or a schedule, returned as is.

    Returns:
        The schedule.

    Raises:
        InputError: unknown name, or a table that is none.
    """
    if isinstance(schedule, NoiseSchedule):
        return schedule
    if schedule == "cosine":
        return CosineSchedule()
    if isinstance(schedule, str):
        if schedule == "linear":
            return TableSchedule.linear()
        raise InputError("schedule", schedule, f"one of {', '.join(SCHEDULES)}, or a table of ᾱ")
    return TableSchedule(schedule)
