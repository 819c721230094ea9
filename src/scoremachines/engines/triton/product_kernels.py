"""The Triton kernels of the `cuda` engine for noise: patch distances as products (theory §2.5).

With q the patch of `φ/√ᾱ`, a patch distance is `|q|² − 2 q·x + |x|²`. The products of all patches
of a noisy image with all patches of training images are one large matrix product, which tensor
cores do at a rate that no way of adding up differences reaches. The softmax over training patches
is taken tile by tile, so that neither products nor weights leave the chip: attention, with patches
as queries and keys and colours as values.

Tensor cores multiply numbers of 11 bits, exactly. So a patch goes in as two halves, each value
rounded to 11 bits and the rest rounded to 11, and three of the four products of halves are taken;
the fourth is below the last bit of a float32. Weights and colours go in as halves too. The adders
of tensor cores cut digits off, so they add up no more than one K-tile of a patch's values, and one
tile's weights. Of each K-tile the distance is known before the next one is added, so what is small
in the end is a sum of small numbers: digits are lost to the squares of a K-tile, not of a patch.

A weight less than 2⁻⁴⁰ of the largest that its program has seen counts as 0.

Logarithms are of base 2 inside.
"""

from __future__ import annotations

import triton
import triton.language as tl

from scoremachines.engines.triton.product_layout import COLUMNS, LIFT

__all__ = ["attend", "unroll"]

NEVER = tl.constexpr(-1e30)
"""Log-weight of what has not been seen: far below any other, yet finite (−∞ − −∞ has no value)."""
LOG2E = tl.constexpr(1.4426950408889634)
HEADROOM = tl.constexpr(LIFT)
VALUES = tl.constexpr(COLUMNS)


@triton.jit
def _halves(x):
    """Return `x` rounded to half precision, and the rest, so rounded."""
    part = x.to(tl.float16)
    return part, (x - part.to(tl.float32)).to(tl.float16)


@triton.jit
def _colours(centre, factor, plane: tl.constexpr, channels: tl.constexpr):
    """Return the values of places whose first colour is at `centre`."""
    column = tl.arange(0, VALUES)
    channel, half = column % 4, column // 4
    at = centre[:, None] + (channel * plane)[None, :]
    part, rest = _halves(tl.load(at, mask=(channel < channels)[None, :], other=0.0) * factor)
    empty = tl.where(half == 2, tl.where(channel == 0, 1.0, 0.0), 0.0).to(tl.float16)
    return tl.where(half == 0, part, tl.where(half == 1, rest, empty[None, :]))


