"""The two networks of Kamb & Ganguli (2025), by name and size, as trunks (theory §5).

Their code is a source of facts only: widths, depths, where pooling and noise level enter. Both are
without normalisation. The readout that `Network` puts on top is ours, 1×1 as theirs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

__all__ = ["RESNET_LAYERS", "UNET_REACH", "KGResNet", "KGUNet"]

RESNET_LAYERS = 8
"""3×3 convolutions of KG's ResNet, each of which sees one pixel further: 17×17 pixels."""
UNET_REACH = 23
"""How far an output pixel of the UNet sees at most: 2 + 4 + 8 + 4 + 2 pixels through convolutions
at three scales, and 3 more within the cells of the coarsest one."""


def _convolution(channels: int, out: int, padding: str) -> nn.Conv2d:
    mode: Any = padding
    return nn.Conv2d(channels, out, 3, padding=1, padding_mode=mode)


class KGResNet(nn.Module):
    """Eight 3×3 convolutions, `h + relu(conv(h + b(t)))` from the second on.

    KG's width is 256: 4,254,208 parameters on colour images, and 4,426,883 in a `Network`.

    Args:
        channels: C, of the image.
        width: of the features.
        padding: `"zeros"` or `"circular"`.
        embedding: length of the noise level's vector.
    """

    receptive_field = 1 + 2 * RESNET_LAYERS

    def __init__(self, channels: int, width: int, padding: str, embedding: int) -> None:
        super().__init__()
        self.width = width
        self.stem = _convolution(channels, width, padding)
        count = RESNET_LAYERS - 1
        self.convs = nn.ModuleList(_convolution(width, width, padding) for _ in range(count))
        self.levels = nn.ModuleList(nn.Linear(embedding, width) for _ in range(count))

    def forward(self, noisy: Tensor, level: Tensor) -> Tensor:
        """Return the features, `[B, width, H, W]`, of φ `[B, C, H, W]`."""
        features = self.stem(noisy)
        for conv, to_features in zip(self.convs, self.levels, strict=True):
            features = features + relu(conv(features + to_features(level)[:, :, None, None]))
        return features


class KGUNet(nn.Module):
    """Three scales of `width`, 2·`width` and 4·`width` channels.

    KG's are 64, 128 and 256: 1,900,419 parameters on colour images, and 1,923,718 in a `Network`.
    Two convolutions a scale, maxima over 2×2 pixels on the way down, transposed convolutions and
    skip connections on the way up. It commutes only with shifts by multiples of four pixels, and
    its features see up to `UNET_REACH` pixels in every direction.

    Args:
        channels: C, of the image.
        width: of the finest features.
        padding: `"zeros"` or `"circular"`.
        embedding: length of the noise level's vector.
    """

    receptive_field = 1 + 2 * UNET_REACH

    def __init__(self, channels: int, width: int, padding: str, embedding: int) -> None:
        super().__init__()
        self.width = width
        fine, middle, coarse = width, 2 * width, 4 * width
        self.down = nn.ModuleList(
            _Pair(before, after, padding, embedding)
            for before, after in ((channels, fine), (fine, middle), (middle, coarse))
        )
        self.rise = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 2, stride=2)
            for before, after in ((coarse, middle), (middle, fine))
        )
        self.up = nn.ModuleList(
            _Pair(2 * after, after, padding, embedding) for after in (middle, fine)
        )

    def forward(self, noisy: Tensor, level: Tensor) -> Tensor:
        """Return the features, `[B, width, H, W]`, of φ `[B, C, H, W]`, H and W multiples of 4."""
        features, skipped = noisy, []
        for pair in self.down[:-1]:
            features = pair(features, level)
            skipped.append(features)
            features = max_pool2d(features, 2)
        features = self.down[-1](features, level)
        for rise, pair, skip in zip(self.rise, self.up, reversed(skipped), strict=True):
            features = pair(torch.cat([skip, rise(features)], 1), level)
        return features


class _Pair(nn.Module):
    """Two 3×3 convolutions, with the noise level added before the first."""

    def __init__(self, channels: int, width: int, padding: str, embedding: int) -> None:
        super().__init__()
        self.level = nn.Linear(embedding, channels)
        self.first = _convolution(channels, width, padding)
        self.second = _convolution(width, width, padding)

    def forward(self, features: Tensor, level: Tensor) -> Tensor:
        inner = self.first(features + self.level(level)[:, :, None, None])
        return relu(self.second(relu(inner)))
