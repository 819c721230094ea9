"""What a command has to do with the terminal and the system: encodings, memory, disk."""

from __future__ import annotations

import sys
from io import TextIOWrapper

from scoremachines.errors import one_line, out_of_memory

__all__ = ["UsedUpError", "escape_unprintable", "system_problem"]


class UsedUpError(MemoryError):
    """Memory is used up; the text names the options of the command that need less."""


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
        return one_line(f"{error.strerror.lower()}{where}")
    return None
