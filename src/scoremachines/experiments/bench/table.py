"""The measurements as lines of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scoremachines.experiments.bench.tasks import BASELINE

__all__ = ["HEAD", "row", "speed_ups", "summary"]

COLUMNS = (
    *("machine", "k", "N", "ᾱ", "engine", "seconds", "speed-up", "pairs/s", "MiB"),
    *("error", "bound"),
)
HEAD = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
CLOSE = 0.99
"""Levels above this one are there for the error; speed-ups do not count them."""

Result = dict[str, Any]


def row(result: Result, results: Sequence[Result]) -> str:
    """Return one measurement as a row of the table.

    Args:
        result: the measurement.
        results: all measurements; the baseline's are looked up there.

    Returns:
        The row. The speed-up shows once the baseline has been measured.
    """
    window = "image" if result["window"] is None else str(result["window"])
    cells = [result["machine"], window, str(result["count"]), f"{result['level']:g}"]
    cells.append(result["engine"])
    if result["seconds"] is None:
        return "| " + " | ".join([*cells, result["reason"]]) + " |" * (len(COLUMNS) - len(cells))
    faster = _speed_up(result, results)
    cells += [f"{result['seconds']:.3f}", "" if faster is None else f"{faster:.1f}"]
    cells += [f"{result['pairs'] / result['seconds']:.1e}", f"{result['bytes'] / 2**20:.0f}"]
    for name in ("error", "bound"):
        cells.append("" if result[name] is None else f"{result[name]:.1e}")
    return "| " + " | ".join(cells) + " |"


def speed_ups(engine: str, results: Sequence[Result]) -> list[float]:
    """Return how much faster an engine is than the baseline, wherever both were measured.

    Args:
        engine: its name.
        results: all measurements.

    Returns:
        Ratios of times.
    """
    own = [each for each in results if each["engine"] == engine and each["level"] <= CLOSE]
    ratios = [_speed_up(each, results) for each in own if each["seconds"] is not None]
    return [ratio for ratio in ratios if ratio is not None]


def summary(results: Sequence[Result]) -> list[str]:
    """Return a few lines on each engine.

    Args:
        results: all measurements.

    Returns:
        Speed-ups over the baseline, pairs a second, memory and error.
    """
    lines = []
    for engine in dict.fromkeys(each["engine"] for each in results):
        own = [e for e in results if e["engine"] == engine and e["seconds"] is not None]
        if not own:
            continue
        els = [each for each in own if each["machine"] == "els"]
        words = [f"at most {max(each['bytes'] for each in own) / 2**20:.0f} MiB above the data"]
        if els:
            rates = [each["pairs"] / each["seconds"] for each in els]
            words.append(f"{min(rates):.1e} to {max(rates):.1e} pairs/s (ELS)")
        ratios = speed_ups(engine, results)
        if ratios and engine != BASELINE:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            words.append(
                f"{mean:.1f} times as fast as {BASELINE} (geometric mean of {len(ratios)}, "
                f"from {min(ratios):.1f} to {max(ratios):.1f})"
            )
        errors = [each["error"] for each in own if each["error"] is not None]
        if errors:
            words.append(f"error at most {max(errors):.1e}")
        lines.append(f"{engine}: {'; '.join(words)}")
    if any(each["seconds"] is None for each in results):
        lines.append("What was not measured enters no number here: nothing is extrapolated.")
    return lines


def _speed_up(result: Result, results: Sequence[Result]) -> float | None:
    """Return how many times longer the baseline took for the same."""
    names = ("machine", "window", "count", "level")
    for other in results:
        if other["engine"] == BASELINE and all(other[name] == result[name] for name in names):
            return None if other["seconds"] is None else other["seconds"] / result["seconds"]
    return None
