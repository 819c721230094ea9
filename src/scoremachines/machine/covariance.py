"""Mean and covariance of training images, as reductions of the training set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from scoremachines.data.reduction import Block, Executor, Pass, reduce
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.machine.contrasts import fitted_contrasts
from scoremachines.theory.smooth import Contrasts, ImageLaw, Smooth
from scoremachines.theory.specs.width import Smoothness, has_contrasts, smooth_at

__all__ = [
    "MOST",
    "Centred",
    "Moments",
    "Scatter",
    "Total",
    "image_law",
    "moments_of",
    "smooth_of",
]

MOST = 20_000
"""Numbers of an image up to which its covariance, of 3 GB then, is taken."""
BLOCK = 1024
"""Images that are converted to float64 at a time."""


class Moments(NamedTuple):
    """Mean μ `[D]` and covariance `Σ = V diag(λ) Vᵀ`: V `[D, K]`, λ `[K]`; Σ is 0 beyond V."""

    mean: Tensor
    axes: Tensor
    variances: Tensor

    def gain(self, alpha_bar: float) -> Tensor:
        """Return what the Wiener filter multiplies each axis by, `√ᾱ λ / (ᾱ λ + 1−ᾱ)`.

        Args:
            alpha_bar: ᾱ in (0, 1).

        Returns:
            `[K]`.
        """
        return alpha_bar**0.5 * self.variances / (alpha_bar * self.variances + 1 - alpha_bar)


def moments_of(data: TrainingSet) -> Moments:
    """Return mean and eigen-decomposition of the covariance, of images as vectors, float64."""
    blocks = Pass(data, BLOCK, torch.float64)
    mean = reduce(Total(), blocks) / len(data)
    if len(data) < len(mean):
        centred = reduce(Centred(mean), blocks)
        _, lengths, axes = torch.linalg.svd(centred, full_matrices=False)
        return Moments(mean, axes.T, lengths.square() / len(data))
    variances, axes = torch.linalg.eigh(reduce(Scatter(mean), blocks) / len(data))
    return Moments(mean, axes, variances.clamp(min=0))


def image_law(data: TrainingSet, executor: Executor | None = None) -> ImageLaw:
    """Return mean and covariance of training images (theory §2.9).

    `μ = mean_i x_i`, `Σ = mean_i (x_i − μ)(x_i − μ)ᵀ`.

    Args:
        data: the training set.
        executor: what carries the passes out; None for that by default.

    Returns:
        Both in float64, on the CPU.

    Raises:
        InputError: images are too large for a covariance.
    """
    numbers = prod(data.shape)
    if numbers > MOST:
        accepted = f"at most {MOST:,} numbers in an image, for sources with a width"
        raise InputError("data", data, accepted, f"an image has {numbers:,}")
    with torch.inference_mode(False), torch.no_grad():  # they outlive the caller's mode
        blocks = Pass(data, BLOCK, torch.float64, "cpu")
        mean = reduce(Total(), blocks, executor) / len(data)
        covariance = reduce(Scatter(mean), blocks, executor) / len(data)
        return ImageLaw(mean.view(data.shape), covariance)


class Total:
    """`Σ_i x_i` of images as vectors, `[D]`."""

    def of(self, block: Block) -> Tensor:
        """Return the sum of a block."""
        return block.images.flatten(1).sum(0)

    def merge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the sum of both."""
        return one + other


@dataclass(frozen=True)
class Centred:
    """`x_i − μ` of all images, `[N, D]`.

    Args:
        mean: μ, `[D]`.
    """

    mean: Tensor

    def of(self, block: Block) -> Tensor:
        """Return those of a block."""
        return block.images.flatten(1) - self.mean

    def merge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return both, one below the other."""
        return torch.cat([one, other])


@dataclass(frozen=True)
class Scatter:
    """`S = Σ_i (x_i − μ)(x_i − μ)ᵀ`, `[D, D]`.

    Args:
        mean: μ, `[D]`.
    """

    mean: Tensor

    def of(self, block: Block) -> Tensor:
        """Return the sum of a block."""
        centred = block.images.flatten(1) - self.mean
        return centred.T @ centred

    def merge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the sum of both."""
        return one + other


def smooth_of(
    data: TrainingSet,
    smooth: Smoothness,
    t: float,
    window: int | None,
    sources: str,
    executor: Executor | None = None,
    always: bool = False,
) -> Smooth | None:
    """Return sources of a width; what is found of a training set is kept for as long as it.

    `patch ~ N( μ + √(1−h²) (x_i[Ω_v] − μ), h² Σ )` (theory §2.9).

    Args:
        data: the training set.
        smooth: h or h(t), perhaps with contrasts.
        t: the time.
        window: k, pixels; None for the whole image.
        sources: V(u).
        executor: what carries passes out, if there are any.
        always: for h = 0 without contrasts, too.

    Returns:
        The sources, with their laws; None for h = 0 without contrasts.
    """
    width = smooth_at(smooth, t)
    if width == 0 and not has_contrasts(smooth) and not always:
        return None
    if data not in _LAWS:
        _LAWS[data], _CONTRASTS[data] = image_law(data, executor), {}
    found = Smooth(width, _LAWS[data])
    if not has_contrasts(smooth):
        return found
    known, key = _CONTRASTS[data], (window, sources)
    if key not in known:
        known[key] = fitted_contrasts(data, found.laws(window, sources))
    return replace(found, contrasts=known[key])


_LAWS: WeakKeyDictionary[TrainingSet, ImageLaw] = WeakKeyDictionary()
_CONTRASTS: WeakKeyDictionary[TrainingSet, dict[tuple[int | None, str], Contrasts]] = (
    WeakKeyDictionary()
)
