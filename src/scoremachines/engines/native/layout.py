"""Noisy and training images as the native part reads them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from scoremachines.engines.base import Query
from scoremachines.theory.positions import PERIODIC
from scoremachines.theory.runs import query_extent, runs

__all__ = ["framed_query", "stored_images", "table"]


def stored_images(images: Tensor, query: Query) -> Tensor:
    """Return bytes as they are, and values in the dtype of the query."""
    kept = images if images.dtype == torch.uint8 else images.to(query.noisy.dtype)
    return kept.contiguous()


def framed_query(query: Query) -> np.ndarray:
    """Return `q = φ/√ᾱ` with the margins that the runs reach into, `[B, C, rows, columns]`.

    NumPy lays it out: after an operation of torch's on several threads these would keep the cores
    busy for some milliseconds, waiting for the next one.
    """
    signal = query.signal[:, None, None, None]
    laid = (query.noisy.double() / signal).to(query.noisy.dtype).numpy()
    radius = (query.window or 1) // 2
    if not PERIODIC[query.sources]:
        return np.pad(laid, [(0, 0), (0, 0), (radius, radius), (radius, radius)])
    for axis in (2, 3):
        extent = query_extent(laid.shape[axis], query.sources)
        laid = laid.take(np.arange(-radius, extent + radius), axis, mode="wrap")
    return np.ascontiguousarray(laid)


@lru_cache(maxsize=64)
def table(size: int, window: int, sources: str) -> np.ndarray:
    """Return the runs of an axis, `[runs, 3]`; the same array each time."""
    axis = runs(size, window, sources)
    return np.array([(run.query, run.source, run.length) for run in axis], dtype=np.int32)
