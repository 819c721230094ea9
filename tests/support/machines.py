"""Every machine: attention maps × what they hold of × gains × sources."""

from __future__ import annotations

from itertools import product
from typing import TypeAlias

import torch
from torch import Tensor

from scoremachines import ScoreMachine, TrainingSet
from scoremachines.attention import build_attention
from scoremachines.theory.positions import SOURCES
from scoremachines.theory.specs import AttentionSpec
from scoremachines.theory.specs.attention import OVER

__all__ = ["EVERY", "PLAIN", "SHAPE", "Named", "machine_of", "training_images"]

Named: TypeAlias = tuple[str, str, float | str, str]
SHAPE = 2, 4, 5  # at 3 pixels, a wrapped window of 3 would see the same from every row
PLAIN: list[Named] = [("none", "image", 1.0, sources) for sources in SOURCES]
MAPS = "identity", "top1", "tiled", "full", "multiscale", "matrix"
EVERY: list[Named] = [*product(MAPS, OVER, (1.0, 1.3, "perplexity"), SOURCES)]


def machine_of(data: TrainingSet, case: Named) -> ScoreMachine:
    """Return a machine for images of that shape."""
    name, over, gain, sources = case
    draw = torch.Generator().manual_seed(3)
    matrix = torch.rand(20, 20, generator=draw, dtype=torch.float64).softmax(1)
    spec = AttentionSpec(name, over, gain, windows=(1, 3) if name == "multiscale" else None)
    attention = build_attention(spec, matrix=matrix if name == "matrix" else None)
    return ScoreMachine(data, 3, sources, attention)


def training_images(count: int = 8) -> Tensor:
    """Return images of that shape, float64."""
    draw = torch.Generator().manual_seed(4)
    return torch.rand(count, *SHAPE, generator=draw, dtype=torch.float64) * 2 - 1
