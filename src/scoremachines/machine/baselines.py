"""Baseline: the Gaussian denoiser of the training set (theory §3).

The other baseline, the ideal score, is a machine itself: `scoremachines.ideal`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin as ModelMixin  # pipelines look for it beside the class
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import folder_path, reading
from scoremachines.io.model_folder import local_folder
from scoremachines.machine.covariance import Moments, moments_of
from scoremachines.machine.denoiser import DenoiserModel, gradients_in
from scoremachines.machine.inputs import check_levels, check_noisy
from scoremachines.machine.pretrained import load_parts, save_parts
from scoremachines.machine.samples import classes
from scoremachines.theory.schedule import (
    CLOSEST,
    PREDICTIONS,
    NoiseSchedule,
    TableSchedule,
    noise_schedule,
)

__all__ = ["Baseline", "Wiener"]


class Baseline(DenoiserModel):
    """A denoiser of a training set that is no score machine; a subclass has `_answer`.

    Args:
        data: the training set.
        schedule: ᾱ(t) on which it is sampled: `"cosine"` (KG), `"linear"` (DDPM) or a table.
        prediction_type: what `forward` returns: `"epsilon"`, `"sample"` (x̂0) or `"v_prediction"`.
        alphas_cumprod: ᾱ at the timesteps that `forward` is given; DDPM's 1,000 by default.

    Raises:
        InputError: a choice that does not exist.
    """

    def __init__(
        self,
        data: TrainingSet,
        schedule: str | NoiseSchedule | Sequence[float] = "cosine",
        *,
        prediction_type: str = "epsilon",
        alphas_cumprod: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if prediction_type not in PREDICTIONS:
            raise InputError("prediction_type", prediction_type, ", ".join(PREDICTIONS))
        self.data = data
        self.schedule, self.timesteps = noise_schedule(schedule), TableSchedule.linear()
        self.register_buffer("unit", torch.ones(()), persistent=False)  # device and dtype
        channels, height, width = data.shape
        self.register_to_config(
            sample_size=[height, width],
            in_channels=channels,
            out_channels=channels,
            prediction_type=prediction_type,
            alphas_cumprod=None,
        )
        if alphas_cumprod is not None:
            self.match(alphas_cumprod)

    def denoise(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Return x̂0.

        Args:
            noisy: φ, `[B, C, H, W]`.
            alpha_bar: ᾱ in [0, 1], one value or `[B]`.
            labels: go by the images of this class, one label or `[B]`.

        Returns:
            `[B, C, H, W]`, dtype of `noisy`; not clipped to [-1, 1]; with its gradient in φ, if
                `noisy` requires grad.

        Raises:
            InputError: the images have another shape, or there is no such class.
        """
        check_noisy(noisy, self.shape)
        levels = check_levels(alpha_bar, len(noisy)).clamp(CLOSEST, 1 - CLOSEST).tolist()
        working = noisy if noisy.dtype == torch.float64 else noisy.float()
        each = zip(working, cycle(levels), classes(self.data, labels, len(noisy)), strict=False)
        # One by one, so that no sample depends on its neighbours, not even in its last bit.
        with gradients_in(noisy):
            return torch.stack([self._answer(*one) for one in each]).to(noisy.dtype)

    @abstractmethod
    def _answer(self, noisy: Tensor, alpha_bar: float, label: int | None) -> Tensor:
        """Return x̂0 of one image, `[C, H, W]`, for ᾱ in (0, 1)."""

    def save_pretrained(self, save_directory: str | Path, *args: object, **kwargs: object) -> None:
        """Write the denoiser into a folder, its training set included.

        Args:
            save_directory: the folder; made if it is missing.
            *args: accepted for `diffusers`, which passes formats that do not apply here.
            **kwargs: likewise.

        Raises:
            InputError: the schedule is none that a file can hold, or the folder cannot be written.
        """
        self.check_caller()
        save_parts(self, self.data, folder_path("save_directory", save_directory), ({}, {}))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Baseline:
        """Read a denoiser from a folder that `save_pretrained` wrote.

        Args:
            pretrained_model_name_or_path: the folder; nothing is looked up on a network.
            **kwargs: as in `ScoreMachine.from_pretrained`.

        Returns:
            The denoiser.

        Raises:
            InputError: none is in that folder, a setting is missing or unknown, or its training
                set has changed since.
        """
        return cls._from_folder(pretrained_model_name_or_path, (), kwargs)

    @classmethod
    def _from_folder(
        cls, path: str | Path, choices: tuple[str, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Read a denoiser that has settings of its own."""
        folder = local_folder("path", path, kwargs.get("subfolder"))
        with reading("path", folder, "a folder as save_pretrained wrote it"):
            parts, kept = load_parts(folder, cls.__name__, choices)
            found = cls(**parts).fit_beside(folder)
        return found.with_dtype(kwargs.get("torch_dtype") or kwargs.get("dtype") or kept)


class Wiener(Baseline):
    """The Wiener filter: the exact denoiser, were images Gaussian (theory §3).

    With mean μ and covariance `Σ = mean_i (x_i − μ)(x_i − μ)ᵀ` of the training set,

        x̂0 = μ + √ᾱ Σ (ᾱ Σ + (1−ᾱ) I)⁻¹ (φ − √ᾱ μ)

    It is the best denoiser that is affine in φ, whatever the images' distribution. It works in
    float64. For N images of D numbers, its making takes time of order `N D min(N, D)`.

    References: N. Wiener, *Extrapolation, Interpolation, and Smoothing of Stationary Time Series*,
    1949. B. Wang & J. Vastola, *The unreasonable effectiveness of Gaussian score approximation for
    diffusion models and its applications*, 2024, arXiv:2412.09726.

    Args:
        data: the training set.
        schedule: ᾱ(t) on which it is sampled: `"cosine"` (KG), `"linear"` (DDPM) or a table.
        **options: as in `Baseline`.

    Raises:
        InputError: a choice that does not exist.
    """

    def __init__(
        self,
        data: TrainingSet,
        schedule: str | NoiseSchedule | Sequence[float] = "cosine",
        **options: Any,
    ) -> None:
        super().__init__(data, schedule, **options)
        self._known: dict[tuple[int | None, torch.device], Moments] = {}

    def _answer(self, noisy: Tensor, alpha_bar: float, label: int | None) -> Tensor:
        moments = self._moments(label, noisy.device)
        return _filtered(noisy.double().flatten(), alpha_bar, moments).view(noisy.shape)

    def _moments(self, label: int | None, device: torch.device) -> Moments:
        if (label, device) not in self._known:
            data = self.data if label is None else self.data.subset(self.data.of_class(label))
            with torch.inference_mode(False), torch.no_grad():  # they outlive the caller's mode
                moments = Moments(*(each.to(device) for each in moments_of(data)))
            self._known[label, device] = moments
        return self._known[label, device]


def _filtered(noisy: Tensor, alpha_bar: float, moments: Moments) -> Tensor:
    """Return x̂0 of one image as a vector, `[D]`."""
    mean, axes, gain = moments.mean, moments.axes, moments.gain(alpha_bar)
    return mean + axes @ (gain * (axes.T @ (noisy - alpha_bar**0.5 * mean)))
