"""What a step on millions and billions of images takes, from rates measured on fewer."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

__all__ = ["SETS", "at_scale"]

SETS = {"ImageNet": 1_281_167, "LAION-400M": 400_000_000, "LAION-5B": 5_850_000_000}
"""Images of well-known sets, here at 64×64×3, the last two rounded (Russakovsky et al. 2015;
Schuhmann et al. 2021, 2022)."""
CORES, MINUTE = 64, 60.0
"""Cores of a host, and seconds that a step may take."""
HEAD = (
    *("set", "images", "TB", "machine", "core hours a step", "hosts for a step a minute"),
    *("TB a host", "KiB a host"),
)


def at_scale(row: Mapping[str, Any]) -> list[str]:
    """Return a table: what one noisy image needs for one step.

    Seconds are those of one core, measured with all threads busy; a host has 64 such cores. LS
    reads every image once, ELS all places of each. KiB are what a host gets and sends in a step.

    Args:
        row: as `stored.measured` returns it.

    Returns:
        Its lines.
    """
    each = prod(row["shape"])
    costs = {
        "LS": row["threads"] * row["again"] / row["count"],
        "ELS": row["threads"] * row["els"] / row["els_count"],
    }
    sent = sum(map(sum, row["sent"]))
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    for name, count in SETS.items():
        for machine, seconds in costs.items():
            hours = count * seconds / 3600
            hosts = max(1, round(count * seconds / (CORES * MINUTE) + 0.5))
            size = count * each / 1e12
            cells = [name, f"{count:,}", f"{size:.3g}", f"{machine}, k = {row['window']}"]
            cells += [f"{hours:.3g}", f"{hosts:,}", f"{size / hosts:.2g}", f"{sent / 1024:.0f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return lines
