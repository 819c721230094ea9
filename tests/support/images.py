"""Images of drawn pixels, and smooth ones, as tensors."""

from __future__ import annotations

import torch


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 1


def smooth(n: int, seed: int) -> torch.Tensor:
    """Return images with large features, of which no two are alike."""
    coarse = noise(n, 3, 4, 5, seed=seed)
    return torch.nn.functional.interpolate(coarse, (13, 17), mode="bilinear").clamp(-1, 1)


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=draw) * 2 - 1
