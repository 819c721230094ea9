"""No orphans: a process that another one started ends with it, however that one ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import parent_process
from threading import Thread

__all__ = ["end_with_parent", "end_with_stdin"]

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """End this process of `multiprocessing` as soon as the process that started it has ended."""
    parent = parent_process()
    if parent is not None:
        _end_after(parent.join)


def end_with_stdin() -> None:
    """End this process as soon as its standard input ends: as its parent does, which holds it."""
    _end_after(lambda: os.read(0, 1))


def _end_after(wait: Callable[[], object]) -> None:
    """End this process after a wait in a thread; on Linux the kernel kills it even sooner."""
    if sys.platform == "linux":
        # Also while other code holds the interpreter's lock. Not available in every C library.
        prctl = getattr(ctypes.CDLL(None), "prctl", None)
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        wait()
        os._exit(1)

    Thread(target=watch, daemon=True, name="end with parent").start()
