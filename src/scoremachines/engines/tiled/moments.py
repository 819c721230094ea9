"""Moments of the torch engine: evidence and mean colour of every image at every pixel (theory §2).

    E_u(i) = log mean_v e^{ℓ_u(i,v)},    m_u(i) = Σ_v softmax_v(ℓ_u(i,·)) x_i(v)

Sums are of `e^{ℓ−r}`, with a reference r for each image and pixel that follows the largest ℓ from
some nats below: each image's by itself, so that equal images have equal bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.engines.tiled.tiles import TilePair
from scoremachines.theory.runs import Run

__all__ = ["FAR", "NEVER", "tiled_moments"]

FAR = 80.0
"""Nats by which a weight is so much less than another that it counts for nothing, and above which
exp does not underflow, which is slow."""
SLACK = 60.0
"""Nats that ℓ may exceed its reference by."""
NEVER = -1e30
"""The reference before any displacement: far below any ℓ, yet finite (−∞ − −∞ has no value)."""


def tiled_moments(pair: TilePair, *, means: bool = True) -> tuple[Tensor, Tensor | None]:
    """Return the moments of one noisy image.

    Args:
        pair: the noisy image before a block of training images.
        means: whether mean colours are wanted.

    Returns:
        `E_u(i)`, `[n, H, W]`, and `m_u(i)`, `[n, C, H, W]`; None for means that are not wanted.
    """
    sums = _Sums(pair, means)
    for row in pair.row_runs():
        for columns in pair.column_groups():
            tile = pair.log_likelihood(row, columns)
            values = pair.values(row, columns[0])[..., 0, :]
            for move, column in enumerate(columns):
                sums.add(row, column, tile[:, :, move], values)
    return sums.read()


class _Sums:
    """References r, `Σ e^{ℓ−r}` and `Σ e^{ℓ−r} x`, `[row, column, n]` over query positions."""

    def __init__(self, pair: TilePair, means: bool) -> None:
        self.pair = pair
        self.reference = pair.full(NEVER, pair.count)
        fields = 1 + pair.channels if means else 1
        self.fields = [pair.full(0.0, pair.count) for _ in range(fields)]

    def add(self, row: Run, column: Run, log: Tensor, values: Tensor) -> None:
        """Add a displacement: ℓ `[row, column, n]`, and x_i(v), `[C, row, column, n]`."""
        rows, columns = (slice(run.query, run.query + run.length) for run in (row, column))
        reference = self.reference[rows, columns]
        fields = [field[rows, columns] for field in self.fields]
        apart = torch.sub(log, reference, out=self.pair.clean.spare(log.shape))
        raised = _raised(apart)
        if len(raised[0]):
            after = log[raised]
            factor = (reference[raised] - after).exp_()
            for field in fields:
                field[raised] *= factor
            reference[raised], apart[raised] = after, 0.0
        weight = apart.clamp_(min=-FAR).exp_()
        fields[0].add_(weight)
        for field, colour in zip(fields[1:], values, strict=False):
            field.addcmul_(weight, colour)

    def read(self) -> tuple[Tensor, Tensor | None]:
        """Return evidence and means, with the copies of each pixel merged."""
        pair, (total, *colours) = self.pair, self.fields
        level = pair.fold(self.reference + total.log())
        evidence = level.logsumexp((0, 2), keepdim=True)
        found = (evidence[0, :, 0] - pair.log_counts()[..., None]).movedim(-1, 0)
        if not colours:
            return found, None
        shares = (level - evidence).exp()
        shares /= shares.sum((0, 2), keepdim=True)  # what rounding leaves of 1
        shares /= pair.fold(total.clamp(min=1))  # less only where nothing is admitted
        mean = torch.stack([(shares * pair.fold(colour)).sum((0, 2)) for colour in colours])
        return found, mean.movedim(-1, 0)


def _raised(apart: Tensor) -> tuple[Tensor, ...]:
    """Return where `ℓ − r` is above the slack, `(row, column, n)`: at a few images and pixels."""
    flags = apart.amax(-1) > SLACK
    places = flags.nonzero(as_tuple=True)
    if 2 * len(places[0]) > flags.numel():
        return (apart > SLACK).nonzero(as_tuple=True)
    some, images = (apart[places] > SLACK).nonzero(as_tuple=True)
    return places[0][some], places[1][some], images
