"""The receptive field of a network, measured by gradient (theory §5)."""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.errors import whole
from scoremachines.networks.network import Network

__all__ = ["measured_receptive_field", "sensitivity"]


def sensitivity(network: Network, pixel: tuple[int, int], draws: int = 8, seed: int = 0) -> Tensor:
    """Return how much the trunk's features at one pixel depend on every pixel of φ.

    `Σ |∂ h(u) / ∂ φ(v)|`, over channels, random directions in feature space and random φ: exactly
    zero where there is no path from v to u, and almost surely positive where there is one.

    Args:
        network: the network, whose size may be any that its trunk takes.
        pixel: u, row and column.
        draws: number of random φ.
        seed: of φ and the directions.

    Returns:
        `[H, W]`.
    """
    draws, seed = whole("draws", draws, 1), whole("seed", seed)
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.randn((draws, *network.shape), generator=generator).to(network.device)
    noisy.requires_grad_()
    level = network.level(torch.linspace(0.1, 0.9, draws).double().to(network.device), None)
    features = network.body(noisy, level)[:, :, pixel[0], pixel[1]]
    direction = torch.randn(features.shape, generator=generator).to(features)
    (gradient,) = torch.autograd.grad((features * direction).sum(), noisy)
    return gradient.abs().sum((0, 1))


def measured_receptive_field(network: Network) -> int:
    """Return the side of the window that the middle pixels' features depend on, pixels.

    Args:
        network: the network; its images should be larger than what it sees.

    Returns:
        `1 + 2 d`, with d the largest distance in rows or columns over which a pixel matters, the
        largest over the middle 4×4 pixels.
    """
    height, width = network.shape[1:]
    reach = 0
    for row in range(height // 2 - 2, height // 2 + 2):
        for column in range(width // 2 - 2, width // 2 + 2):
            seen = sensitivity(network, (row, column)).nonzero()
            away = (seen - torch.tensor([row, column], device=seen.device)).abs().max()
            reach = max(reach, int(away))
    return 1 + 2 * reach
