"""Sources with a width: from the training patches themselves to the Wiener filter (theory §2.9).

A source is a Gaussian about its patch, drawn towards the mean so that second moments stay those of
the data,

    patch ~ N( μ + √(1−h²) (x_i[Ω_v] − μ),  h² Σ ),    0 ≤ h ≤ 1

with mean μ and covariance Σ of the admissible patches. h = 0 are KG's machines, and h = 1 is the
local Wiener filter of the same window.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from scoremachines.theory.positions import PERIODIC, admissible, patches

__all__ = [
    "ImageLaw",
    "Kernel",
    "PatchLaws",
    "Smooth",
]

MOST = 32
"""Laws of patches that are kept."""


@dataclass(frozen=True)
class Kernel:
    """What a pixel's window is measured by, and answered with, at one h and ᾱ (theory §2.9).

        ℓ_u(i,v) = −½ ‖ Mᵀ (φ[Ω_u] − √ᾱ x') ‖²,    a_u(i,v) = x'(c) + G (φ[Ω_u] − √ᾱ x')

    Args:
        mean: μ, `[d]`.
        narrow: √(1−h²).
        whiten: M with `M Mᵀ = S⁻¹`, `S = ᾱ h² Σ + (1−ᾱ) I`, `[d, d]`.
        gain: `√ᾱ h² Σ_c S⁻¹`, `[C, d]`, c the rows of the centre.
        centre: these rows, int64 `[C]`.
    """

    mean: Tensor
    narrow: float
    whiten: Tensor
    gain: Tensor
    centre: Tensor

    def narrowed(self, patch: Tensor) -> Tensor:
        """Return `x' = μ + √(1−h²) (x − μ)` of patches `[…, d]`."""
        return self.mean + self.narrow * (patch - self.mean)


class PatchLaws:
    """Mean and covariance of the admissible patches, for each kind of place (theory §2.9).

        μ = mean_{i,v} x_i[Ω_v],    Σ = mean_{i,v} (x_i[Ω_v] − μ)(x_i[Ω_v] − μ)ᵀ,    v ∈ V(u)

    Places that share V(u) are of one kind: with aligned sources each of its own, with valid or
    circular ones all of one, with boundary those with the same overlap (theory §2.2).

    Args:
        law: mean and covariance of whole images.
        window: k, pixels; None for the whole image.
        sources: V(u).

    `kinds` is the kind of each pixel, int64 `[H·W]`, and `sources` its V(u).
    """

    def __init__(self, law: ImageLaw, window: int | None, sources: str) -> None:
        channels, height, width = law.mean.shape
        pixels, self.law = height * width, law
        numbers = torch.arange(1, law.mean.numel() + 1, dtype=torch.float64)
        periodic = PERIODIC[sources]
        # Which number of an image each entry of a patch is, `[H·W, d]`; the last of all is a zero.
        places = patches(numbers.view(1, *law.mean.shape), window, periodic)[0].long() - 1
        self._places = places.masked_fill(places < 0, law.mean.numel())
        shared = window is None and sources == "aligned"
        if sources == "aligned":
            self.kinds = torch.zeros(pixels) if shared else torch.arange(pixels)
            self.sources = [torch.tensor([u]) for u in range(1 if shared else pixels)]
        else:
            allowed, self.kinds = admissible(height, width, window, sources).unique(
                dim=0, return_inverse=True
            )
            self.sources = [row.nonzero()[:, 0] for row in allowed]
        self.kinds = self.kinds.long()
        first = torch.arange(channels) * (window**2 if window else pixels)
        middle = torch.zeros(pixels) if window is None else torch.full((pixels,), window**2 // 2)
        if shared:
            middle = torch.arange(pixels)
        self._centres = middle.long()[:, None] + first
        self._axes: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def axes(self, kind: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return μ `[d]`, and eigenvectors `[d, d]` and eigenvalues `[d]` of Σ, of a kind."""
        if kind not in self._axes:
            with torch.inference_mode(False), torch.no_grad():
                mean, second = self._moments(self._places[self.sources[kind]])
                variances, axes = torch.linalg.eigh(second)
                self._axes[kind] = mean, axes, variances.clamp(min=0)
        return self._axes[kind]

    def _moments(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and covariance of patches at some places together, in float64."""
        numbers = torch.cat([self.law.mean.flatten(), torch.zeros(1, dtype=torch.float64)])
        means = numbers[places]
        mean = means.mean(0)
        spread = torch.zeros(len(mean), len(mean), dtype=torch.float64)
        absent = len(self.law.covariance)
        for each in places:
            seen = each < absent
            block = self.law.covariance[each[seen]][:, each[seen]]
            spread[seen.nonzero(), seen.nonzero()[:, 0]] += block
        apart = means - mean
        return mean, (spread + apart.T @ apart) / len(places)

    def kernel(self, pixel: int, width: float, alpha_bar: float) -> Kernel:
        """Return what a pixel's window is measured by.

        Args:
            pixel: u.
            width: h.
            alpha_bar: ᾱ, in (0, 1).

        Returns:
            The kernel, float64.
        """
        mean, axes, variances = self.axes(int(self.kinds[pixel]))
        wide = width**2 * variances
        precision = 1 / (alpha_bar * wide + 1 - alpha_bar)
        centre = self._centres[pixel]
        gain = axes[centre] * (alpha_bar**0.5 * wide * precision) @ axes.T
        return Kernel(mean, (1 - width**2) ** 0.5, axes * precision.sqrt(), gain, centre)


@dataclass(frozen=True)
class ImageLaw:
    """Mean and covariance of training images, from which those of all patches follow.

    `Σ = mean_i (x_i − μ)(x_i − μ)ᵀ`, of which patches at one place have a block.

    Args:
        mean: `[C, H, W]`, float64.
        covariance: of images as vectors, `[C·H·W, C·H·W]`, float64.
    """

    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True)
class Smooth:
    """The width of a query's sources, and the laws of patches (theory §2.9).

    `patch ~ N( μ + √(1−h²) (x_i[Ω_v] − μ), h² Σ )`.

    Args:
        width: h, in (0, 1].
        law: of the training images.
    """

    width: float
    law: ImageLaw

    def laws(self, window: int | None, sources: str) -> PatchLaws:
        """Return the laws of patches, which are kept for other widths, too.

        Args:
            window: k, pixels; None for the whole image.
            sources: V(u).

        Returns:
            The laws.
        """
        key = id(self.law.covariance), window, sources
        with _LOCK:
            found = _KNOWN.pop(key, None)
            if found is None or found.law.covariance is not self.law.covariance:
                with torch.inference_mode(False):  # they outlive the caller's mode
                    found = PatchLaws(self.law, window, sources)
            _KNOWN[key] = found
            while len(_KNOWN) > MOST:
                _KNOWN.popitem(last=False)
        return found


_KNOWN: OrderedDict[tuple[int, int | None, str], PatchLaws] = OrderedDict()
_LOCK = Lock()
