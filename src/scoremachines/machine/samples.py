"""Samples of a query that are computed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scoremachines.engines import Query
from scoremachines.theory.locality import Window, window_at
from scoremachines.theory.specs.width import Smoothness, smooth_at

__all__ = ["Group", "grouped"]

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
