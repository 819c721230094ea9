"""Gradients of the torch engine: weights of sources, back through the box filter (theory §2.8).

For one displacement, what every pixel u of a row of windows pulls is spread over its window by the
transposed box filter and multiplied by the shifted training images: one more pass of the same kind
as that of `tiled.py`, with the same tiles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.engines.base import Pull, Query
from scoremachines.engines.tiled.moments import FAR
from scoremachines.engines.tiled.tiles import TilePair
from scoremachines.theory.positions import PERIODIC
from scoremachines.theory.runs import Run, box_sum

__all__ = ["from_sums", "tiled_gradient"]


def from_sums(query: Query, sums: Tensor) -> Tensor:
    """Return `∂/∂φ(y) = √ᾱ/(1−ᾱ) (Σ c x − φ/√ᾱ Σ c)` at every pixel y (theory §2.8).

    Args:
        query: `B` noisy images.
        sums: `Σ c x` and `Σ c` over the sources whose windows y lies in, `[B, C+1, H, W]`.

    Returns:
        `[B, C, H, W]` in the query's dtype.
    """
    signal, variance = (
        each.to(query.noisy.device)[:, None, None, None] for each in (query.signal, query.variance)
    )
    scaled, sums = query.noisy.double() / signal, sums.double()
    pulled = sums[:, :-1] - scaled * sums[:, -1:]
    return (pulled * (signal / variance)).to(query.noisy.dtype)


def tiled_gradient(pair: TilePair, pull: Pull) -> Tensor:
    """Return the argument of `from_sums` for one noisy image, `[1, C+1, H, W]`, from a pull on it.

    They are `Σ c x` and `Σ c`, `c = exp(ℓ − log|V| − level) (gain ⟨g, x⟩ + offset)`.
    """
    level, gain, offset = (
        pair.spread(field[0].to(pair.noisy.dtype))
        for field in (pull.level + pair.log_counts(), pull.gain, pull.offset)
    )
    along = pair.spread(pull.direction[0])
    if gain.shape[-1] == 1:
        along = along * gain
    sums = _Sums(pair)
    for row in pair.row_runs():
        for columns in pair.column_groups():
            tile = pair.log_likelihood(row, columns)
            tile.sub_(pair.moved(level[_query(row)], columns)).clamp_(min=-FAR).exp_()
            colour = _colours(pair, row, columns, along)
            if gain.shape[-1] > 1:
                colour.mul_(pair.moved(gain[_query(row)], columns))
            tile.mul_(colour.add_(pair.moved(offset[_query(row)], columns)))
            sums.add(row, columns, tile)
    return sums.folded()[None]


def _query(run: Run) -> slice:
    return slice(run.query, run.query + run.length)


def _colours(pair: TilePair, row: Run, columns: list[Run], along: Tensor) -> Tensor:
    """Return `⟨g(u), x_i(v)⟩` of a tile, `[row, column, move, n]`; valid until the next tile."""
    values = pair.values(row, columns[0])
    pulls = pair.moved(along[_query(row)], columns).unsqueeze(-1)  # [row, column, move, C, 1]
    shape = torch.Size((row.length, columns[0].length, len(columns), pair.count))
    found = torch.mul(values[0], pulls[:, :, :, 0], out=pair.clean.spare(shape))
    for channel in range(1, pair.channels):
        found.addcmul_(values[channel], pulls[:, :, :, channel])
    return found


class _Sums:
    """What is added up at every pixel of the noisy image and its margins."""

    def __init__(self, pair: TilePair) -> None:
        self.pair, self.margin = pair, pair.window - 1
        rows, columns = (size + self.margin for size in pair.extent)
        self.total = pair.noisy.new_zeros(pair.channels + 1, rows, columns)
        self.buffers: list[Tensor] = []

    def add(self, row: Run, columns: list[Run], tile: Tensor) -> None:
        """Spread a tile over its windows, and enter it times the values there."""
        margin, column = self.margin, columns[0]
        spread = self._transposed(tile)
        height, width = spread.shape[:2]
        clean = self.pair.clean.framed[:, row.source : row.source + height]
        clean = clean[:, :, column.source : column.source + width, None]
        product = self.buffers[1][: spread.numel()].view(spread.shape)
        sums = [torch.mul(spread, values, out=product).sum(-1) for values in clean]
        found = torch.stack([*sums, spread.sum(-1)])  # [C+1, row, column, move]
        here = self.total[:, row.query : row.query + row.length + margin]
        for move, run in enumerate(columns):
            here[:, :, run.query : run.query + width] += found[..., move]

    def _transposed(self, tile: Tensor) -> Tensor:
        """Return the sums over all windows that a place lies in, `k − 1` larger than the tile."""
        height, width, moves, count = tile.shape
        margin = self.margin
        shape = (height + 2 * margin, width + 2 * margin, moves, count)
        cells = shape[0] * shape[1] * moves * count
        if not self.buffers or len(self.buffers[0]) < cells:
            self.buffers = [tile.new_empty(cells) for _ in range(3)]
        framed = self.buffers[0][:cells].view(shape).zero_()
        framed[margin : margin + height, margin : margin + width] = tile
        spare = (self.buffers[1], self.buffers[2])
        window = self.pair.window
        return box_sum(box_sum(framed, window, 0, spare), window, 1, spare)

    def folded(self) -> Tensor:
        """Return the sums at the pixels of the image, `[C+1, H, W]`."""
        pair, radius = self.pair, self.margin // 2
        if not PERIODIC[pair.sources]:  # beyond the border there are zeros, which do not change
            height, width = pair.height, pair.width
            return self.total[:, radius : radius + height, radius : radius + width]
        folded = self.total
        for dim, size in ((1, pair.height), (2, pair.width)):
            place = (torch.arange(folded.shape[dim], device=folded.device) - radius) % size
            shape = [*folded.shape]
            shape[dim] = size
            folded = folded.new_zeros(shape).index_add_(dim, place, folded)
        return folded
