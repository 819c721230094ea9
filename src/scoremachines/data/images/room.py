"""The memory limit of a training set: half of this machine's memory.

A file of some kilobytes can promise any number of pixels: an archive that unpacks to a thousand
times its size, a header of a few words, a length that a data set merely states. Whatever would be
held in memory is compared with the memory there is before it is made.
"""

from __future__ import annotations

import os
from functools import cache
from math import prod

from scoremachines.errors import InputError

__all__ = ["check_room", "largest_set"]

UNKNOWN = 2**34
"""Bytes of memory to assume where the system does not report any: 16 GiB."""


@cache
def largest_set() -> int:
    """Return how many bytes of images may be held: half of the physical memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):
        return UNKNOWN // 2


def check_room(argument: str, value: object, *lengths: int) -> None:
    """Refuse what would not fit into memory.

    Args:
        argument: what decides how much it is.
        value: what was given for it.
        *lengths: factors of the number of bytes.

    Raises:
        InputError: their product is more than half of the memory.
    """
    size, most = prod(map(int, lengths)), largest_set()
    if size > most:
        accepted = f"at most {_gibibytes(most)}, half of this machine's memory"
        raise InputError(argument, value, accepted, f"that takes {_gibibytes(size)}")


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
