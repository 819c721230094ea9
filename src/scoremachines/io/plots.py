"""Figures: axes with their names on, without pyplot, so that no screen and no state is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from scoremachines.errors import real, whole
from scoremachines.io.files import atomic_path

__all__ = ["axes_side_by_side", "density", "figure_of", "save_figure", "scatter"]

DOTS_PER_INCH = 160


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, whole or not at all.

    Args:
        figure: the figure.
        path: the file, whose name ends in `.png`.

    Returns:
        The file.

    Raises:
        InputError: if it cannot be written.
    """
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
    return Path(path)


def axes_side_by_side(
    count: int, width: float = 4.0, height: float = 3.6, columns: int | None = None
) -> list[Axes]:
    """Return empty axes in a row, in a figure of their own.

    Args:
        count: how many, at least 1.
        width: of each, inches.
        height: of each, inches.
        columns: how many fit into a row; the others follow in rows below. By default all.

    Returns:
        The axes, without the upper and the right border; `figure_of` one of them is the figure.
    """
    count = whole("count", count, 1, 1000)
    columns = min(count, whole("columns", columns or count, 1))
    width, height = real("width", width, 0.1, 100), real("height", height, 0.1, 100)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    row = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in row[count:]:
        axes.remove()
    for axes in row[:count]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
    return row[:count]


def scatter(
    points: Mapping[str, tuple[ArrayLike, ArrayLike]], across: str, up: str, title: str = ""
) -> Figure:
    """Draw series of points in the plane, and the diagonal on which both coordinates are equal.

    Args:
        points: by the name of the series, horizontal and vertical coordinates, `[n]` each.
        across: what the horizontal axis shows.
        up: what the vertical axis shows.
        title: headline.

    Returns:
        The figure.
    """
    axes = axes_side_by_side(1, 6.2, 4.6)[0]
    for number, (name, (horizontal, vertical)) in enumerate(points.items()):
        axes.scatter(horizontal, vertical, s=18, alpha=0.75, color=f"C{number % 10}", label=name)
    _diagonal(axes)
    axes.set(xlabel=across, ylabel=up, title=title)
    if points:
        axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure_of(axes)


def density(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike]], across: str, up: str, title: str = ""
) -> Figure:
    """Draw how often each pair of values occurs, one panel a series, counts as logarithms.

    Args:
        panels: by the headline of the panel, horizontal and vertical values, `[n]` each.
        across: what the horizontal axes show.
        up: what the vertical axes show.
        title: headline of all.

    Returns:
        The figure.
    """
    row = axes_side_by_side(max(1, len(panels)), 3.4, 3.4)
    for axes, (name, (horizontal, vertical)) in zip(row, panels.items(), strict=False):
        axes.hexbin(horizontal, vertical, gridsize=40, bins="log", mincnt=1, cmap="viridis_r")
        _diagonal(axes)
        axes.set(xlabel=across, ylabel=up)
        axes.set_title(name, fontsize="medium")
    figure = figure_of(row[0])
    figure.suptitle(title)
    return figure


def _diagonal(axes: Axes) -> None:
    axes.axline((0, 0), slope=1, color="0.6", linewidth=0.8, linestyle="--", zorder=0)


def figure_of(axes: Axes) -> Figure:
    """Return the figure that axes lie in."""
    figure = axes.figure
    assert isinstance(figure, Figure)  # no axes here lie in a part of a figure
    return figure
