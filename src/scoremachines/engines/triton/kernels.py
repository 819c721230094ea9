"""The Triton kernel of the `cuda` engine (theory §2): all of a tile of pixels in one program.

For one displacement d, the patch distances of all pixels u are a box filter of the image
`q(p) = Σ_c (φ_c(p)/√ᾱ − x_c(p+d))²`. A program keeps one tile of pixels u for its whole life. It
visits training images i and displacements d, and each (i, d) costs it

    q        differences, squared directly, so that ᾱ → 1 keeps its digits
    A q B    the box filter, as two products with 0/1 matrices on the tensor cores
    ℓ, w     log-weight and weight, which join a running maximum, sum and mean in registers

The pixels of a tile stand still, so nothing but the two products passes between pixels. All
displacements are cyclic, `v = (u + d) mod (H, W)`; a pair that the kind of sources does not admit
weighs nothing, and `v ∈ V(u)` holds for each axis alone (theory §2.2).

Tensor cores read 11 bits of a float32, so a value goes in as two parts: rounded to 11 bits, and
the rest, of which at most the last bit is lost. Products with 0 and 1 are exact. Logarithms are of
base 2 inside.

Tiles are `[row, slot, column]`: a program takes `SLOTS` images at once. Tensors flatten that order
in two ways: places p are `[row, slot·column]` and pixels u are `[row·slot, column]`.

`TRITON_INTERPRET=1`, set before Triton is imported, runs the kernel on a CPU, slowly.
"""

from __future__ import annotations

import triton
import triton.language as tl

from scoremachines.engines.triton.tiles import admitted, moved, tile_of, windows

__all__ = ["fused"]

NEVER = tl.constexpr(-1e30)
"""Log-weight of what has not been seen: far below any other, yet finite (−∞ − −∞ has no value)."""
LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def _channels(start, number: tl.constexpr, stride: tl.constexpr, at):
    """Return the channels of images, `stride` values apart, at offsets `at` from `start`."""
    first, values = start + at, ()
    for c in tl.static_range(number):
        values = values + (tl.load(first + c * stride),)  # noqa: RUF005
    return values


@triton.jit
def _rounded(x):
    """Return float32 `x` rounded to the 11 bits that tensor cores read."""
    bits = x.to(tl.int32, bitcast=True) + 0x1000
    return (bits & -0x2000).to(tl.float32, bitcast=True)


