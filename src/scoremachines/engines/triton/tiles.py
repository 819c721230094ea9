"""Pixel tiles of the `cuda` engine, and their admissible pairs (theory §2.2).

A tile holds places p, whose differences it takes, and pixels u, whose windows those places fill.
If it holds all of an axis, places and pixels are the same and windows go round it. Else `step` of
its pixels are its own, and places begin a radius before them.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["admitted", "moved", "tile_of", "windows"]


@triton.jit
def _place(pixel, step: tl.constexpr, size: tl.constexpr, radius: tl.constexpr):
    """Return the place that stands where a pixel does in a tile of which `step` are its own.

    If the tile holds all of an axis, so do its places; else they begin a radius before the pixels.
    """
    return pixel if step == size else pixel - radius


@triton.jit
def windows(
    pixel,
    step: tl.constexpr,
    size: tl.constexpr,
    radius: tl.constexpr,
    sources: tl.constexpr,
):
    """Return `M_yu = [y ∈ Ω_u]` for the places y of a tile and `pixel` u, `[place, pixel]`."""
    periodic: tl.constexpr = sources == "valid" or sources == "circular"
    place = _place(pixel, step, size, radius)
    away = tl.abs(place[:, None] - pixel[None, :])
    near = away <= radius
    if periodic and step == size:  # windows go round the tile
        near = near | (size - away <= radius)
    if step == size or not periodic:
        near = near & (place >= 0)[:, None] & (place < size)[:, None]
    return near.to(tl.float32)


@triton.jit
def moved(place, move, size: tl.constexpr):
    """Return `(place + move) mod size`; both are below `size`."""
    there = place + move
    return tl.where(there >= size, there - size, there)


@triton.jit
def admitted(own, u, v, size: tl.constexpr, radius: tl.constexpr, sources: tl.constexpr):
    """Return `L = 0` where `own` and, along one axis, `v ∈ V(u)`, `L = −∞` elsewhere."""
    meets = own
    if sources == "valid":
        meets = own & (v >= radius) & (v < size - radius)
    if sources == "boundary":
        both = (tl.minimum(u, v) >= radius) & (tl.maximum(u, v) < size - radius)
        meets = own & (both | (u == v))
    return tl.where(meets, 0.0, -float("inf"))


@triton.jit
def tile_of(
    number,
    shape: tl.constexpr,
    radius: tl.constexpr,
    tile: tl.constexpr,
    step: tl.constexpr,
):
    """Return corner, places, pixels, and which of these are the tile's own: (rows, columns) each.

    Rows stay within the image. Columns go on past its right border, as wide images do.
    """
    H: tl.constexpr = shape[1]
    across: tl.constexpr = (shape[2] + step[1] - 1) // step[1]
    top, left = number // across * step[0], number % across * step[1]
    p_column = left + tl.arange(0, tile[1] * tile[2]) % tile[2]
    p_column = _place(p_column, step[1], shape[2], radius)
    p_row = (_place(top + tl.arange(0, tile[0]), step[0], H, radius) + H) % H
    u_row = top + tl.arange(0, tile[0] * tile[1]) // tile[1]
    u_column = left + tl.arange(0, tile[2])
    own_row = u_row < tl.minimum(top + step[0], H)
    own_column = u_column < tl.minimum(left + step[1], shape[2])
    return (top, left), (p_row, p_column), (u_row % H, u_column), (own_row, own_column)
