"""The terminal and the system: encodings, memory, disk."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from scoremachines.errors import one_line, out_of_memory, system_reason

__all__ = ["UsedUpError", "escape_unprintable", "share_cores", "sign_of_life", "system_problem"]

SPINS = "1000"
"""Turns of a waiting thread before it sleeps: some microseconds."""
SILENT = 1.0
"""Seconds after which a command that has just been started prints that it is at work."""


class UsedUpError(MemoryError):
    """Memory is used up; the text names the options of the command that need less."""


def share_cores() -> None:
    """Let torch's threads wait for each other by sleeping, after a moment of spinning.

    As they are by default, threads spin on cores that other work wants, and small steps take
    some 40 times as long. GNU's OpenMP reads this once, as torch is loaded.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def escape_unprintable() -> None:
    """Let standard output and error escape what their encoding lacks, such as ᾱ in cp1252."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def system_problem(error: BaseException) -> str | None:
    """Return what the system refused, as the line that a command ends with.

    Args:
        error: any error.

    Returns:
        The line; None if the error is no refusal of the system, but a fault of the program.
    """
    if isinstance(error, UsedUpError):
        return str(error)
    if out_of_memory(error):
        return "memory is used up. Accepted: fewer or smaller images."
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f": {error.filename}"
        return one_line(f"{system_reason(error)}{where}")
    return None


@contextmanager
def sign_of_life(command: str) -> Iterator[None]:
    """Print one line on stderr if a command in a new process is not done in a moment.

    Loading torch alone takes seconds on a busy machine, and reading images may take more.

    Args:
        command: its name.
    """
    if "torch" in sys.modules:
        yield
        return

    def say() -> None:
        print(f"scoremachines {command}: loading …", file=sys.stderr, flush=True)

    timer = threading.Timer(SILENT, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
