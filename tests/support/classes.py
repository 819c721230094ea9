"""A training set of four classes, and its first images under noise."""

from __future__ import annotations

import torch

import scoremachines as sm

LEVEL = 0.3
WINDOW = 3


def training_set(count: int = 11, seed: int = 0) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.rand(count, 3, 5, 7, generator=draw, dtype=torch.float64) * 2 - 1
    return sm.TrainingSet(pixels, torch.arange(count) % 4, ("a", "b", "c", "d"))


def noisy_images(data: sm.TrainingSet) -> torch.Tensor:
    draw = torch.Generator().manual_seed(5)
    noise = torch.randn(2, *data.shape, generator=draw, dtype=torch.float64)
    return LEVEL**0.5 * data.pixels[:2] + (1 - LEVEL) ** 0.5 * noise
