"""A noisy image and a block of training images, laid out so that a displacement is a slice."""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.engines.base import Query
from scoremachines.engines.memory import tile_values
from scoremachines.theory.positions import PERIODIC
from scoremachines.theory.runs import Run, box_sum, query_extent, runs, source_counts

__all__ = ["Clean", "TilePair", "framed"]


def framed(images: Tensor, radius: int, periodic: bool, extent: tuple[int, int]) -> Tensor:
    """Lay images out with a margin all around.

    Args:
        images: any number, `[n, C, H, W]`.
        radius: width of the margin, pixels.
        periodic: continue the images up to `extent` and beyond, else put zeros around them.
        extent: rows and columns without the margin.

    Returns:
        `[C, rows, columns, n]`.
    """
    laid = images.permute(1, 2, 3, 0)
    if periodic:
        rows, columns = (
            torch.arange(-radius, size + radius, device=images.device) % period
            for size, period in zip(extent, images.shape[-2:], strict=True)
        )
        return laid[:, rows][:, :, columns].contiguous()
    channels, height, width, count = laid.shape
    framed = laid.new_zeros(channels, height + 2 * radius, width + 2 * radius, count)
    framed[:, radius : radius + height, radius : radius + width] = laid
    return framed


class Clean:
    """A block of training images, and working memory, for all noisy images that it meets."""

    def __init__(self, query: Query, images: Tensor) -> None:
        height, width = images.shape[-2:]
        radius = (query.window or 1) // 2
        wrapped = query.sources == "circular"
        self.count = len(images)
        self.framed = framed(images, radius, wrapped, (height, width))
        self.moves = max(1, tile_values(images) // (height * width * self.count))
        self.moves = min(self.moves, width)
        cells = (height + 2 * radius) * (width + 2 * radius) * self.moves * self.count
        self.scratch = [images.new_empty(cells) for _ in range(3)]

    def spare(self, shape: torch.Size) -> Tensor:
        """Return memory of that shape that no tile lies in."""
        return self.scratch[2][: shape.numel()].view(shape)


class TilePair:
    """One noisy image of a query before a block of training images.

    `ℓ_u(i,u+d) = −ᾱ/(2(1−ᾱ)) Σ_o ‖φ(u+o)/√ᾱ − x_i(u+d+o)‖²`, a tile of u, i and d at a time.
    """

    def __init__(self, query: Query, sample: int, clean: Clean) -> None:
        self.clean, self.sources, self.window = clean, query.sources, query.window or 1
        self.sample = sample
        self.channels, self.height, self.width = query.noisy.shape[1:]
        self.count = clean.count
        signal, variance = float(query.signal[sample]), float(query.variance[sample])
        self.scale = -(signal**2) / (2 * variance)
        self.extent = (
            query_extent(self.height, query.sources),
            query_extent(self.width, query.sources),
        )
        noisy = (query.noisy[sample : sample + 1].double() / signal).to(query.noisy.dtype)
        periodic = PERIODIC[query.sources]
        self.noisy = framed(noisy, self.window // 2, periodic, self.extent)[..., 0]

    def full(self, value: float, *last: int) -> Tensor:
        """Return a constant `[row, column, *last]` over all query positions."""
        return self.noisy.new_full((*self.extent, *last), value)

    def row_runs(self) -> list[Run]:
        """Return the runs along the vertical axis."""
        return runs(self.height, self.window, self.sources)

    def column_groups(self, most: int | None = None) -> list[list[Run]]:
        """Return the runs along the horizontal axis, those that share a tile together.

        Runs share a tile if they draw from the same positions and are successive displacements.
        """
        groups: list[list[Run]] = []
        for run in runs(self.width, self.window, self.sources):
            last = groups[-1] if groups else []
            joins = last and len(last) < (most or self.clean.moves)
            if joins and run == Run(last[-1].query + 1, last[-1].source, last[-1].length):
                last.append(run)
            else:
                groups.append([run])
        return groups

    def log_likelihood(self, row: Run, columns: list[Run]) -> Tensor:
        """Return `ℓ_u(i, v)` of a tile, `[row, column, move, n]`; valid until the next call."""
        margin, column = self.window - 1, columns[0]
        height, width = row.length + margin, column.length + margin
        noisy = self.noisy[:, row.query : row.query + height]
        noisy = noisy[:, :, column.query : column.query + width + len(columns) - 1]
        noisy = noisy.unfold(2, width, 1).movedim(-1, 2)[..., None]  # [C, row, column, move, 1]
        clean = self.clean.framed[:, row.source : row.source + height]
        clean = clean[:, :, column.source : column.source + width, None]
        shape = torch.Size((height, width, len(columns), self.count))
        scratch = self.clean.scratch
        total, difference = (buffer[: shape.numel()].view(shape) for buffer in scratch[:2])
        torch.sub(noisy[0], clean[0], out=total).mul_(total)
        for channel in range(1, self.channels):
            torch.sub(noisy[channel], clean[channel], out=difference)
            total.addcmul_(difference, difference)
        spare = (scratch[1], scratch[2])
        total = box_sum(box_sum(total, self.window, 0, spare), self.window, 1, spare)
        result = scratch[1][: total.numel()].view(total.shape)
        return torch.mul(total, self.scale, out=result)

    def values(self, row: Run, column: Run) -> Tensor:
        """Return `x_i(v)` at the sources of a tile, `[C, row, column, 1, n]`."""
        top, left = (run.source + self.window // 2 for run in (row, column))
        values = self.clean.framed[:, top : top + row.length, left : left + column.length]
        return values[..., None, :]

    def moved(self, field: Tensor, columns: list[Run]) -> Tensor:
        """Return `[row, column, n]` as each move of a tile meets it, `[row, column, move, n]`."""
        first, last = columns[0], columns[-1]
        part = field[:, first.query : last.query + last.length]
        return part.unfold(1, first.length, 1).movedim(-1, 1)

    def fold(self, field: Tensor) -> Tensor:
        """Return `[row, column, …]` as `[1 or 2, H, 1 or 2, W, …]`: a pixel's copies apart."""
        rows, columns = field.shape[0] // self.height, field.shape[1] // self.width
        return field.reshape(rows, self.height, columns, self.width, *field.shape[2:])

    def spread(self, field: Tensor) -> Tensor:
        """Return `[n, H, W]` as `[row, column, n]` over all query positions."""
        rows, columns = self.extent[0] // self.height, self.extent[1] // self.width
        return field.movedim(0, -1).repeat(rows, columns, 1)

    def log_counts(self) -> Tensor:
        """Return log |V(u)|, `[H, W]`."""
        rows = source_counts(self.height, self.window, self.sources)
        columns = source_counts(self.width, self.window, self.sources)
        return (rows[:, None] * columns).log().to(self.noisy)
