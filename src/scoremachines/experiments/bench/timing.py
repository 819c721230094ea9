"""Times of several pieces of work that are compared with each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

__all__ = ["shortest"]


def shortest(
    works: Sequence[Callable[[], object]],
    repeat: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return the shortest time of each piece of work, seconds; they take turns.

    Args:
        works: what to time.
        repeat: how often.
        clock: what tells the time.

    Returns:
        Seconds, in the order of the works.
    """
    best = [float("inf")] * len(works)
    for _ in range(repeat):
        for number, work in enumerate(works):
            begun = clock()
            work()
            best[number] = min(best[number], clock() - begun)
    return best
