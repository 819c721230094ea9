"""Block sizes of an engine within its memory."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from scoremachines.engines.base import Held, Plan, Query
from scoremachines.errors import InputError
from scoremachines.theory.runs import query_extent

__all__ = [
    "native_bytes",
    "plan_native",
    "plan_within",
    "shared_bytes",
    "shrunk",
    "tile_values",
    "working_bytes",
]

TILE = {"cpu": 2**18, "other": 2**24}
SCRATCH = 2**22
"""Bytes for small things that do not grow with the images."""


def tile_values(images: Tensor) -> int:
    """Return how many values make a good tile: worth the call, and yet within the cache."""
    return TILE.get(images.device.type, TILE["other"])


def plan_within(
    memory: int,
    query: Query,
    count: int,
    evidence: bool,
    dense: bool,
    best: int,
    held: Held | None = None,
) -> Plan:
    """Return the largest useful plan whose `working_bytes` stay within `memory`.

    Args:
        memory: bytes.
        query: all the noisy images.
        count: number of training images.
        evidence: whether per-image evidence is held.
        dense: whether a matrix over pairs of pixels is held.
        best: how many sources are kept.
        held: what the caller holds besides; None for nothing.

    Returns:
        The plan.

    Raises:
        InputError: even one noisy image beside one training image does not fit.
    """
    pixels = query.noisy.shape[-2] * query.noisy.shape[-1]
    useful = max(16, tile_values(query.noisy) // pixels)
    largest = Plan(min(len(query.noisy), 16), min(count, useful))
    return shrunk(
        largest, memory, lambda plan: working_bytes(query, plan, evidence, dense, best), held
    )


def plan_native(
    memory: int,
    threads: int,
    query: Query,
    count: int,
    evidence: bool,
    dense: bool,
    best: int,
    held: Held | None = None,
    share: int = 1,
) -> Plan:
    """Return the same for the native engine, whose bytes are `native_bytes`.

    Args:
        memory: bytes.
        threads: how many threads work at once.
        query: all the noisy images.
        count: number of training images.
        evidence: whether per-image evidence is held.
        dense: whether a matrix over pairs of pixels is held.
        best: how many sources are kept.
        held: what the caller holds besides; None for nothing.
        share: the plan may take one part in so many of the memory.

    Returns:
        The plan.

    Raises:
        InputError: even one noisy image beside one training image does not fit.
    """
    largest = Plan(min(len(query.noisy), 16), min(count, 2048 if evidence else 8192))
    return shrunk(
        largest,
        memory,
        lambda plan: share * native_bytes(query, plan, threads, evidence, dense, best),
        held,
    )


def shrunk(
    plan: Plan, memory: int, needed: Callable[[Plan], int], held: Held | None = None
) -> Plan:
    """Return the plan, halved until what it needs, and what the caller holds, is at hand."""
    held = held or Held()
    while needed(plan) + held.bytes(plan) > memory and plan != Plan(1, 1):
        plan = Plan(plan.batch // 2, plan.block) if plan.batch > 1 else Plan(1, plan.block // 2)
    least = needed(plan) + held.bytes(plan)
    if least > memory:
        accepted = f"at least {least / 2**20:.1f} MiB for images of this size"
        raise InputError("memory", f"{memory / 2**20:.1f} MiB", accepted, "too little")
    return plan


def working_bytes(query: Query, plan: Plan, evidence: bool, dense: bool, best: int) -> int:
    """Return an upper estimate of the bytes in use while a plan is carried out."""
    height, width = query.noisy.shape[-2:]
    item = query.noisy.element_size()
    extent = query_extent(height, query.sources) * query_extent(width, query.sources)
    if query.window is None:
        work = _whole_bytes(query, plan, best)
    else:
        work = _tile_bytes(query, plan, query.window, best)
    total = SCRATCH + work + shared_bytes(query, plan, evidence, dense, best, extent)
    return total + (3 * plan.block * extent * item if evidence else 0)


def shared_bytes(
    query: Query, plan: Plan, evidence: bool, dense: bool, best: int, extent: int | None = None
) -> int:
    """Return the bytes that every engine's plan takes: of merging, of evidence and attention.

    Args:
        query: the noisy images.
        plan: how many of them, and of the training images, are taken at once.
        evidence: whether per-image evidence is held.
        dense: whether a matrix over pairs of pixels is held.
        best: how many sources are kept.
        extent: places whose posteriors are merged; by default as many as there are pixels.

    Returns:
        An upper estimate.
    """
    pixels = query.noisy.shape[-2] * query.noisy.shape[-1]
    total = _merging_bytes(query, plan, extent or pixels, best)
    # Evidence, twice in float64, and what attention has added up so far; then all in one; and the
    # mean colours of images, weighed too.
    colours = 2 * query.noisy.shape[1] * query.noisy.element_size()
    total += plan.block * plan.batch * pixels * (48 + colours) if evidence else 0
    return total + (_pairs_bytes(query, plan) if dense else 0)


def _merging_bytes(query: Query, plan: Plan, extent: int, best: int) -> int:
    """Return the bytes of a posterior of so many places, and of another as both are merged."""
    # Two lists of sources, both in one, three times in order, and the best of them.
    return plan.batch * extent * (24 * (query.noisy.shape[1] + 4) + 200 * best)


def _pairs_bytes(query: Query, plan: Plan) -> int:
    """Return the bytes of an attention that holds a matrix over pairs of pixels."""
    channels, height, width = query.noisy.shape[1:]
    pixels = height * width
    patches = 2 * pixels * channels * (pixels if query.window is None else query.window**2)
    # The entropies of pairs are taken for some of them at once (`attention.top1`).
    some = 5 * max(min(2**18, pixels**2 * plan.block), pixels * plan.block)
    return 8 * (4 * plan.batch * pixels**2 + patches + some)


def _whole_bytes(query: Query, plan: Plan, best: int) -> int:
    """Return the bytes that a block takes before one noisy image, seen as a whole."""
    channels, height, width = query.noisy.shape[1:]
    fields = (9 if query.sources == "circular" else 4) * channels + 8
    lists = 12 * best * min(best, plan.block) * height * width
    return 8 * (plan.block * height * (width + 2) * fields + lists)


def _tile_bytes(query: Query, plan: Plan, window: int, best: int) -> int:
    """Return the bytes that a block takes before one noisy image, at windows of some size."""
    channels, height, width = query.noisy.shape[1:]
    pixels = height * width
    framed = (height + window) * (width + window)
    moves = min(width, max(1, tile_values(query.noisy) // (pixels * plan.block)))
    tile = framed * plan.block * moves
    panel = 6 * pixels * width * (channels + 2)
    lists = 6 * pixels * plan.block * best
    fields = 5 * tile + 3 * framed * plan.block * channels + panel + lists
    return fields * query.noisy.element_size()


def native_bytes(
    query: Query, plan: Plan, threads: int, evidence: bool, dense: bool, best: int
) -> int:
    """Return an upper estimate of the bytes that the native engine uses for a plan.

    Of the images of a block it counts a copy, which is made where they are converted to the dtype
    of the query.
    """
    channels, height, width = query.noisy.shape[1:]
    pixels, item = height * width, query.noisy.element_size()
    total = SCRATCH // 2 + plan.block * channels * pixels * item
    if query.window is None:
        total += 16 * plan.batch * plan.block
        whole = evidence or query.sources == "circular"
        total += _whole_bytes(query, plan if whole else Plan(plan.batch, 1), best)
        total += 8 * plan.block * channels * pixels * whole
    else:
        total += _sweep_bytes(query, plan, query.window, threads, best)
    return total + shared_bytes(query, plan, evidence, dense, best)


def _sweep_bytes(query: Query, plan: Plan, window: int, threads: int, best: int) -> int:
    """Return the bytes that the threads of the native part use, and what they hand over."""
    channels, height, width = query.noisy.shape[1:]
    pixels, item = height * width, query.noisy.element_size()
    framed = (height + window) * (width + window) * channels
    # Where every pixel has one place to draw from, a thread takes all noisy images at once.
    samples = plan.batch if query.sources == "aligned" else 1
    lines = 10 * window * (width + window) + 14 * (width + window)
    # Sums of a posterior, or of the moments of twice as many images side by side.
    sums = max(samples * pixels * (channels + 3), 2 * pixels * (channels + 2))
    values = 2 * (framed + framed // channels + pixels) + lines + sums
    each = 64 * values + samples * pixels * best * 24
    units = 16 * plan.batch // samples
    parts = 16 * plan.batch * pixels * (8 * (channels + 2) + 24 * best)
    noisy = 4 * channels * (2 * height + window) * (2 * width + window) * item
    return min(threads, units) * each + parts + 3 * plan.batch * noisy
