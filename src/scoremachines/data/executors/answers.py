"""Answers for all parts of a pass; those that are late are asked for a second time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from statistics import median
from time import monotonic, sleep
from typing import Any

__all__ = ["LATE", "answers"]

LATE, TIMES = 10.0, 3.0
"""A part is late after so many seconds, and so many times the median of those that are there."""
MOST = 5
"""How often a part is asked for again whose answers were lost."""


def answers(
    count: int,
    ask: Callable[[int, int], Future[Any]],
    late: float = LATE,
    lost: tuple[type[Exception], ...] = (),
) -> tuple[list[Any], list[int]]:
    """Return the answers for all parts, in order.

    Args:
        count: of parts.
        ask: asks for the part of a number; the second argument is how often it was asked before.
        late: seconds after which a part may be asked for again.
        lost: errors that mean that an answer was lost; the part is asked for again, a few times.

    Returns:
        The answers, and the numbers of the parts whose second answer came first.
    """
    begun = monotonic()
    pending = {ask(number, 0): (number, 0) for number in range(count)}
    found: dict[int, Any] = {}
    seconds: list[float] = []
    again: set[int] = set()
    overtaken: list[int] = []
    try:
        while len(found) < count:
            ready, _ = wait(pending, timeout=max(late / 10, 0.05), return_when=FIRST_COMPLETED)
            for each in ready:
                number, attempt = pending.pop(each)
                if number in found or each.cancelled():
                    continue
                error = each.exception()
                if isinstance(error, lost) and attempt < MOST:
                    sleep(attempt)
                    pending[ask(number, attempt + 1)] = number, attempt + 1
                    continue
                found[number] = each.result()
                seconds.append(monotonic() - begun)
                overtaken += [number] * (attempt > 0)
                for other in [other for other in pending if pending[other][0] == number]:
                    other.cancel()
            if not seconds or monotonic() - begun < max(late, TIMES * median(seconds)):
                continue
            for number in set(range(count)) - found.keys() - again:
                again.add(number)
                pending[ask(number, 1)] = number, 1
    finally:
        for each in pending:
            each.cancel()
    return [found[number] for number in range(count)], overtaken
