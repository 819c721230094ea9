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
    "ONE_SCALE",
    "Contrasts",
    "ImageLaw",
    "Kernel",
    "PatchLaws",
    "Smooth",
]

MOST, KEPT = 32, 2**29
"""Laws of patches that are kept, and the bytes of axes that each of them keeps."""


@dataclass(frozen=True)
class Contrasts:
    """Scales of sources, and how often each is met (theory §2.9).

    `patch ~ Σ_s π_s N( μ + s √(1−h²) (x_i[Ω_v] − μ), s² h² Σ )`, a mixture over contrasts.

    Args:
        scales: s, each above 0.
        weights: π_s, each above 0, with sum 1.
    """

    scales: tuple[float, ...] = (1.0,)
    weights: tuple[float, ...] = (1.0,)


ONE_SCALE = Contrasts()


@dataclass(frozen=True)
class Kernel:
    """What a pixel's window is measured by, and answered with, at one h and ᾱ (theory §2.9).

        x'_s = μ + s √(1−h²) (x − μ),    S_s = ᾱ s² h² Σ + (1−ᾱ) I,    Σ = V diag(λ) Vᵀ
        ℓ_u(i,v,s) = level_s − ½ ‖ M_sᵀ (φ[Ω_u] − √ᾱ x'_s) ‖²
        a_u(i,v,s) = x'_s(c) + G_s (φ[Ω_u] − √ᾱ x'_s)

    All of it lies in the eigenbasis of Σ, the largest λ last.

    Args:
        mean: μ, `[d]`.
        axes: V, `[d, d]`.
        variances: λ, `[d]`.
        narrow: `s √(1−h²)`, `[S]`.
        precision: eigenvalues of S_s⁻¹, `[S, d]`.
        response: `√ᾱ s² h² λ / (ᾱ s² h² λ + 1−ᾱ)`, `[S, d]`.
        level: `log π_s − ½ log det(S_s/(1−ᾱ))`, `[S]`; 0 for one scale.
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor
    narrow: Tensor
    precision: Tensor
    response: Tensor
    level: Tensor

    def whiten(self, scale: int) -> Tensor:
        """Return M with `M Mᵀ = S⁻¹` of a scale, by number, `[d, d]`."""
        return self.axes * self.precision[scale].sqrt()

    def gain(self, scale: int, centre: Tensor) -> Tensor:
        """Return `G = √ᾱ s² h² Σ_c S⁻¹` for some rows c, `[C, d]`."""
        return self.axes[centre] * self.response[scale] @ self.axes.T


class PatchLaws:
    """Mean and covariance of the admissible patches, for each kind of place (theory §2.9).

        μ = mean_{i,v} x_i[Ω_v],    Σ = mean_{i,v} (x_i[Ω_v] − μ)(x_i[Ω_v] − μ)ᵀ,    v ∈ V(u)

    Places that share V(u) are of one kind: with aligned sources each of its own, with valid or
    circular ones all of one, with boundary those with the same overlap (theory §2.2).

    Args:
        law: mean and covariance of whole images.
        window: k, pixels; None for the whole image.
        sources: V(u).

    `kinds` is the kind of each pixel, int64 `[H·W]`, `sources` the V(u) of each kind, and
    `centres` where the colour of each pixel stands in its patch, int64 `[H·W, C]`. `places` says
    which number of an image each entry of a patch is, int64 `[H·W, d]`; beyond the border, that
    after the last.
    """

    def __init__(self, law: ImageLaw, window: int | None, sources: str) -> None:
        channels, height, width = law.mean.shape
        pixels, self.law, self.window = height * width, law, window
        numbers = torch.arange(1, law.mean.numel() + 1, dtype=torch.float64)
        periodic = PERIODIC[sources]
        places = patches(numbers.view(1, *law.mean.shape), window, periodic)[0].long() - 1
        self.places = places.masked_fill(places < 0, law.mean.numel())
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
        self.centres = middle.long()[:, None] + first
        self._axes: OrderedDict[int, tuple[Tensor, Tensor, Tensor]] = OrderedDict()

    def answers(self, pixel: int, patches: bool) -> Tensor:
        """Return which entries of a pixel's patch it is answered with: all, or the centre's."""
        whole = torch.arange(self.places.shape[1])
        return whole if patches and self.window is not None else self.centres[pixel]

    def axes(self, kind: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return μ `[d]`, and eigenvectors `[d, d]` and eigenvalues `[d]` of Σ, of a kind."""
        found = self._axes.pop(kind, None)
        if found is None:
            with torch.inference_mode(False), torch.no_grad():
                mean, second = self._moments(self.places[self.sources[kind]])
                variances, axes = torch.linalg.eigh(second)
                found = mean, axes, variances.clamp(min=0)
        self._axes[kind] = found
        while len(self._axes) > 1 and len(self._axes) * found[1].nbytes > KEPT:
            self._axes.popitem(last=False)
        return found

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

    def kernel(
        self, kind: int, width: float, alpha_bar: float, contrasts: Contrasts = ONE_SCALE
    ) -> Kernel:
        """Return what the windows of a kind of place are measured by.

        Args:
            kind: of the place.
            width: h.
            alpha_bar: ᾱ, in (0, 1).
            contrasts: scales s of the sources.

        Returns:
            The kernel, float64.
        """
        mean, axes, variances = self.axes(kind)
        scales = torch.tensor(contrasts.scales, dtype=torch.float64)
        wide = (scales[:, None] * width).square() * variances
        precision = 1 / (alpha_bar * wide + 1 - alpha_bar)
        level = torch.zeros_like(scales)
        if len(scales) > 1:
            level = torch.tensor(contrasts.weights, dtype=torch.float64).log()
            level = level + ((1 - alpha_bar) * precision).log().sum(1) / 2
        narrow, response = scales * (1 - width**2) ** 0.5, alpha_bar**0.5 * wide * precision
        return Kernel(mean, axes, variances, narrow, precision, response, level)


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
        width: h, in [0, 1].
        law: of the training images.
        contrasts: scales of the sources.
    """

    width: float
    law: ImageLaw
    contrasts: Contrasts = ONE_SCALE

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
