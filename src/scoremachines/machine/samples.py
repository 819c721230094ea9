"""Samples of a query that are computed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import Query
from scoremachines.errors import InputError
from scoremachines.theory.locality import Window, window_at
from scoremachines.theory.specs.width import Smoothness, smooth_at

__all__ = ["Group", "classes", "grouped", "pixel_numbers"]

SINGLE = 32.0
"""Samples with values of φ beyond this are computed in float64, to resolve distances."""


@dataclass(frozen=True)
class Group:
    """Samples that share everything but φ and ᾱ.

    Args:
        samples: their places in the query; a slice of all.
        window: k, pixels; None for the whole image.
        width: h, of the sources.
        label: the class that they draw from; None for all.
        double: whether they are computed in float64.
    """

    samples: Tensor | slice
    window: int | None
    width: float
    label: int | None
    double: bool


def grouped(
    query: Query,
    times: Sequence[float],
    labels: Sequence[int | None],
    window: Window,
    smooth: Smoothness,
) -> list[Group]:
    """Return the samples of a query, those together that are computed together.

    Args:
        query: the noisy images.
        times: t of each.
        labels: the class of each.
        window: k or k(t).
        smooth: h or h(t).

    Returns:
        The groups, in the order of their first samples.
    """
    far = (query.noisy.detach().abs().flatten(1).amax(1) > SINGLE).tolist()
    windows = [window_at(window, t) for t in times]
    widths = [smooth_at(smooth, t) for t in times]
    keys = list(zip(windows, widths, labels, far, strict=True))
    groups: list[Group] = []
    for key in dict.fromkeys(keys):
        shared = [i for i, other in enumerate(keys) if other == key]
        samples = slice(None) if len(shared) == len(keys) else torch.tensor(shared)
        groups.append(Group(samples, *key))
    return groups


def classes(data: TrainingSet, labels: Tensor | int | None, batch: int) -> list[int | None]:
    """Return the class of every sample.

    Args:
        data: the training set.
        labels: one label, or one for each sample; None for all classes.
        batch: how many samples there are.

    Returns:
        The number of each sample's class; None for all.

    Raises:
        InputError: there is no such class, or they are not as many as the samples.
    """
    if labels is None:
        return [None] * batch
    if not isinstance(labels, Tensor):
        return [data.label(labels)] * batch
    if labels.numel() not in (1, batch):
        raise InputError("labels", labels, f"one label or {batch} labels")
    return [data.label(label) for label in labels.reshape(-1).expand(batch).tolist()]


def pixel_numbers(pixels: Tensor | None, count: int) -> Tensor | None:
    """Return the numbers of some pixels.

    Args:
        pixels: as the user gave them; None for all.
        count: how many an image has.

    Returns:
        int64, each once, rising, or None.

    Raises:
        InputError: there is no such pixel.
    """
    if pixels is None:
        return None
    known = isinstance(pixels, Tensor) and pixels.dtype == torch.int64
    if not known or bool(((pixels < 0) | (pixels >= count)).any()):
        raise InputError("pixels", pixels, f"int64 numbers from 0 to {count - 1}")
    return pixels.unique()