@triton.jit
def _box_sum(q, over_rows, over_columns):
    """Return the sums over windows, at pixels, of `q` at places."""
    part = _rounded(q)
    rest = q - part
    q = tl.dot(over_rows, rest, input_precision="tf32")
    q = tl.dot(over_rows, part, q, input_precision="tf32")
    q = q.reshape(q.numel // over_columns.shape[0], over_columns.shape[0])
    part = _rounded(q)
    rest = q - part
    q = tl.dot(rest, over_columns, input_precision="tf32")
    return tl.dot(part, over_columns, q, input_precision="tf32")


@triton.jit
def _joined(largest, total, sums, new, values):
    """Return the running maximum, sum, and sums of values, after log-weights `new`."""
    most = tl.maximum(largest, new)
    kept, weight = tl.exp2(largest - most), tl.exp2(new - most)
    joined = ()
    for c in tl.static_range(len(sums)):
        joined = joined + (sums[c] * kept + weight * values[c],)  # noqa: RUF005
    return most, total * kept + weight, joined


@triton.jit
def _slots_merged(largest, total, sums, SLOTS: tl.constexpr):
    """Return the same running fields, of all slots together, `[row, column]`."""
    rows: tl.constexpr = largest.shape[0] // SLOTS
    columns: tl.constexpr = largest.shape[1]
    each = largest.reshape(rows, SLOTS, columns)
    most = tl.max(each, axis=1)
    share = tl.exp2(each - most[:, None, :])
    merged = ()
    for c in tl.static_range(len(sums)):
        field = sums[c].reshape(rows, SLOTS, columns) * share
        merged = merged + (tl.sum(field, axis=1),)  # noqa: RUF005
    return most, tl.sum(total.reshape(rows, SLOTS, columns) * share, axis=1), merged


@triton.jit
def _log_sum(largest, total):
    """Return the log-weight, nats: −∞ where nothing has been seen."""
    logarithm = tl.log2(tl.where(total > 0, total, 1.0))
    return tl.where(total > 0, (largest + logarithm) * LN2, -float("inf"))


@triton.jit
def _nothing(rows: tl.constexpr, columns: tl.constexpr, colours: tl.constexpr):
    """Return the running maximum, sum, and sums of values, before anything has been seen."""
    zero, sums = tl.zeros((rows, columns), tl.float32), ()
    for _ in tl.static_range(colours):
        sums = sums + (zero,)  # noqa: RUF005
    return zero + NEVER, zero, sums


@triton.jit
def _raised(bias, at):
    """Return Π_u(i), base 2, or 0 where there is none."""
    raised = 0.0
    if bias is not None:
        raised = tl.load(bias + at) * LOG2E
    return raised


@triton.jit
def _distance(
    near,
    block,
    place,
    slot,
    move,
    shape: tl.constexpr,
    wide: tl.constexpr,
):
    """Return `q`, the squared differences at places, of images that begin at `block + slot`."""
    row = moved(place[0], move // shape[2], shape[1]).to(tl.int64) * wide
    at = row[:, None] + (place[1].to(tl.int64) + slot)[None, :]
    far = _channels(block + move % shape[2], shape[0], shape[1] * wide, at)
    q = near[0] - far[0]
    q = q * q
    for c in tl.static_range(1, len(near)):
        q += (near[c] - far[c]) * (near[c] - far[c])
    return q


@triton.jit
def _source(
    block,
    pixel,
    slot,
    own,
    move,
    shape: tl.constexpr,
    wide: tl.constexpr,
    radius: tl.constexpr,
    sources: tl.constexpr,
    colours: tl.constexpr,
):
    """Return log-weight 0 or −∞ of what is admitted or not, and `colours` channels of x(v)."""
    H: tl.constexpr = shape[1]
    W: tl.constexpr = shape[2]
    row, column = pixel[0], pixel[1] % W
    v_row, v_column = moved(row, move // W, H), moved(column, move % W, W)
    meets = admitted(own[0], row, v_row, H, radius, sources)[:, None]
    meets = meets + admitted(own[1], column, v_column, W, radius, sources)[None, :]
    at = (slot + v_row.to(tl.int64) * wide)[:, None] + pixel[1].to(tl.int64)[None, :]
    return meets, _channels(block + move % W, colours, H * wide, at)


@triton.jit
def _write(
    log_weight,
    means,
    corner,
    largest,
    total,
    sums,
    shape: tl.constexpr,
    tile: tl.constexpr,
    step: tl.constexpr,
):
    """Write log-weight and mean of a tile, all its slots together."""
    largest, total, sums = _slots_merged(largest, total, sums, tile[1])
    top, left = corner
    row, column = top + tl.arange(0, tile[0]), left + tl.arange(0, tile[2])
    at = row[:, None] * shape[2] + column[None, :]
    own = (row < tl.minimum(top + step[0], shape[1]))[:, None]
    own = own & (column < tl.minimum(left + step[1], shape[2]))[None, :]
    tl.store(log_weight + at, _log_sum(largest, total), mask=own)
    for c in tl.static_range(len(sums)):
        mean = tl.where(total > 0, sums[c] / tl.where(total > 0, total, 1.0), 0.0)
        tl.store(means + c * (shape[1] * shape[2]) + at, mean, mask=own)


@triton.jit
def fused(
    noisy,
    images,
    bias,
    factor,
    log_weight,
    means,
    count,
    moves,
    image_parts,
    shape: tl.constexpr,
    wide: tl.constexpr,
    radius: tl.constexpr,
    sources: tl.constexpr,
    tile: tl.constexpr,
    step: tl.constexpr,
    evidence: tl.constexpr,
):
    """Write the partial posterior of a tile of pixels over a part of images and displacements.

    `log Σ e^L` and `Σ e^L x / Σ e^L = x̂0`, `L_u(i,v) = ℓ_u(i,v) + Π_u(i)` (theory §2).

    The grid is [parts, B, tiles]; `scoremachines.engines.triton.engine` makes the arguments.
    """
    PIXELS: tl.constexpr = shape[1] * shape[2]
    WIDE: tl.constexpr = shape[0] * shape[1] * wide
    colours: tl.constexpr = 0 if evidence else shape[0]
    part, sample = tl.program_id(0), tl.program_id(1)
    corner, place, pixel, own = tile_of(tl.program_id(2), shape, radius, tile, step)
    over_rows = windows(corner[0] + tl.arange(0, tile[0]), step[0], shape[1], radius, sources)
    over_columns = windows(corner[1] + tl.arange(0, tile[2]), step[1], shape[2], radius, sources)
    at = place[0][:, None] * shape[2] + ((place[1] + shape[2]) % shape[2])[None, :]
    near = _channels(noisy + sample * (shape[0] * PIXELS), shape[0], PIXELS, at)
    p_slot = tl.arange(0, tile[1] * tile[2]) // tile[2]
    u_slot = tl.arange(0, tile[0] * tile[1]) % tile[1]
    scale = tl.load(factor + sample)
    largest, total, sums = _nothing(tile[0] * tile[1], tile[2], colours)
    move_part, move_parts = part // image_parts, tl.num_programs(0) // image_parts
    first, last = move_part * moves // move_parts, (move_part + 1) * moves // move_parts
    for group in range(part % image_parts, tl.cdiv(count, tile[1]), image_parts):
        start = group * tl.full((), tile[1], tl.int64)
        used = tl.minimum(count - group * tile[1], tile[1])
        slot, shown = tl.minimum(u_slot, used - 1), (own[0] & (u_slot < used), own[1])
        u_at = (slot * PIXELS + pixel[0] * shape[2])[:, None] + (pixel[1] % shape[2])[None, :]
        raised = _raised(bias, (sample * count + start) * PIXELS + u_at)
        block = images + start * WIDE + radius
        p_start, u_start = tl.minimum(p_slot, used - 1) * WIDE, slot * WIDE
        for move in range(first, last):
            q = _distance(near, block, place, p_start, move, shape, wide)
            meets, values = _source(
                block, pixel, u_start, shown, move, shape, wide, radius, sources, colours
            )
            new = _box_sum(q, tl.trans(over_rows), over_columns) * scale + (meets + raised)
            largest, total, sums = _joined(largest, total, sums, new, values)
        if evidence:
            its = log_weight + ((sample * move_parts + move_part) * count + start) * PIXELS
            mask = shown[0][:, None] & shown[1][None, :]
            tl.store(its + u_at, _log_sum(largest, total), mask=mask)
    if not evidence:
        start = (sample * tl.num_programs(0) + part) * tl.full((), PIXELS, tl.int64)
        log_weight, means = log_weight + start, means + start * shape[0]
        _write(log_weight, means, corner, largest, total, sums, shape, tile, step)
