"""Memorisation's map as a picture (theory §6.6)."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scoremachines.experiments.phase_map import ALL, Cell, edges, groups_of, of_group
from scoremachines.io.plots import axes_side_by_side, figure_of
from scoremachines.theory.locality import Window, window_at

__all__ = ["phase_figure"]

TIME, WINDOW = "t (0: clean, 1: noise)", "window k, pixels"


def phase_figure(cells: Sequence[Cell], drawn: Window = None) -> Figure:
    """Draw what is left to choose from, the edges, and how curves of all N fall onto one.

    Args:
        cells: of several numbers of images, and perhaps of classes.
        drawn: k(t) of a network, to be drawn into the map; None for none.

    Returns:
        The figure. Map: `log N − I_k(t)`, nats, of the largest set. Edges: the largest window with
        `Λ_k(t) ≤ log(N−1)`, for each N, and for each class. Collapse: the weight of a patch's own
        image against `log(N−1) − Λ_k(t)`, Λ that of the largest set.
    """
    every = groups_of(cells)
    numbers = [images for group, images in every if group == ALL]
    classes = [each for each in every if each[0] != ALL]
    row = axes_side_by_side(4 if classes else 3, 4.6, 3.8)
    largest = of_group(cells, ALL, max(numbers))
    _draw_map(row[0], largest, drawn)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(numbers)))
    for colour, images in zip(colours, numbers, strict=True):
        found = edges(of_group(cells, ALL, images))
        row[1].plot([*found], [*found.values()], ".-", color=colour, label=f"N = {images:,}")
    row[1].set(xlabel=TIME, ylabel=WINDOW, title="largest window that does not recite")
    row[1].legend(frameon=False, fontsize="small")
    _draw_collapse(row[2], cells, largest, numbers, colours)
    if classes:
        for group, images in classes:
            found = edges(of_group(cells, group, images))
            row[3].plot(
                [*found], [*found.values()], ".-", alpha=0.8, label=f"{group} ({images:,})"
            )
        row[3].set(xlabel=TIME, ylabel=WINDOW, title="the same of each class")
        row[3].legend(frameon=False, fontsize="x-small", ncols=2)
    return figure_of(row[0])


def _draw_map(axes: Axes, cells: Sequence[Cell], drawn: Window) -> None:
    """Draw what is left to choose from, with the edge and a network's k(t)."""
    times = sorted({each.time for each in cells})
    windows = sorted({each.window for each in cells})
    left = {(each.time, each.window): log(each.images) - each.information for each in cells}
    grid = np.array([[left[time, window] for time in times] for window in windows])
    places = np.arange(len(windows))
    mesh = axes.pcolormesh(times, places, grid, vmin=0, cmap="magma", shading="nearest")
    figure_of(axes).colorbar(mesh, ax=axes, label="log N − I, nats")
    found = edges(cells)
    rows = [windows.index(found[time]) for time in times]
    axes.plot(times, rows, "o-", color="cyan", markersize=3, label="edge, Λ = log(N−1)")
    if drawn is not None:
        fine = np.linspace(min(times), 1, 200)
        ks = [float(window_at(drawn, time) or windows[-1]) for time in fine]
        axes.plot(fine, np.interp(ks, windows, places), "w--", label="k(t) of the network")
    axes.set(xlabel=TIME, ylabel=WINDOW, title=f"N = {cells[0].images:,}")
    axes.set_yticks(places, [str(window) for window in windows])
    axes.grid(visible=False)
    axes.legend(fontsize="small", loc="lower right")


def _draw_collapse(
    axes: Axes,
    cells: Sequence[Cell],
    largest: Sequence[Cell],
    numbers: Sequence[int],
    colours: np.ndarray,
) -> None:
    """Draw the weight of a patch's own image against Λ of the largest set."""
    gaps = {(each.time, each.window): each.gap for each in largest}
    for colour, images in zip(colours, numbers, strict=True):
        own = of_group(cells, ALL, images)
        across = [log(images - 1) - gaps[each.time, each.window] for each in own]
        axes.plot(
            across, [each.weight for each in own], ".", color=colour, label=f"N = {images:,}"
        )
    fine = np.linspace(-10, 10, 200)
    axes.plot(fine, 1 / (1 + np.exp(fine)), "0.5", linewidth=0.8, label="1/(1 + eˣ)")
    axes.set(xlim=(-10, 10), xlabel="log(N−1) − Λ, nats", ylabel="weight of the patch's own image")
    axes.set_title("all N on one curve?")
    axes.legend(frameon=False, fontsize="small")
