"""Peaks of memory: this process's, or a GPU's."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from scoremachines.io.files import exists

__all__ = ["peak", "reset_peak"]

LINUX = Path("/proc/self/clear_refs")


def reset_peak(device: str = "cpu") -> int:
    """Let the peak of memory begin anew, the GPU's where one is used; return bytes in use.

    Args:
        device: whose memory.

    Returns:
        Bytes in use now; where the system cannot begin anew, the peak so far.
    """
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if exists("memory", LINUX):
        LINUX.write_text("5")
        return _status("VmRSS")
    return peak(device)


def peak(device: str = "cpu") -> int:
    """Return the largest memory since then, bytes; on some systems, since the process began.

    Args:
        device: whose memory.

    Returns:
        Bytes. A process's are those in memory: also pages of files that it has mapped.
    """
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    if exists("memory", LINUX):
        return _status("VmHWM")
    import resource  # not on every system

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
