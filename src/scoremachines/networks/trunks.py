"""Trunks: local features of a noisy image, and their receptive fields (theory §5).

No trunk normalises across space, so that a feature depends on its window alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

__all__ = ["ConvTrunk", "NoiseLevel", "wrapped"]

LOG_SNR = (-9.0, 14.0)
"""log ᾱ/(1−ᾱ) is kept within these bounds, which a network can resolve."""


class NoiseLevel(nn.Module):
    """The conditioning of a network: noise level and class, as one vector.

    The level enters as sines and cosines of `log ᾱ/(1−ᾱ)`, so that it means the same on every
    schedule.

    Args:
        width: E, length of the vector.
        classes: number of classes; 0 for an unconditional network.
    """

    frequencies: Tensor

    def __init__(self, width: int, classes: int = 0) -> None:
        super().__init__()
        frequencies = torch.linspace(math.log(0.1), math.log(3.0), 16).exp()
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        # The last entry stands for "any class".
        self.classes = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, alpha_bar: Tensor, labels: Tensor | None) -> Tensor:
        """Return the vector of every image, `[B, E]`, from ᾱ `[B]` and classes `[B]` or None."""
        alphas = alpha_bar.double().clamp(1e-12, 1 - 1e-12)
        log_snr = (alphas.log() - (-alphas).log1p()).clamp(*LOG_SNR)
        phase = log_snr.to(self.frequencies)[:, None] * self.frequencies
        level = self.layers(torch.cat([phase.sin(), phase.cos()], 1))
        if self.classes is None:
            return level
        anything = self.classes.num_embeddings - 1
        if labels is None:
            labels = torch.full((len(level),), anything, device=level.device)
        return level + self.classes(torch.where(labels < 0, anything, labels))


class ConvTrunk(nn.Module):
    """Residual 3×3 convolutions at one resolution.

    A stem sees 3×3 pixels, and each block, `h + W relu(conv(relu h) + b(t))`, one more in every
    direction. Circular padding is applied once, to the image, as wide as the receptive field
    needs; the convolutions then cut their maps, which is the same and copies less. Blocks of 1×1
    convolutions follow, which see no further but distinguish patches more finely.

    Args:
        channels: C, of the image.
        width: of the features.
        receptive_field: k, odd, pixels.
        padding: `"zeros"` or `"circular"`.
        embedding: E, length of the noise level's vector.
        pointwise: number of 1×1 blocks.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        receptive_field: int,
        padding: str,
        embedding: int,
        pointwise: int = 0,
    ) -> None:
        super().__init__()
        self.width, self.receptive_field = width, receptive_field
        self.margin = receptive_field // 2 if padding == "circular" else 0
        border = 0 if self.margin else 1
        self.stem = nn.Conv2d(channels, width, 3, padding=border)
        blocks = (receptive_field - 3) // 2
        self.blocks = nn.ModuleList(
            [Block(width, border, embedding) for _ in range(blocks)]
            + [Pointwise(width, embedding) for _ in range(pointwise)]
        )

    def forward(self, noisy: Tensor, level: Tensor) -> Tensor:
        """Return the features, `[B, width, H, W]`, of φ `[B, C, H, W]`."""
        if self.margin:
            noisy = wrapped(noisy, self.margin)
        features = self.stem(noisy)
        for block in self.blocks:
            features = block(features, level)
        return features


class Block(nn.Module):
    """`h + W relu(conv(relu h) + b(t))`; starts as the identity."""

    def __init__(self, width: int, border: int, embedding: int) -> None:
        super().__init__()
        self.cut = 1 - border
        self.conv = nn.Conv2d(width, width, 3, padding=border)
        self.level = nn.Linear(embedding, width)
        self.mix = nn.Conv2d(width, width, 1)
        for parameter in self.mix.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, level: Tensor) -> Tensor:
        inner = self.conv(relu(features)) + self.level(level)[:, :, None, None]
        if self.cut:
            features = features[:, :, 1:-1, 1:-1]
        return features + self.mix(relu(inner))


class Pointwise(nn.Module):
    """`h + W relu(V relu h + b(t))`, pixel by pixel and twice as wide; starts as the identity."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.level = nn.Linear(embedding, 2 * width)
        self.mix = nn.Conv2d(2 * width, width, 1)
        for parameter in self.mix.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, level: Tensor) -> Tensor:
        inner = self.widen(relu(features)) + self.level(level)[:, :, None, None]
        return features + self.mix(relu(inner))


def wrapped(images: Tensor, margin: int) -> Tensor:
    """Return images `[B, C, H, W]` continued on the other side by any margin, pixels."""
    rows, columns = (
        torch.arange(-margin, side + margin, device=images.device) % side
        for side in images.shape[-2:]
    )
    return images[:, :, rows][..., columns]
