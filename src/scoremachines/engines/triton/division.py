"""The division of the pairs of noisy and training images between programs."""

from __future__ import annotations

from dataclasses import dataclass

from scoremachines.engines.base import Query

__all__ = ["Division", "Limits", "divided"]


@dataclass(frozen=True)
class Division:
    """How the pairs of a noisy image and training images are divided between programs.

    Args:
        tile: rows, training images, and columns that a program takes at once.
        step: rows and columns of a tile that are its own; the rest is margin.
        tiles: that cover an image.
        moves: displacements.
        image_parts: into how many parts the training images are divided.
        move_parts: into how many parts the displacements are.
    """

    tile: tuple[int, int, int]
    step: tuple[int, int]
    tiles: int
    moves: int
    image_parts: int
    move_parts: int

    @property
    def parts(self) -> int:
        """Programs to a tile of a noisy image."""
        return self.image_parts * self.move_parts

    @property
    def warps(self) -> int:
        """Warps to a program, 16 rows each: more would hold some rows twice."""
        return self.tile[0] // 16


@dataclass(frozen=True)
class Limits:
    """What a division is to keep to.

    Args:
        warps: between how many warps the work is divided, about.
        rounds: times that a program takes training images; None for what `warps` leaves over.
        slots: training images that a program takes at once; None for what makes a good tile.
        longest: rows and columns of the largest tile, powers of two from 16 on.
    """

    warps: int
    rounds: int | None
    slots: int | None
    longest: tuple[int, int]


def divided(query: Query, count: int, limits: Limits) -> Division | None:
    """Return how the work is divided; None where tiles would be mostly margin.

    Args:
        query: noisy images; the division does not depend on how many.
        count: number of training images.
        limits: to keep to.

    Returns:
        The division.
    """
    assert query.window is not None
    height, width = query.noisy.shape[-2:]
    rows, row_step = _axis(height, query.window, limits.longest[0])
    columns, column_step = _axis(width, query.window, limits.longest[1])
    if 2 * column_step < columns < width:  # more than half of a tile would be margin
        columns, column_step = _axis(width, query.window, 2 * limits.longest[1])
    if 4 * row_step < rows < height or 4 * column_step < columns < width:
        return None
    slots = limits.slots or max(1, 32 // columns)
    tiles = -(-height // row_step) * -(-width // column_step)
    programs = max(1, limits.warps // (tiles * (rows // 16)))
    groups = -(-count // slots)
    image_parts = -(-groups // (limits.rounds or -(-groups // programs)))
    moves = 1 if query.sources == "aligned" else height * width
    move_parts = min(moves, max(1, programs // image_parts))
    tile, step = (rows, slots, columns), (row_step, column_step)
    return Division(tile, step, tiles, moves, image_parts, move_parts)


def _axis(size: int, window: int, longest: int) -> tuple[int, int]:
    """Return the length of a tile along an axis, and how much of it is its own."""
    if size <= longest:
        return max(16, 1 << (size - 1).bit_length()), size
    return longest, longest - window + 1
