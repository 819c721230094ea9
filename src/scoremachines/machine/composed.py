"""Posterior means of whole patches, averaged where patches overlap (theory §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from scoremachines.data.reduction import Block
from scoremachines.data.training_set import TrainingSet
from scoremachines.machine.closed_forms import ClosedForm
from scoremachines.theory.locality import Window, check_window, parse_window, window_at, windows_of
from scoremachines.theory.schedule import NoiseSchedule

__all__ = ["ComposedPatches"]


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
        for each in windows_of(self.window):
            check_window(each, data.shape[1:])
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
    """The windows of one noisy image, beside those of training images at the same places.

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
            distance = self.window**2 * box(squares, self.window)
        return -distance / (2 * (1 - self.alpha_bar))


def box(fields: Tensor, window: int) -> Tensor:
    """Return the mean over a window around each pixel, zeros beyond the border, `[n, H, W]`."""
    padded = pad(fields[:, None], (window // 2,) * 4)
    return avg_pool2d(padded, window, 1)[:, 0]


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
        window = self.seen.window
        if window is not None:
            weight = box(weight, window) / box(torch.ones_like(weight[:1]), window)
        return (weight[:, None] * block.images.double()).sum(0)

    def merge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the sum of both."""
        return one + other
