"""Pairs (u, v ∈ V(u)) of patches as rectangles of constant displacement (theory §2.2).

For one displacement the patch distances of all pairs are a box filter of one image of squared
differences, so pairs are visited displacement by displacement. Per axis a displacement is a `Run`;
the admissible pairs of an image are the products of a run of rows and a run of columns, because
all four kinds of sources treat the two axes alike and independently (theory §2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from scoremachines.theory.positions import PERIODIC

__all__ = ["Run", "box_sum", "log_counts", "query_extent", "runs", "source_counts"]


@dataclass(frozen=True)
class Run:
    """The pairs `{(u, v) = (query + j, source + j) : j ∈ [0, length)}` of one displacement."""

    query: int
    source: int
    length: int


def query_extent(size: int, sources: str) -> int:
    """Return how far query positions count: past the border where the noisy image is periodic."""
    return 2 * size if PERIODIC[sources] else size


def runs(size: int, window: int, sources: str) -> list[Run]:
    """Return the runs of one axis of `size` pixels, at a window of `window` pixels.

    Modulo `size` in u, they are all admissible pairs of the axis, each once:
    `∪ runs = {(u, v) : v ∈ V(u)}` (theory §2.2).

    Query positions from `size` on mean the same pixels as those from 0 on.
    """
    radius = window // 2
    inside = size - 2 * radius
    if sources == "aligned":
        return [Run(0, 0, size)]
    if sources == "circular":
        return [Run(shift, 0, size) for shift in range(size)]
    if sources == "valid":
        return [Run(radius + shift, radius, inside) for shift in range(size)]
    away = [Run(radius + max(-d, 0), radius + max(d, 0), inside - abs(d)) for d in _moves(inside)]
    return [Run(0, 0, size), *away]


def _moves(inside: int) -> list[int]:
    return [*range(-1, -inside, -1), *range(1, inside)]


def source_counts(size: int, window: int, sources: str) -> Tensor:
    """Return `|V(u)| = #{v : v ∈ V(u)}` of each of `size` pixels along one axis."""
    reached = [np.arange(run.query, run.query + run.length) for run in runs(size, window, sources)]
    counts = np.bincount(np.concatenate(reached) % size, minlength=size)
    return torch.from_numpy(counts).double()


@lru_cache(maxsize=64)
def log_counts(size: tuple[int, int], window: int, sources: str, device: torch.device) -> Tensor:
    """Return `log|V(u)| = log n_row(u) + log n_column(u)`, float64 `[H, W]`; cached."""
    rows, columns = (source_counts(length, window, sources) for length in size)
    return (rows[:, None] * columns).log().to(device)


def box_sum(values: Tensor, window: int, dim: int, spare: tuple[Tensor, Tensor]) -> Tensor:
    """Return the sums over neighbours `s_j = Σ_{o<k} x_{j+o}` along `dim`, overwriting `values`.

    Windows are built from sums over 1, 2, 4, … neighbours: about `2 log₂ k` additions a value, and
    no subtraction, so a small sum keeps its digits beside large ones.

    Args:
        values: any shape; its memory receives the result.
        window: odd number of neighbours, at most `values.shape[dim]`.
        dim: dimension to sum along.
        spare: two flat buffers with at least as many elements as `values`.

    Returns:
        A view of `values`, shorter by `window − 1` along `dim`.
    """
    length = values.shape[dim] - window + 1
    total = values.narrow(dim, 0, length)
    current, size, offset, turn = values, 1, 1, 0
    while 2 * size <= window:
        halves = current.shape[dim] - size
        left, right = current.narrow(dim, 0, halves), current.narrow(dim, size, halves)
        current = torch.add(left, right, out=_view(spare[turn], left.shape))
        size, turn = 2 * size, 1 - turn
        if window & size:
            total.add_(current.narrow(dim, offset, length))
            offset += size
    return total


def _view(buffer: Tensor, shape: torch.Size) -> Tensor:
    return buffer[: shape.numel()].view(shape)
