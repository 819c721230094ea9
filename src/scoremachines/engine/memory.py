"""How many noisy and training images the torch engine takes at once, given its memory."""

from __future__ import annotations

from torch import Tensor

from scoremachines.engine.geometry import query_extent
from scoremachines.engine.protocol import Plan, Query
from scoremachines.errors import InputError

__all__ = ["plan_within", "tile_values", "working_bytes"]

TILE = {"cpu": 2**18, "other": 2**24}
SCRATCH = 2**22
"""Bytes for small things that do not grow with the images."""


def tile_values(images: Tensor) -> int:
    """Return how many values make a good tile: worth the call, and yet within the cache."""
    return TILE.get(images.device.type, TILE["other"])


def plan_within(
    memory: int, query: Query, count: int, evidence: bool, pairwise: bool, best: int
) -> Plan:
    """Return the largest useful plan whose `working_bytes` stay within `memory`.

    Args:
        memory: bytes.
        query: all the noisy images.
        count: number of training images.
        evidence: whether per-image evidence is held.
        pairwise: whether a matrix over pairs of pixels is held.
        best: how many sources are kept.

    Raises:
        InputError: even one noisy image beside one training image does not fit.
    """
    pixels = query.noisy.shape[-2] * query.noisy.shape[-1]
    useful = max(16, tile_values(query.noisy) // pixels)
    plan = Plan(min(len(query.noisy), 16), min(count, useful))

    def needed(plan: Plan) -> int:
        return working_bytes(query, plan, evidence, pairwise, best)

    while needed(plan) > memory and plan != Plan(1, 1):
        plan = Plan(plan.batch // 2, plan.block) if plan.batch > 1 else Plan(1, plan.block // 2)
    if needed(plan) > memory:
        accepted = f"at least {needed(plan) / 2**20:.1f} MiB for images of this size"
        raise InputError("memory", f"{memory / 2**20:.1f} MiB", accepted, "too little")
    return plan


def working_bytes(query: Query, plan: Plan, evidence: bool, pairwise: bool, best: int) -> int:
    """Return an upper estimate of the bytes in use while a plan is carried out."""
    channels, height, width = query.noisy.shape[1:]
    pixels, item = height * width, query.noisy.element_size()
    extent = query_extent(height, query.sources) * query_extent(width, query.sources)
    if query.window is None:
        shifted = channels if query.sources == "same" else 4 * channels + 6
        work = plan.batch * plan.block * pixels * (shifted + 6 * best) * 8
    else:
        framed = (height + query.window) * (width + query.window)
        moves = min(width, max(1, tile_values(query.noisy) // (pixels * plan.block)))
        tile = framed * plan.block * moves
        panel = 3 * width * height * (extent // height) * (channels + 2)
        lists = 6 * pixels * plan.block * best if best else 0
        work = (5 * tile + 3 * framed * plan.block * channels + panel + lists) * item
    state = 3 * plan.batch * extent * ((channels + 4) * 8 + best * 24)
    total = SCRATCH + work + state
    if evidence:
        total += plan.block * (3 * extent * item + plan.batch * 5 * pixels * 8)
    if pairwise:
        total += 5 * plan.batch * pixels * pixels * 8
    return total
