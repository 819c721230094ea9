"""Thresholds of several scores at once, with one rate of false positives (theory §6.4)."""

from __future__ import annotations

import math

from torch import Tensor

from scoremachines.errors import InputError, real, whole

__all__ = ["LOWEST", "MOST", "common_rank", "held_out_needed", "held_out_used"]

LOWEST = 1e-6
"""The lowest level that may be requested."""
USUAL, MOST = 600, 4000
"""Held-out images that are used: so many, and up to so many where the level takes more."""


def common_rank(shares: Tensor, level: float) -> tuple[int, float]:
    """Return the rank of the thresholds among held-out images, and the level that it keeps.

    With T the largest rank of an image among all kinds, it is
    `c = min {c : #{j : T_j ≥ c} + [K > 1] ≤ α(m+1)}` (theory §6.4).

    Args:
        shares: S of every kind and held-out image, `[K, m]`.
        level: α.

    Returns:
        Rank c, from 1 to m, and the level, which is above α where m is too small.

    Raises:
        InputError: a level out of range, or no scores.
    """
    level = real("level", level, LOWEST, 1 - LOWEST)
    if shares.dim() != 2 or not shares.numel():
        raise InputError("shares", list(shares.shape), "a tensor [K, m] with at least one entry")
    kinds, count = shares.shape
    largest = shares.argsort(dim=1, stable=True).argsort(dim=1).amax(0) + 1
    allowed = min(count, math.floor(level * (count + 1) + 1e-9) - (kinds > 1))
    rank = 1
    if allowed < count:
        rank = int(largest.sort(descending=True).values[max(0, allowed)]) + 1
    rank = min(rank, count)
    return rank, (int((largest >= rank).sum()) + (kinds > 1)) / (count + 1)


def held_out_needed(level: float, kinds: int) -> int:
    """Return how many held-out images are enough for a level: half of them choose, half try.

    Args:
        level: α.
        kinds: K.

    Returns:
        2 (⌈K'/α⌉ − 1), at least 4, with K' = 1 for one kind and K + 1 for several, which may all
        have their largest S at different images.

    Raises:
        InputError: a level out of range, or no kinds.
    """
    level, kinds = real("level", level, LOWEST, 1 - LOWEST), whole("kinds", kinds, 1)
    worst = kinds + (kinds > 1)
    return max(4, 2 * (math.ceil(worst / level - 1e-9) - 1))


def held_out_used(level: float, kinds: int) -> int:
    """Return how many held-out images are used where there are enough.

    Args:
        level: α.
        kinds: K.

    Returns:
        600, or as many as the level takes, up to 4,000.

    Raises:
        InputError: a level out of range, or no kinds.
    """
    return max(USUAL, min(MOST, held_out_needed(level, kinds)))
