"""The layout of patches for the `cuda` engine's products (theory §2.2).

With sources "boundary" a pixel draws from places that lie to the border as it does: pixels and
places have kinds, and meet where these are equal. Both are sorted by kind, and a tile of pixels
goes through the places of its kinds only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["COLUMNS", "LIFT", "PIXELS", "PLACES", "WARPS", "Layout", "layout", "padded_values"]

PIXELS, PLACES, WARPS = 64, 128, 4
"""Pixels and places that a program takes at once, and between how many warps."""
COLUMNS = 16
"""Values of a place: 4 colours, their other halves, a 1, and zeros."""
LIFT = 15
"""The largest weight is 2¹⁵: half precision then holds weights 2⁴⁰ times smaller."""


@dataclass(frozen=True)
class Layout:
    """Where the patches of images of one shape lie.

    Args:
        order: pixels, in the order of the tiles, int64 `[H·W]`.
        pixel_at: where patches of pixels begin in an image with a frame of half a window, int32
            `[H·W]`.
        place_at: the same of places, the pixels that may be drawn from, int32 `[V]`.
        taps: how much further the values of a patch lie, int32 `[dims]`; −1 for none.
        taken: values of a patch that are taken at once.
        ranges: the first place that a tile of pixels meets, and the first after the last, int32
            `[tiles, 2]`.
        kinds: of pixels and places, which meet where these are equal, int32 `[H·W]`; None: always.
    """

    order: Tensor
    pixel_at: Tensor
    place_at: Tensor
    taps: Tensor
    taken: int
    ranges: Tensor
    kinds: Tensor | None


def padded_values(values: int) -> tuple[int, int]:
    """Return how long patches of so many values are made, and how much is taken at once.

    K-tiles of 64 values are taken if a patch is no more than 15 % longer than with smaller ones.
    """
    few = max(16, min(32, 1 << (values - 1).bit_length()))
    sizes = {taken: -(-values // taken) * taken for taken in (few, 64)}
    taken = 64 if sizes[64] <= 1.15 * sizes[few] else few
    return sizes[taken], taken


@lru_cache(maxsize=64)
def layout(shape: tuple[int, int, int], window: int, sources: str, device: torch.device) -> Layout:
    """Return the layout for images `[C, H, W]` on a device."""
    channels, height, width = shape
    radius, wide = window // 2, width + window - 1
    index = torch.arange(height * width)
    row, column = index // width, index % width
    kind = _kind(row, height, radius) * (width + 1) + _kind(column, width, radius)
    order, places, kinds = index, index, None
    if sources == "valid":
        places = index[kind == 0]
    if sources == "boundary":
        order = places = kind.argsort(stable=True)
        kinds = kind[order]
    number, taken = padded_values(channels * window * window)
    value = torch.arange(number)
    channel, tap = value // (window * window), value % (window * window)
    taps = (channel * (height + window - 1) + tap // window) * wide + tap % window
    taps[channel >= channels] = -1
    at = row * wide + column
    numbers = (at[order], at[places], taps, _ranges(len(index), len(places), kinds))
    pixel_at, place_at, taps, ranges = (each.int().to(device) for each in numbers)
    there = None if kinds is None else kinds.int().to(device)
    return Layout(order.to(device), pixel_at, place_at, taps, taken, ranges, there)


def _kind(position: Tensor, size: int, radius: int) -> Tensor:
    """Return 0 for positions that windows fit around, else a number that is a position's own."""
    return torch.where((position >= radius) & (position < size - radius), 0, position + 1)


def _ranges(pixels: int, places: int, kinds: Tensor | None) -> Tensor:
    """Return the first place that each tile of pixels meets, and the first after the last."""
    starts = torch.arange(0, pixels, PIXELS)
    if kinds is None:
        return torch.tensor([[0, places]]).repeat(len(starts), 1)
    ends = (starts + PIXELS).clamp(max=pixels) - 1
    first = torch.searchsorted(kinds, kinds[starts])
    return torch.stack([first, torch.searchsorted(kinds, kinds[ends], right=True)], 1)
