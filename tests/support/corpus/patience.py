"""A limit on time and memory for one case, so that a hang or a flood is a failure of its own."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["SECONDS", "SEED", "HungError", "patience", "room"]

SEED = 14
"""Of what is drawn from a corpus."""
SECONDS = 60
"""A case may take this long on a crowded machine."""


class HungError(BaseException):
    """A case took too long; no `except Exception` may swallow it."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """End the body with `HungError` if it takes longer."""

    def end(number: int, frame: FrameType | None) -> None:
        raise HungError

    old = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


@contextmanager
def room(more: int) -> Iterator[None]:
    """Let this process take so many bytes of addresses more than it has, within the body."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)
