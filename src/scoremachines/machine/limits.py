"""Limits of x̂0: a scheduler's clipping and thresholding before its step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scoremachines.errors import real
from scoremachines.machine.schedulers import settings_of

__all__ = ["Limits"]

TINY = 1e-6
"""Smallest limit of |x̂0|."""


@dataclass(frozen=True)
class Limits:
    """A scheduler's clipping or thresholding of x̂0 before its step.

        x̂0 → clip(x̂0, −clip, clip)   or   x̂0 → clip(x̂0, −s, s) / s, s = clip(q(|x̂0|), 1, most)

    Thresholding (Saharia et al. 2022, §2.3) clips to [-s, s] and divides by s, where s is a
    quantile of |x̂0| over the image, between 1 and `most`.

    Args:
        clip: largest |x̂0|; None if it is not clipped.
        ratio: the quantile, in [0, 1]; None if it is not thresholded.
        most: largest s.

    Raises:
        InputError: a number is out of range.
    """

    clip: float | None = None
    ratio: float | None = None
    most: float = 1.0

    def __post_init__(self) -> None:
        if self.clip is not None:
            object.__setattr__(self, "clip", real("clip_sample_range", self.clip, TINY))
        if self.ratio is not None:
            ratio = real("dynamic_thresholding_ratio", self.ratio, 0, 1)
            object.__setattr__(self, "ratio", ratio)
            object.__setattr__(self, "most", real("sample_max_value", self.most, 1))

    @classmethod
    def of(cls, scheduler: Any) -> Limits:
        """Return the limits of a scheduler; of two, thresholding, as `diffusers` does."""
        config = settings_of(scheduler)
        if config.get("thresholding"):
            ratio = config.get("dynamic_thresholding_ratio", 0.995)
            return cls(ratio=ratio, most=config.get("sample_max_value", 1.0))
        if config.get("clip_sample"):
            return cls(clip=config.get("clip_sample_range", 1.0))
        return cls()

    def __call__(self, clean: Tensor) -> Tensor:
        """Return x̂0 within its limits, `[B, C, H, W]`."""
        if self.ratio is not None:
            flat = clean.flatten(1)
            values = flat if flat.dtype == torch.float64 else flat.float()
            size = values.abs().quantile(self.ratio, dim=1, keepdim=True).clamp(1, self.most)
            return (values.clamp(-size, size) / size).to(clean.dtype).view(clean.shape)
        return clean if self.clip is None else clean.clamp(-self.clip, self.clip)

    def __str__(self) -> str:
        if self.ratio is not None:
            return f"thresholded at quantile {self.ratio:g}, at most {self.most:g}"
        return "not limited" if self.clip is None else f"clipped to ±{self.clip:g}"
