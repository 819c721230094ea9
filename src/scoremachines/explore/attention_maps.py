"""Attention maps: the largest entries in the rows of A of any attention (theory §4).

    Π_u(i) = Σ_κ Σ_{y≠u} A^κ_uy E^κ_y(i)

The weights of an attention need not hold A as a matrix. Applied to evidence that is 1 at one
place and 0 elsewhere, they give one column of A.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scoremachines.attention.weights import AttentionWeights, DenseWeights, UniformWeights
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.machine.stream import Stream

__all__ = ["Attended", "attended", "strongest"]

COLUMNS = 2**22
"""How many entries of A are requested at a time."""
EVEN = 1e-9
"""Weights that differ by less than this share of the largest are equal."""


@dataclass(frozen=True)
class Attended:
    """The places that each pixel of one noisy image attends to most.

    Args:
        place: `row · W + column`, most attended first, int64 `[A, H, W]`; −1 where there are
            fewer.
        weight: A_uy of each, at least 0, float64 `[A, H, W]`.
        total: Σ_{y≠u} A_uy, float64 `[H, W]`.
        even: the weight, if all places but the own one have the same; then no place is named.
    """

    place: Tensor
    weight: Tensor
    total: Tensor
    even: float | None = None


def attended(
    machine: ScoreMachine, noisy: Tensor, alpha_bar: float, label: int | None, most: int
) -> Attended | None:
    """Return what the attention of a machine looks at in one noisy image.

    Args:
        machine: the machine.
        noisy: φ, `[1, C, H, W]`, on the machine's device.
        alpha_bar: ᾱ in [0, 1].
        label: the class that the machine is restricted to; None for all.
        most: how many places to name for each pixel.

    Returns:
        The places, summed over the windows κ; None for a machine without attention.
    """
    if machine.attention.name == "none":
        return None
    level = torch.tensor([alpha_bar], dtype=torch.float64)
    time = machine.schedule.time(level)
    members = None if label is None else machine.data.of_class(label)
    stream = Stream(machine.data, machine.engine, machine.attention, members)
    weights = stream.attention_weights(machine.query(noisy, level), time)
    if not weights:
        return None
    height, width = noisy.shape[-2:]
    shares = [rows for _, rows in weights if isinstance(rows, UniformWeights)]
    if len(shares) == len(weights):  # no matrix is needed, which large images have no room for
        return _even(sum(share.weight for share in shares), height, width)
    total = sum(_matrix(rows, height, width) for _, rows in weights)
    assert isinstance(total, Tensor)
    return strongest(total, height, width, most)


def _even(weight: float, height: int, width: int) -> Attended:
    nothing = torch.zeros(0, height, width)
    total = torch.full((height, width), weight * (height * width - 1), dtype=torch.float64)
    return Attended(nothing.long(), nothing.double(), total, weight)


def strongest(rows: Tensor, height: int, width: int, most: int) -> Attended:
    """Return the largest entries of each row of A, the own place left out.

    Args:
        rows: A, `[H·W, H·W]`, at least 0.
        height: of the image, pixels.
        width: of the image, pixels.
        most: how many places to name for each pixel.

    Returns:
        The places.
    """
    rows, pixels = rows.detach().cpu().double().clone(), height * width
    least = float(rows.fill_diagonal_(torch.inf).min())
    largest = float(rows.fill_diagonal_(0).max())
    if pixels > 1 and largest - least <= EVEN * largest:
        return _even(largest, height, width)
    total, most = rows.sum(1).view(height, width), min(most, pixels - 1)
    best = rows.topk(most, dim=1)
    shape = (most, height, width)
    place = torch.where(best.values > 0, best.indices, -1).T.reshape(shape)
    return Attended(place, best.values.T.reshape(shape), total)


def _matrix(rows: AttentionWeights, height: int, width: int) -> Tensor:
    """Return A, float64 `[H·W, H·W]` on the CPU: column y is the answer to evidence 1 at y."""
    pixels = height * width
    if isinstance(rows, DenseWeights):
        return rows.matrix[0].cpu()
    columns = []
    step = max(1, COLUMNS // pixels)
    for start in range(0, pixels, step):
        count = min(step, pixels - start)
        ones = torch.zeros(1, count, pixels, dtype=torch.float64)
        ones[0, torch.arange(count), start + torch.arange(count)] = 1
        columns.append(rows.apply(ones.view(1, count, height, width))[0].flatten(1))
    return torch.cat(columns).T
