"""Closed forms of other papers beside KG's machines, sums over the training images (theory §3).

Each is a reduction of the training set, so it merges over shards and executors as machines do.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from scoremachines.data.reduction import Block, Pass, Reduction, reduce
from scoremachines.data.training_set import TrainingSet
from scoremachines.machine.baselines import Baseline, filter_gain
from scoremachines.machine.covariance import Moments, moments_of
from scoremachines.machine.denoiser import gradients_in
from scoremachines.machine.inputs import check_levels, check_noisy
from scoremachines.theory.locality import Window, parse_window, window_at
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.schedule import CLOSEST, NoiseSchedule

__all__ = ["ComposedPatches", "PCALocality", "Smoothed"]

BLOCK = 2**24
"""Numbers of training images that are taken at once."""


class ClosedForm(Baseline):
    """A denoiser that takes noisy images one by one; a subclass has `_answer`."""

    def denoise(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Return x̂0.

        Args:
            noisy: φ, `[B, C, H, W]`.
            alpha_bar: ᾱ in [0, 1], one value or `[B]`.
            labels: sum over this class, one label or `[B]`.

        Returns:
            `[B, C, H, W]`, dtype of `noisy`; with its gradient in φ, if `noisy` requires grad.

        Raises:
            InputError: the images have another shape, or there is no such class.
        """
        check_noisy(noisy, self.shape)
        levels = check_levels(alpha_bar, len(noisy)).clamp(CLOSEST, 1 - CLOSEST).tolist()
        classes = [None] if labels is None else self._classes(labels, len(noisy))
        working = noisy if noisy.dtype == torch.float64 else noisy.float()
        # One by one, so that no sample depends on its neighbours, not even in its last bit.
        with gradients_in(noisy):
            clean = [
                self._answer(image, level, label)
                for image, level, label in zip(
                    working, cycle(levels), cycle(classes), strict=False
                )
            ]
            return torch.stack(clean).to(noisy.dtype)

    @abstractmethod
    def _answer(self, noisy: Tensor, alpha_bar: float, label: int | None) -> Tensor:
        """Return x̂0 of one image, `[C, H, W]`."""

    def _sum(self, reduction: Reduction[Any], noisy: Tensor, label: int | None) -> Any:
        """Carry out a pass over the training images, or those of a class."""
        members = None if label is None else self.data.of_class(label)
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
        InputError: a choice that does not exist.
    """

    THRESHOLD = 0.05

    def __init__(
        self,
        data: TrainingSet,
        schedule: str | NoiseSchedule | Sequence[float] = "cosine",
        **options: Any,
    ) -> None:
        super().__init__(data, schedule, **options)
        self._moments: Moments | None = None
        self._known: tuple[float, Tensor] | None = None

    def masks(self, alpha_bar: float) -> Tensor:
        """Return m, which pixels each pixel looks at.

        Args:
            alpha_bar: ᾱ in (0, 1).

        Returns:
            Boolean `[H·W (u), H·W (y)]`, on the CPU.
        """
        if self._known is None or self._known[0] != alpha_bar:
            with torch.inference_mode(False), torch.no_grad():  # they outlive the caller's mode
                self._moments = self._moments or moments_of(self.data)
                gain = filter_gain(self._moments, alpha_bar)
                weights = self._moments.axes * gain @ self._moments.axes.T
                channels = self.data.shape[0]
                blocks = weights.unflatten(0, (channels, -1)).unflatten(-1, (channels, -1))
                size = blocks.square().sum((0, 2)).sqrt()  # [u, y]
                self._known = alpha_bar, size >= self.THRESHOLD * size.amax(1, keepdim=True)
        return self._known[1]

    def _answer(self, noisy: Tensor, alpha_bar: float, label: int | None) -> Tensor:
        masks = self.masks(alpha_bar).to(noisy)
        return self._sum(Masked(noisy, alpha_bar, masks), noisy, label).mean[0]


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


class ComposedPatches(ClosedForm):
    """Posterior means of square patches in their places, averaged where they overlap (theory §3).

        x̂0(p) = mean_{u: p∈Ω_u} Σ_i ω_u(i) x_i(p) = Σ_i ( mean_{u∈Ω_p} ω_u(i) ) x_i(p)
        ω_u = softmax_i( −‖φ[Ω_u] − √ᾱ x_i[Ω_u]‖² / (2(1−ᾱ)) ),    u within the image

    So it is KG's LS with weights that are averaged over the window.

    Reference: M. Niedoba, B. Zwartsenberg, K. Murphy & F. Wood, *Towards a Mechanistic Explanation
    of Diffusion Model Generalization*, 2024, arXiv:2411.19339 (PSPC, with square patches).

    Args:
        data: the training set.
        window: k or k(t), odd, pixels.
        schedule: ᾱ(t) on which it is sampled: `"cosine"` (KG), `"linear"` (DDPM) or a table.
        **options: as in `Baseline`.

    Raises:
        InputError: a choice that does not exist.
    """

    def __init__(
        self,
        data: TrainingSet,
        window: Window = 7,
        schedule: str | NoiseSchedule | Sequence[float] = "cosine",
        **options: Any,
    ) -> None:
        super().__init__(data, schedule, **options)
        self.window = parse_window(window)
        self.register_to_config(window=None if self.window is None else str(self.window))

    def _answer(self, noisy: Tensor, alpha_bar: float, label: int | None) -> Tensor:
        level = torch.tensor([alpha_bar], dtype=torch.float64)
        window = window_at(self.window, float(self.schedule.time(level)))
        seen = Seen(noisy, alpha_bar, window)
        composed: Tensor = self._sum(
            Composed(seen, self._sum(Total(seen), noisy, label)), noisy, label
        )
        return composed.to(noisy.dtype)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> ComposedPatches:
        """Read a denoiser from a folder that `save_pretrained` wrote, as `Baseline` does."""
        return cls._from_folder(pretrained_model_name_or_path, ("window",), kwargs)


@dataclass(frozen=True)
class Seen:
    """What windows of a noisy image say of images in their places.

    Args:
        noisy: φ, `[C, H, W]`.
        alpha_bar: ᾱ.
        window: k, pixels; None for the whole image.
    """

    noisy: Tensor
    alpha_bar: float
    window: int | None

    def evidence(self, images: Tensor) -> Tensor:
        """Return `E_u(i) = −‖φ[Ω_u] − √ᾱ x_i[Ω_u]‖²/(2(1−ᾱ))`, float64 `[n, H, W]`."""
        apart = self.noisy.double() - self.alpha_bar**0.5 * images.double()
        squares = apart.square().sum(1)
        if self.window is None:
            distance = squares.sum((1, 2), keepdim=True).expand_as(squares)
        else:
            distance = self.window**2 * self.box(squares)
        return -distance / (2 * (1 - self.alpha_bar))

    def box(self, fields: Tensor) -> Tensor:
        """Return the mean over the window, zeros beyond the border, `[n, H, W]`."""
        assert self.window is not None  # the caller has asked
        padded = pad(fields[:, None], (self.window // 2,) * 4)
        return avg_pool2d(padded, self.window, 1)[:, 0]


@dataclass(frozen=True)
class Total:
    """`log Σ_i exp E_u(i)`, `[H, W]`.

    Args:
        seen: one noisy image.
    """

    seen: Seen

    def of(self, block: Block) -> Tensor:
        """Return that of a block."""
        return self.seen.evidence(block.images).logsumexp(0)

    def merge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return that of both."""
        return torch.logaddexp(one, other)


@dataclass(frozen=True)
class Composed:
    """`Σ_i ( mean_{u∈Ω_p} ω_u(i) ) x_i(p)`, float64 `[C, H, W]`.

    Args:
        seen: one noisy image.
        total: `log Σ_i exp E_u(i)`, `[H, W]`.
    """

    seen: Seen
    total: Tensor

    def of(self, block: Block) -> Tensor:
        """Return the sum over a block."""
        weight = (self.seen.evidence(block.images) - self.total).exp()
        if self.seen.window is not None:
            weight = self.seen.box(weight) / self.seen.box(torch.ones_like(weight[:1]))
        return (weight[:, None] * block.images.double()).sum(0)

    def merge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the sum of both."""
        return one + other