@triton.jit
def unroll(
    images,
    scale,
    places,
    taps,
    patches,
    squares,
    values,
    rows,
    number,
    shape: tl.constexpr,
    radius: tl.constexpr,
    dims: tl.constexpr,
    tile: tl.constexpr,
):
    """Write patches, `[rows, 2, dims]` in two halves, and their values.

    Row `i·number + j` is the patch of image i, of the framed `shape`, whose first value lies at
    `places[j]`, times `scale[i]`. Its values lie `taps` further, and where these are negative, are
    0. The squares of each K-tile are added up in `squares`, `[rows, K-tiles]`. `values` may
    be None.
    """
    ROWS: tl.constexpr = tile[0]
    TAKEN: tl.constexpr = tile[1]
    PLANE: tl.constexpr = shape[1] * shape[2]
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    shown = (row < rows)[:, None]
    row = tl.minimum(row, rows - 1)
    first = images + row // number * (shape[0] * PLANE) + tl.load(places + row % number)
    factor = tl.load(scale + row // number)[:, None]
    for start in range(0, dims, TAKEN):
        at = start + tl.arange(0, TAKEN)
        tap = tl.load(taps + at)
        x = tl.load(first[:, None] + tap[None, :], mask=(tap >= 0)[None, :], other=0.0) * factor
        part, rest = _halves(x)
        to = patches + row[:, None] * (2 * dims) + at[None, :]
        tl.store(to, part, mask=shown)
        tl.store(to + dims, rest, mask=shown)
        x = part.to(tl.float32) + rest.to(tl.float32)
        k_tile = squares + row * (dims // TAKEN) + start // TAKEN
        tl.store(k_tile[:, None], tl.sum(x * x, axis=1)[:, None], mask=shown)
    if values is not None:
        its = _colours(first + radius * (shape[2] + 1), factor, PLANE, shape[0])
        column = tl.arange(0, VALUES)
        tl.store(values + row[:, None] * VALUES + column[None, :], its, mask=shown)


@triton.jit
def _products(query, patches, shown, dims: tl.constexpr):
    """Return q·x of pixels and places, over the values that `query` and `patches` point to."""
    q, q_rest = tl.load(query), tl.load(query + dims)
    x = tl.trans(tl.load(patches, mask=shown[:, None], other=0.0))
    x_rest = tl.trans(tl.load(patches + dims, mask=shown[:, None], other=0.0))
    return tl.dot(q, x, tl.dot(q, x_rest, tl.dot(q_rest, x)))


@triton.jit
def _log_weights(distances, bias, kind, kinds, place, shown):
    """Return ℓ + Π of pixels and places; −∞ where they do not meet."""
    new = tl.where(shown[None, :], distances, -float("inf"))
    if bias is not None:
        new += (tl.load(bias) * LOG2E)[:, None]
    if kinds is not None:
        alike = kind[:, None] == tl.load(kinds + place, mask=shown, other=-1)[None, :]
        new = tl.where(alike, new, -float("inf"))
    return new


@triton.jit
def _added(largest, total, new):
    """Return the running maximum and sum after log-weights `new`."""
    most = tl.maximum(largest, tl.max(new, axis=1))
    weight = tl.exp2(new - most[:, None])
    return most, total * tl.exp2(largest - most) + tl.sum(weight, axis=1)


@triton.jit
def _attended(largest, sums, new, values):
    """Return the running maximum and sums of values after log-weights `new`."""
    most = tl.maximum(largest, tl.max(new, axis=1))
    part, rest = _halves(tl.exp2(new - (most - HEADROOM)[:, None]))
    added = tl.dot(part, values, tl.dot(rest, values))
    return most, sums * tl.exp2(largest - most)[:, None] + added


@triton.jit
def _share(part, parts, count, each, evidence: tl.constexpr):
    """Return the first of the tiles of places of a part, and the first after its last."""
    if evidence:  # of whole images
        return part * count // parts * each, (part + 1) * count // parts * each
    else:
        return part * (count * each) // parts, (part + 1) * (count * each) // parts


@triton.jit
def attend(
    query,
    query_squares,
    patches,
    squares,
    values,
    bias,
    factors,
    ranges,
    kinds,
    largest_out,
    sums_out,
    count,
    number,
    pixels,
    dims: tl.constexpr,
    taken: tl.constexpr,
    tile: tl.constexpr,
    evidence: tl.constexpr,
):
    """Write the partial posterior of a tile of pixels over a part of the training patches.

    `‖q − x‖² = Σ_l (‖q_l‖² − 2⟨q_l, x_l⟩ + ‖x_l‖²)` over K-tiles l of `q = φ/√ᾱ` (theory §2.5).

    The grid is [tiles of pixels, parts, B]; `engines.triton.products` makes the arguments.
    """
    PIXELS: tl.constexpr = tile[0]
    PLACES: tl.constexpr = tile[1]
    K_TILES: tl.constexpr = dims // taken
    part, parts, sample = tl.program_id(1), tl.num_programs(1), tl.program_id(2)
    own = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    pixel = tl.minimum(own, pixels - 1)
    ahead, value, column = tl.arange(0, PLACES), tl.arange(0, taken), tl.arange(0, VALUES)
    ranges += 2 * tl.program_id(0)
    first, last = tl.load(ranges), tl.load(ranges + 1)
    each = tl.cdiv(last - first, PLACES)
    start, end = _share(part, parts, count, each, evidence)
    wanted = sample.to(tl.int64) * pixels + pixel
    query += wanted[:, None] * (2 * dims) + value[None, :]
    query_squares += wanted * K_TILES
    factors += 3 * sample
    on = (tl.load(factors), tl.load(factors + 1), tl.load(factors + 2))
    kind = pixel if kinds is None else tl.load(kinds + pixel)
    nothing = tl.zeros((PIXELS,), tl.float32)
    largest = nothing + NEVER
    sums = nothing if evidence else tl.zeros((PIXELS, VALUES), tl.float32)
    distances = tl.zeros((PIXELS, PLACES), tl.float32)
    for step in range(start * K_TILES, end * K_TILES):
        k_tile, turn = step % K_TILES, step // K_TILES
        image, place = turn // each, first + turn % each * PLACES + ahead
        shown, row = place < last, image.to(tl.int64) * number + place
        at = row[:, None] * (2 * dims) + (k_tile * taken + value)[None, :]
        products = _products(query + k_tile * taken, patches + at, shown, dims)
        square = tl.load(squares + row * K_TILES + k_tile, mask=shown, other=0.0) * on[1]
        its_square = tl.load(query_squares + k_tile) * on[2]
        distances += products * on[0] + (its_square[:, None] + square[None, :])
        if k_tile == K_TILES - 1:
            of = (sample * count + image).to(tl.int64) * pixels + pixel
            its = None if bias is None else bias + of
            new = _log_weights(distances, its, kind, kinds, place, shown)
            distances = tl.zeros((PIXELS, PLACES), tl.float32)
            if evidence:
                largest, sums = _added(largest, sums, new)
                if turn % each == each - 1:
                    tl.store(sums_out + of, largest + tl.log2(sums), mask=own < pixels)
                    largest, sums = nothing + NEVER, nothing
            else:
                to = values + row[:, None] * VALUES + column[None, :]
                colours = tl.load(to, mask=shown[:, None], other=0.0)
                largest, sums = _attended(largest, sums, new, colours)
    if not evidence:
        to = (sample * parts + part).to(tl.int64) * pixels + own
        tl.store(largest_out + to, largest, mask=own < pixels)
        to = sums_out + to[:, None] * VALUES + column[None, :]
        tl.store(to, sums, mask=(own < pixels)[:, None])
