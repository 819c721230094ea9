"""Calibrations as a picture: k(t), and the curves that it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import matplotlib
from matplotlib.figure import Figure
from torch import Tensor

from scoremachines.calibration.windows import Calibration
from scoremachines.io.plots import axes_side_by_side

__all__ = ["calibration_figure"]

SMALLEST = 1e-16
SHOWN: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "noise": ("1 − cosine similarity of ε̂", lambda value: (1 - value).clamp(min=SMALLEST)),
    "clean": ("1 − Pearson r of x̂0", lambda value: (1 - value).clamp(min=SMALLEST)),
    "error": ("mean squared difference of x̂0", lambda value: (-value).clamp(min=SMALLEST)),
    "held-out": ("mean squared error of held-out images", lambda value: -value),
    "information": ("information about the image, nats", lambda value: value),
    "edge": ("Λ, nats", lambda value: value),
}
"""What is drawn of each measure."""


def calibration_figure(calibrations: Mapping[str, Calibration]) -> Figure:
    """Draw k(t) of each calibration in one panel, and each one's curves in a panel of its own.

    Args:
        calibrations: by the name that the legend gives them, at least one.

    Returns:
        The figure: windows in pixels against t; then the mean over trajectories against the
        window, one line a step, coloured by t.
    """
    row = axes_side_by_side(1 + len(calibrations), 4.2, 3.4)
    for name, each in calibrations.items():
        row[0].plot(each.times, each.windows, ".-", drawstyle="steps-mid", alpha=0.8, label=name)
    row[0].set(xlabel="t (0: clean, 1: noise)", ylabel="window k, pixels", title="k(t)")
    row[0].legend(frameon=False, fontsize="small")
    colours = matplotlib.colormaps["viridis"]
    for axes, (name, each) in zip(row[1:], calibrations.items(), strict=True):
        text, shown = SHOWN[each.curves.measure]
        means = shown(each.curves.chosen_by.mean(2))
        for time, mean in zip(each.times, means, strict=True):
            label = f"t = {time:.2g}" if time in (each.times[0], each.times[-1]) else None
            axes.plot(each.curves.candidates, mean, color=colours(time), label=label)
        scale = "linear" if each.curves.measure in ("information", "edge") else "log"
        axes.set(xlabel="window k, pixels", ylabel=text, yscale=scale, title=name)
        axes.legend(frameon=False, fontsize="small")
    figure = row[0].figure
    assert isinstance(figure, Figure)  # no axes here lie in a part of a figure
    return figure
