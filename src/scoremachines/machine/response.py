"""What windows answer with: their centres, or patches that are composed (theory §2.10)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import fold

from scoremachines.engines import Query
from scoremachines.theory.positions import PERIODIC
from scoremachines.theory.posterior import Posterior

__all__ = ["composed", "seeing"]


def seeing(pixels: Tensor | None, window: int | None, size: tuple[int, int]) -> Tensor | None:
    """Return the pixels in whose windows some lie: their patches make up these pixels' answers.

    Args:
        pixels: numbers of pixels, int64; None for all.
        window: k, pixels; None for the whole image.
        size: height and width, pixels.

    Returns:
        Their numbers, rising; None for all.
    """
    if pixels is None or window is None:
        return pixels
    height, width = size
    around = torch.arange(window) - window // 2
    rows = (pixels // width)[:, None, None] + around[:, None]
    columns = (pixels % width)[:, None, None] + around
    return (rows % height * width + columns % width).flatten().unique()


def composed(posterior: Posterior, query: Query) -> Posterior:
    """Return a posterior whose mean is composed of patches (theory §2.10).

        x̂0(p) = mean_{u: p∈Ω_u} m_u(p)

    with `m_u`, the posterior mean of the whole patch around u, in the mean's channels.

    Args:
        posterior: as an engine returned it.
        query: what the engine was asked.

    Returns:
        The same, with x̂0 in the mean, `[B, C, H, W]`; unchanged if the query was about centres.
    """
    if not query.patches or query.window is None:
        return posterior
    height, width = query.noisy.shape[-2:]
    radius, values = query.window // 2, posterior.mean.flatten(2)
    if query.pixels is not None:  # others were not answered
        answered = torch.zeros_like(values[:1, :1])
        answered[..., query.pixels] = 1
        values = torch.where(answered > 0, values, 0)
    else:
        answered = torch.ones_like(values[:1, :1])
    patch = query.window**2
    sums = _folded(values, query)
    counts = _folded(answered.expand(-1, patch, -1), query).clamp(min=1)
    inside = slice(radius, radius + height), slice(radius, radius + width)
    return replace(posterior, mean=(sums / counts)[..., inside[0], inside[1]])


def _folded(values: Tensor, query: Query) -> Tensor:
    """Return sums over overlapping patches, with a margin of half a window."""
    assert query.window is not None
    (height, width), radius = query.noisy.shape[-2:], query.window // 2
    laid = fold(values, (height + 2 * radius, width + 2 * radius), query.window)
    if PERIODIC[query.sources] and radius:
        for axis, size in ((-2, height), (-1, width)):
            before, middle, after = laid.split((radius, size, radius), axis)
            head, rest = middle.split((radius, size - radius), axis)
            middle = torch.cat([head + after, rest], axis)
            rest, tail = middle.split((size - radius, radius), axis)
            middle = torch.cat([rest, tail + before], axis)
            laid = torch.cat([before, middle, after], axis)
    return laid
