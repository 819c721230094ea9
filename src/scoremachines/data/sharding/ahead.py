"""Items of a source in order, read and framed by several threads ahead of their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from scoremachines.data.formats.items import Frames, Items

__all__ = ["read_ahead"]

AHEAD = 64
"""Items that are read ahead of the one that is written."""


def read_ahead(items: Items, start: int, threads: int) -> Iterator[Frames]:
    """Yield what items become, in order.

    Args:
        items: the source.
        start: number of the first.
        threads: how many read.

    Yields:
        The training images of the next item.
    """
    pending: deque[Future[Frames]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for task in items.tasks(start):
                pending.append(pool.submit(task))
                if len(pending) > AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for each in pending:
                each.cancel()
