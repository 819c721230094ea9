"""The output of a denoiser, in the form of `diffusers`."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers.utils import BaseOutput
from torch import Tensor

__all__ = ["DenoiserOutput"]


@dataclass
class DenoiserOutput(BaseOutput):
    """`sample` `[B, C, H, W]`, under the name that `UNet2DModel` has for it."""

    sample: Tensor
