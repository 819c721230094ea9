"""Time against the number of training images, and against the window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from scoremachines.experiments.bench.table import CLOSE
from scoremachines.io.plots import axes_side_by_side, figure_of, save_figure

__all__ = ["draw"]

Result = dict[str, Any]


def draw(results: Sequence[Result], path: str | Path) -> Path | None:
    """Draw the times of ELS, one line an engine: the geometric mean over the noise levels.

    Args:
        results: all measurements.
        path: the file, whose name ends in `.png`.

    Returns:
        The file; None if there is nothing to draw.

    Raises:
        InputError: if it cannot be written.
    """
    timed = [each for each in results if each["seconds"] is not None]
    timed = [each for each in timed if each["machine"] == "els" and each["level"] <= CLOSE]
    if not timed:
        return None
    windows = sorted({each["window"] for each in timed})
    counts = sorted({each["count"] for each in timed})
    middle, few = windows[len(windows) // 2], counts[0]
    left, right = axes_side_by_side(2, 4.6, 3.8)
    at_window = [each for each in timed if each["window"] == middle]
    _lines(left, at_window, "count", "number of training images N", f"window k = {middle}")
    left.set_xscale("log")
    left.set_xticks(counts, [f"{count:,}" for count in counts], minor=False)
    left.set_xticks([], minor=True)
    at_count = [each for each in timed if each["count"] == few]
    _lines(right, at_count, "window", "window k, pixels", f"N = {few}")
    right.set_xticks(windows)
    for axes in (left, right):
        axes.set_yscale("log")
        axes.set_ylabel("seconds for one noisy image")
    right.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return save_figure(figure_of(left), path)


def _lines(axes: Axes, results: list[Result], name: str, across: str, title: str) -> None:
    engines = list(dict.fromkeys(each["engine"] for each in results))
    for number, engine in enumerate(engines):
        own = [each for each in results if each["engine"] == engine]
        places = sorted({each[name] for each in own})
        levels = [[each["seconds"] for each in own if each[name] == at] for at in places]
        middle = [_geometric_mean(each) for each in levels]
        colour = f"C{number % 10}"
        axes.plot(places, middle, marker="o", markersize=4, color=colour, label=engine)
        lowest, highest = [min(each) for each in levels], [max(each) for each in levels]
        axes.fill_between(places, lowest, highest, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel(across)
    axes.set_title(title, fontsize="medium")


def _geometric_mean(values: list[float]) -> float:
    product = 1.0
    for value in values:
        product *= value ** (1 / len(values))
    return product
