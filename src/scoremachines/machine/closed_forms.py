"""Closed forms of other papers beside KG's machines, sums over the training images (theory §3).

Each is a reduction of the training set, so it merges over shards and executors as machines do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from scoremachines.data.reduction import Block, Pass, Reduction, reduce
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.machine.baselines import Baseline
from scoremachines.machine.covariance import MOST, Moments, moments_of
from scoremachines.machine.inputs import check_levels
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.schedule import CLOSEST, NoiseSchedule

__all__ = ["ClosedForm", "PCALocality", "Smoothed"]

BLOCK = 2**24
"""Numbers of training images that are taken at once."""


class ClosedForm(Baseline):
    """A denoiser `x̂0(u) = Σ_i w_u(i) x_i(u)`, a pass over the training images (theory §3)."""

    def _sum(
        self,
        reduction: Reduction[Any],
        noisy: Tensor,
        label: int | None,
        members: Tensor | None = None,
    ) -> Any:
        """Carry out a pass over the training images, those of a class, or some of them."""
        if members is None and label is not None:
            members = self.data.of_class(label)
        block = max(1, BLOCK // noisy.numel())
        return reduce(reduction, Pass(self.data, block, noisy.dtype, noisy.device, members))


class PCALocality(ClosedForm):
    """Each pixel looks where the Wiener filter does (theory §3).

        x̂0(u) = Σ_i softmax_i( −‖m_u ⊙ (φ − √ᾱ x_i)‖² / (2(1−ᾱ)) ) x_i(u)
        m_u(j) = 1 where a_u(j) ≥ τ max_j a_u(j),    a_u(y) = ‖W_uy‖,  W = √ᾱ Σ (ᾱΣ + (1−ᾱ)I)⁻¹

    with W_uy the block of the Wiener filter between pixels u and y, and τ = `THRESHOLD`.

    Reference: A. Lukoianov, C. Yuan, J. Solomon & V. Sitzmann, *Locality in Image Diffusion Models
    Emerges from Data Statistics*, 2025, arXiv:2509.09672. The cut of the rows is ours.

    Args:
        data: the training set.
        schedule: ᾱ(t) on which it is sampled: `"cosine"` (KG), `"linear"` (DDPM) or a table.
        **options: as in `Baseline`.

    Raises:
        InputError: a choice that does not exist, or images too large for the filter's matrix.
    """

    THRESHOLD = 0.05

    def __init__(
        self,
        data: TrainingSet,
        schedule: str | NoiseSchedule | Sequence[float] = "cosine",
        **options: Any,
    ) -> None:
        super().__init__(data, schedule, **options)
        if prod(data.shape) > MOST:
            reason = f"an image has {prod(data.shape):,}"
            raise InputError("data", data, f"at most {MOST:,} numbers in an image", reason)
        self._moments: Moments | None = None
        self._known: tuple[float, Tensor] | None = None

    def masks(self, alpha_bar: float) -> Tensor:
        """Return m, which pixels each pixel looks at.

        Args:
            alpha_bar: ᾱ in [0, 1].

        Returns:
            Boolean `[H·W (u), H·W (y)]`, on the CPU.

        Raises:
            InputError: ᾱ is out of range.
        """
        alpha_bar = float(check_levels(alpha_bar, 1)[0].clamp(CLOSEST, 1 - CLOSEST))
        if self._known is None or self._known[0] != alpha_bar:
            with torch.inference_mode(False), torch.no_grad():  # they outlive the caller's mode
                self._moments = self._moments or moments_of(self.data)
                gain = self._moments.gain(alpha_bar)
                weights = self._moments.axes * gain @ self._moments.axes.T
                channels = self.data.shape[0]
                blocks = weights.unflatten(0, (channels, -1)).unflatten(-1, (channels, -1))
                size = blocks.square().sum((0, 2)).sqrt()  # [u, y]
                self._known = alpha_bar, size >= self.THRESHOLD * size.amax(1, keepdim=True)
        return self._known[1]

    def _answer(self, noisy: Tensor, alpha_bar: float, label: int | None) -> Tensor:
        masks, members = self.masks(alpha_bar).to(noisy), self._members(noisy, alpha_bar, label)
        return self._sum(Masked(noisy, alpha_bar, masks), noisy, label, members).mean[0]

    def _members(self, noisy: Tensor, alpha_bar: float, label: int | None) -> Tensor | None:
        """Return the places of the images that it is a sum over; None for all of the class."""
        return None


@dataclass(frozen=True)
class Masked:
    """`x̂0(u) = Σ_i softmax_i(−‖m_u ⊙ (φ − √ᾱ x_i)‖²/(2(1−ᾱ))) x_i(u)`.

    Args:
        noisy: φ, `[C, H, W]`.
        alpha_bar: ᾱ.
        masks: m, 0 or 1, `[H·W, H·W]`.
    """

    noisy: Tensor
    alpha_bar: float
    masks: Tensor

    def of(self, block: Block) -> Posterior:
        """Return the posterior of a block, of one noisy image."""
        apart = self.noisy - self.alpha_bar**0.5 * block.images
        squares = apart.square().sum(1).flatten(1)  # [n, y]
        log_weight = -(self.masks @ squares.T).double() / (2 * (1 - self.alpha_bar))  # [u, n]
        values = block.images.flatten(2)
        mean = torch.einsum("un,ncu->cu", log_weight.softmax(1).to(values), values)
        size = self.noisy.shape[1:]
        total = log_weight.logsumexp(1).unflatten(0, size)
        return Posterior(total[None], mean.unflatten(1, size)[None])

    def merge(self, one: Posterior, other: Posterior) -> Posterior:
        """Return that of both (theory §2.1)."""
        return one.merge(other)


class Smoothed(ClosedForm):
    """The ideal score, its weights smoothed over displaced images (theory §3).

        x̂0 = Σ_i mean_m softmax_i( −‖φ + √(1−ᾱ) r ε_m − √ᾱ x_i‖² / (2(1−ᾱ)) ) x_i

    with M = `DRAWS` displacements ε of size r = `REACH`, in units of the noise, the same at all
    times. So x̂0 mixes training images that are near, where the ideal score picks one.

    Reference: C. Scarvelis, H. Borde & J. Solomon, *Closed-Form Diffusion Models*, 2023,
    arXiv:2310.12395.

    Args:
        data: the training set.
        schedule: ᾱ(t) on which it is sampled: `"cosine"` (KG), `"linear"` (DDPM) or a table.
        **options: as in `Baseline`.

    Raises:
        InputError: a choice that does not exist.
    """

    DRAWS, REACH = 8, 1.0

    def _answer(self, noisy: Tensor, alpha_bar: float, label: int | None) -> Tensor:
        draw = torch.Generator().manual_seed(0)
        shape = (self.DRAWS, *noisy.shape)
        moved = torch.randn(shape, generator=draw, dtype=torch.float64).to(noisy)
        moved = noisy + (1 - alpha_bar) ** 0.5 * self.REACH * moved
        return self._sum(Displaced(moved, alpha_bar), noisy, label).mean.mean(0)


@dataclass(frozen=True)
class Displaced:
    """`x̂0_m = Σ_i softmax_i(−‖φ_m − √ᾱ x_i‖²/(2(1−ᾱ))) x_i` of M images.

    Args:
        noisy: φ_m, `[M, C, H, W]`.
        alpha_bar: ᾱ.
    """

    noisy: Tensor
    alpha_bar: float

    def of(self, block: Block) -> Posterior:
        """Return the posteriors of a block."""
        clean = block.images.flatten(1)
        apart = [
            (each.flatten() - self.alpha_bar**0.5 * clean).square().sum(1) for each in self.noisy
        ]
        log_weight = -torch.stack(apart).double() / (2 * (1 - self.alpha_bar))  # [M, n]
        mean = log_weight.softmax(1).to(clean) @ clean
        total = log_weight.logsumexp(1)[:, None, None].expand(-1, *self.noisy.shape[2:])
        return Posterior(total, mean.view(self.noisy.shape))

    def merge(self, one: Posterior, other: Posterior) -> Posterior:
        """Return those of both (theory §2.1)."""
        return one.merge(other)
