"""Moments of images, `E_u(i)` and `m_u(i)`: when they are worth it, and while they are kept.

x̂0(u) = Σ_i softmax_i( log p(i) + E_u(i) + Π_u(i) ) m_u(i)
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from scoremachines.engines import Query

__all__ = ["Known", "Moments", "moments_bytes", "reads_once"]

Moments = tuple[dict[int | None, Tensor], Tensor]
"""`E_u(i)` of some images at each window that it is known at, and `m_u(i)`."""


def reads_once(engine: Any, query: Query) -> bool:
    """Return whether an engine's `moments` cost less than its evidence and posterior together."""
    chosen = engine.on(query.noisy.device) if hasattr(engine, "on") else engine
    return bool(getattr(chosen, "reads_once", False))


def moments_bytes(query: Query, windows: int = 1) -> int:
    """Return the bytes of the moments of one image and one noisy image.

    Args:
        query: the noisy images.
        windows: how many windows `E_u(i)` is kept at; `m_u(i)` is at one.

    Returns:
        The bytes.
    """
    pixels = query.noisy[0, 0].numel()
    return pixels * (8 * windows + query.answered * query.noisy.element_size())


class Known:
    """Moments `E_u(i)` and `m_u(i)` of a whole pass, for the gradient that may be wanted next.

    Only the latest are held, of all machines: a chain of steps keeps a graph of each, and would
    otherwise hold the moments of them all.

    Args:
        blocks: of each block, in order, `E_u(i)` `[B, n, H, W]` by window, and `m_u(i)`
            `[B, n, C, H, W]`.
        places: places of all images of the pass, rising, int64 `[N]`.
    """

    _latest: ClassVar[weakref.ref[Known] | None] = None

    def __init__(self, blocks: Iterable[Moments], places: Tensor) -> None:
        self._blocks, self._places = list(blocks), places
        Known.forget()
        Known._latest = weakref.ref(self)

    @classmethod
    def forget(cls) -> None:
        """Let go of the latest moments; their gradient computes them again."""
        latest = cls._latest and cls._latest()
        if latest:
            latest._blocks = []

    def part(self, index: Tensor) -> Moments | None:
        """Return the moments of images at places `[n]` that follow each other in the pass.

        Args:
            index: the places.

        Returns:
            The moments; None where they are held no longer.
        """
        start = int(torch.searchsorted(self._places, index[:1].to(self._places.device)))
        stop, found, first = start + len(index), [], 0
        for evidence, mean in self._blocks:
            last = first + mean.shape[1]
            if first < stop and last > start:
                some = slice(max(start - first, 0), stop - first)
                fields = {window: field[:, some] for window, field in evidence.items()}
                found.append((fields, mean[:, some]))
            first = last
        if first < stop:
            return None
        windows = found[0][0]
        at = {window: torch.cat([fields[window] for fields, _ in found], 1) for window in windows}
        return at, torch.cat([mean for _, mean in found], 1)
