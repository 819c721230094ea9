"""The processor that a benchmark runs on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["core_numbers", "cores", "processor"]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(core_numbers())


def core_numbers() -> list[int]:
    """Return the numbers of these cores."""
    known = getattr(os, "sched_getaffinity", None)  # not on every system
    return sorted(known(0)) if known else list(range(os.cpu_count() or 1))


def processor() -> str:
    """Return what the system calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
