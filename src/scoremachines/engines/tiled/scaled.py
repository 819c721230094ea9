"""The sources of one kind of place, laid out for matrix products (theory §2.9).

In the eigenbasis of Σ, with `y = Vᵀ(φ[Ω_u] − √ᾱ μ)` and `z = Vᵀ(x − μ)`, sources of scale s have

    ℓ_u(i,v,s) = level_s − ½ Σ_j P_sj (y_j − √ᾱ n_s z_j)²,      n_s = s √(1−h²)

so one product of `P_sj √ᾱ n_s y_j` and `z_j` serves all scales. Axes along which sources differ by
next to nothing, beside the noise, are cut from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from scoremachines.theory.smooth import Kernel

__all__ = ["ROWS", "Scaled", "gathered", "product"]

CUT = 4e-6
"""What the axes that are cut add up to, of `Σ_j P_sj ᾱ n_s² λ_j` (theory §2.9)."""
SINGLE = 1024.0
"""Mean squared length of sources, as they are measured, up to which they are in float32."""
ROWS, COLUMNS = 16, 4
"""Products have multiples of so many rows and columns, over an even length, so that a row's bits
are its own: what lies beside it does not decide which instructions compute it."""


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return `c_rm = Σ_j a_rj b_jm`, each row with the same bits whatever the others are.

    Args:
        left: a, `[R, d]`.
        right: b, `[d, M]`.

    Returns:
        `[R, M]`.
    """
    rows, columns = len(left), right.shape[1]
    length, across = -len(right) % 2, -columns % COLUMNS
    filled = pad(right, (0, across, 0, length)) if length or across else right
    return (pad(left, (0, length, 0, -rows % ROWS)) @ filled)[:rows, :columns]


def gathered(numbers: Tensor, places: Tensor) -> Tensor:
    """Return patches `x_i[Ω_v] = (x_i(v+o))_o` by the numbers that they are made of.

    Args:
        numbers: of images, one image a column, and zeros in the last row, `[D+1, n]`.
        places: which number each entry is, int64 `[V, d]`; D for a zero.

    Returns:
        `[n, V, d]`.
    """
    found = numbers.index_select(0, places.flatten())
    return found.view(*places.shape, -1).permute(2, 0, 1)


@dataclass(frozen=True)
class Scaled:
    """The sources of one kind of place at one h and ᾱ, S scales of n images at V places.

    Args:
        kernel: what they are measured by, float64.
        signal: √ᾱ.
        cut: how many axes are cut.
        gain: G_s, float64 `[S, C, d]`.
        projected: z, `[n·V, r]`.
        lengths: `½ Σ_j P_sj (√ᾱ n_s z_j)²`, `[S, n·V]`.
        colours: `a_u(i,v,s) − G_s φ[Ω_u]`, `[S, n·V, C]`.
        shape: n, V, and C.
    """

    kernel: Kernel
    signal: float
    cut: int
    gain: Tensor
    projected: Tensor
    lengths: Tensor
    colours: Tensor
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, near: Tensor, kernel: Kernel, centre: Tensor, signal: float) -> Scaled:
        """Lay sources out.

        Args:
            near: patches, `[n, V, d]`; float64 where the caller computes in it.
            kernel: what they are measured by.
            centre: which entries are the colour, int64 `[C]`.
            signal: √ᾱ.

        Returns:
            The sources.
        """
        count, places, length = near.shape
        weights = kernel.precision * (signal * kernel.narrow).square()[:, None]
        spread = (weights * kernel.variances).amax(0)
        if float(spread.sum()) > SINGLE:
            near = near.double()
        least = CUT if near.dtype == torch.float32 else 0.0
        cut = int((spread.cumsum(0) <= least).sum())  # variances rise
        apart = (near - kernel.mean.to(near)).reshape(-1, length)
        axes = kernel.axes[:, cut:].to(near)
        projected = apart @ axes
        lengths = weights[:, cut:].to(near) @ projected.square().T / 2
        gain = torch.stack([kernel.gain(s, centre) for s in range(len(kernel.narrow))])
        corrected = apart @ (signal * gain).flatten(0, 1).T.to(near)  # √ᾱ G_s (x − μ)
        corrected = corrected.view(len(apart), *gain.shape[:2]).transpose(0, 1)
        constant = kernel.mean[centre] - signal * gain @ kernel.mean  # [S, C]
        narrow = kernel.narrow.to(near)[:, None, None]
        colours = constant.to(near)[:, None] + narrow * (apart[:, centre] - corrected)
        shape = count, places, len(centre)
        return cls(kernel, signal, cut, gain, projected, lengths, colours, shape)

    def log_likelihood(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return `ℓ_u(i,v,s)` of what pixels see in two parts, whose sum it is.

        Args:
            seen: `φ[Ω_u]`, float64 `[R, d]`.

        Returns:
            A part of each pixel's own, float64 `[R]`, and the rest, `[R, S, n·V]`.
        """
        own, left, level = self.factors(seen)
        both = product(left.flatten(0, 1), self.projected.T).unflatten(0, level.shape)
        return own, both + (level[..., None] - self.lengths)

    def factors(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what log-likelihoods of what pixels see are products of.

            ℓ_u(i,v,s) = own_u + level_us + Σ_j left_usj z_j(i,v) − lengths_s(i,v)

        Args:
            seen: `φ[Ω_u]`, float64 `[R, d]`.

        Returns:
            own, float64 `[R]`; left, `P_sj √ᾱ n_s y_j`, `[R, S, r]`; level, at most 0, `[R, S]`.
        """
        kernel, cut = self.kernel, self.cut
        mine = product(seen - self.signal * kernel.mean.to(seen), kernel.axes.to(seen))
        precision = kernel.precision.to(seen)
        level = kernel.level.to(seen) - product(mine.square(), precision.T) / 2  # [R, S]
        own = level.detach().amax(1)
        factor = precision * (self.signal * kernel.narrow.to(seen))[:, None]
        left = (mine[:, None, cut:] * factor[:, cut:]).to(self.projected)
        return own, left, (level - own[:, None]).to(left)

    def added(self, seen: Tensor) -> Tensor:
        """Return `G_s φ[Ω_u]` of what pixels see, float64 `[R, d]`, as `[R, S, C]`."""
        gain = self.gain.to(seen)
        return product(seen, gain.flatten(0, 1).T).unflatten(1, gain.shape[:2])
