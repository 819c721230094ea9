"""Figures of results for notebooks and papers: each draws on axes and returns them (theory §6.3).

Given no axes, they make a figure of their own, without pyplot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole
from scoremachines.io.pictures import grid, mosaic, to_picture
from scoremachines.io.plots import axes_side_by_side
from scoremachines.metrics.attribution import Explained
from scoremachines.metrics.memorisation import MemorisationTest
from scoremachines.metrics.words import share_words
from scoremachines.sampling.result import Result
from scoremachines.theory.posterior import Posterior

__all__ = [
    "show_entropy",
    "show_explained",
    "show_image",
    "show_map",
    "show_nearest_map",
    "show_samples",
    "show_source",
]

WORSE = -0.05
"""Where a curve draws every negative share: how much worse than a plain colour means little."""


def show_samples(result: Result, axes: Axes | None = None) -> Axes:
    """Draw all samples as a grid.

    Args:
        result: what sampling returned.
        axes: where to draw.

    Returns:
        The axes.
    """
    axes = _empty(axes)
    axes.imshow(np.asarray(grid(result.images)), interpolation="nearest")
    axes.set_title(f"{len(result.images)} samples", fontsize="medium")
    return axes


def show_image(image: Tensor, axes: Axes | None = None, title: str = "") -> Axes:
    """Draw one image, pixel by pixel.

    Args:
        image: `[C, H, W]` in [-1, 1].
        axes: where to draw.
        title: headline.

    Returns:
        The axes.
    """
    axes = _empty(axes)
    picture = to_picture(image)
    colours = picture if picture.mode == "RGBA" else picture.convert("RGB")
    axes.imshow(np.asarray(colours), interpolation="nearest")
    axes.set_title(title, fontsize="medium")
    return axes


def show_map(result: Result, sample: int = 0, axes: Axes | None = None) -> Axes:
    """Draw which training image each pixel came from, one colour an image; grey is doubt.

    Args:
        result: samples with their sources.
        sample: number of the sample.
        axes: where to draw.

    Returns:
        The axes.

    Raises:
        InputError: there is no such sample, or its sources are not known.
    """
    posterior = _posterior(result, sample)
    assert posterior.sources is not None
    axes = _empty(axes)
    images, positions = posterior.sources.image[0], posterior.sources.position[0]
    picture = mosaic(images, positions, posterior.weights[0])
    axes.imshow(np.asarray(picture), interpolation="nearest")
    count = len(images[0][images[0] >= 0].unique())
    axes.set_title(f"from {count} training image{'s' * (count != 1)}", fontsize="medium")
    return axes


def show_entropy(result: Result, sample: int = 0, axes: Axes | None = None) -> Axes:
    """Draw how undecided each pixel is: the entropy of its posterior, in nats.

    Args:
        result: samples with their sources.
        sample: number of the sample.
        axes: where to draw.

    Returns:
        The axes, with a colour bar.

    Raises:
        InputError: there is no such sample, or its sources are not known.
    """
    posterior = _posterior(result, sample)
    assert posterior.entropy is not None
    axes = _empty(axes)
    drawn = axes.imshow(posterior.entropy[0].cpu().numpy(), interpolation="nearest", vmin=0)
    axes.figure.colorbar(drawn, ax=axes, label="entropy, nats")
    axes.set_title("undecided", fontsize="medium")
    return axes


def show_source(
    result: Result,
    sample: int,
    row: int,
    column: int,
    axes: Axes | None = None,
    rank: int = 0,
    window: int | None = None,
) -> Axes:
    """Draw the training image that a pixel came from, with the place framed.

    Args:
        result: samples with their sources.
        sample: number of the sample.
        row: of the pixel.
        column: of the pixel.
        axes: where to draw.
        rank: 0 for the best source.
        window: k, to frame the patch too.

    Returns:
        The axes; the title has image and weight.

    Raises:
        InputError: there is no such sample, pixel or source.
    """
    posterior = _posterior(result, sample)
    sources = posterior.sources
    assert sources is not None
    _, ranks, height, width = sources.image.shape
    for name, value, most in (
        ("row", row, height),
        ("column", column, width),
        ("rank", rank, ranks),
    ):
        whole(name, value, 0, most - 1)
    image = int(sources.image[0, rank, row, column])
    if image < 0:
        raise InputError("rank", rank, "the rank of a source", "the pixel has fewer sources")
    down, right = divmod(int(sources.position[0, rank, row, column]), width)
    weight = float(posterior.weights[0, rank, row, column])
    axes = show_image(_training_image(result.data, image), axes)
    window = None if window is None else whole("window", window, 1)
    for size in {1, window or 1}:
        corner = (right - size / 2, down - size / 2)
        axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor="white", linewidth=3))
        axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor="black", linewidth=1))
    name = f"image {image}" if result.data.names is None else result.data.names[image]
    axes.set_title(f"{100 * weight:.0f} % from {name}", fontsize="medium")
    return axes


def show_nearest_map(explained: Explained, axes: Axes | None = None) -> Axes:
    """Draw which training image each pixel's nearest patch lies in, one colour an image.

    Args:
        explained: an image's nearest patches at one window.
        axes: where to draw.

    Returns:
        The axes.
    """
    axes = _empty(axes)
    image, position = explained.image[None], explained.position[None]
    picture = mosaic(image, position, image.new_ones(image.shape).double())
    axes.imshow(np.asarray(picture), interpolation="nearest")
    window = "whole image" if explained.window is None else f"window {explained.window}"
    title = f"{window}: {share_words(explained.share)}"
    if len(explained.ways) > 1:
        title += f"\n{100 * explained.turned:.0f} % of the pixels {explained.ways_words}"
    axes.set_title(title, fontsize="medium")
    return axes


def show_explained(
    curve: Sequence[Explained], test: MemorisationTest | None = None, axes: Axes | None = None
) -> Axes:
    """Draw how much the training set explains at each window.

    Args:
        curve: as `attribute` returns it.
        test: whose threshold to mark at the whole image.
        axes: where to draw.

    Returns:
        The axes.

    Raises:
        InputError: there is no window.
    """
    if not len(curve):
        raise InputError("curve", curve, "what `attribute` returned, at one window or more")
    axes = axes_side_by_side(1)[0] if axes is None else axes
    places = range(len(curve))
    names = ["image" if each.window is None else str(each.window) for each in curve]
    shares = [max(each.share, WORSE) for each in curve]
    axes.plot(places, shares, marker="o", label="all training images")
    # At the whole image all patches are one.
    parts = [float("nan") if each.window is None else each.largest[1] for each in curve]
    axes.plot(
        places,
        parts,
        marker=".",
        linestyle=":",
        label="pixels whose patch lies in one image",
    )
    if test is not None:
        end = len(curve) - 1
        axes.plot([end - 0.4, end + 0.2], [test.threshold] * 2, "--", color="0.4", linewidth=1)
        place = (end + 0.2, test.threshold)
        axes.annotate("memorised above", place, fontsize="small", va="bottom", ha="right")
    if min(shares) < 0:
        worse = "worse than a plain colour"
        axes.axhspan(2 * WORSE, 0, color="0.88", linewidth=0, zorder=0, label=worse)
    axes.set_xticks(list(places), names)
    low = 2 * WORSE if min(shares) < 0 else -0.03
    axes.set(xlabel="window, pixels", ylabel="share explained", ylim=(low, 1.03))
    axes.legend(frameon=False, fontsize="small")
    return axes


def _training_image(data: TrainingSet, place: int) -> Tensor:
    return data.block(slice(place, place + 1))[0]


def _posterior(result: Result, sample: int) -> Posterior:
    sample = whole("sample", sample, 0, len(result.images) - 1)
    if result.posterior is None or result.posterior.sources is None:
        raise InputError("result", "no sources", "samples with sources: pass best=K")
    return result.posterior.at(slice(sample, sample + 1))


def _empty(axes: Axes | None) -> Axes:
    axes = axes_side_by_side(1, 3.2, 3.2)[0] if axes is None else axes
    axes.set_axis_off()
    axes.grid(False)
    return axes
