"""Tensors on their way to the page: few bytes, and nothing but JSON.

An array is its shape, its kind (u1, u2, i2, i4: whole numbers of so many bytes, little-endian) and
its bytes, compressed by zlib and written in base64. Real numbers become whole ones times a scale.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scoremachines.explore.attention_maps import Attended
from scoremachines.explore.trace import Trace
from scoremachines.io.pictures import to_bytes

__all__ = ["pack", "pack_images", "pack_noisy", "pack_scaled", "pack_trace", "unpack"]

FULL = 65535
SMALL = 1 / 512
"""Sources and places below this weight are left out, the first one of each pixel excepted."""
SPAN = 2.5
"""φ is shown from −SPAN to SPAN."""


def pack(array: NDArray[Any] | Tensor) -> dict[str, Any]:
    """Return whole numbers as JSON knows them.

    Args:
        array: whole numbers; stored in the fewest bytes that hold them all.

    Returns:
        `kind`, `shape` and `data`.
    """
    values = array.cpu().numpy() if isinstance(array, Tensor) else array
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    kinds = (("u1", 0, 255), ("u2", 0, FULL), ("i2", -32768, 32767), ("i4", -(2**31), 2**31 - 1))
    kind = next(name for name, least, most in kinds if least <= low and high <= most)
    content = zlib.compress(values.astype(f"<{kind}").tobytes(), 9)
    return {"kind": kind, "shape": list(values.shape), "data": base64.b64encode(content).decode()}


def unpack(packed: dict[str, Any]) -> NDArray[Any]:
    """Return the array that `pack` was given, or its whole numbers."""
    content = zlib.decompress(base64.b64decode(packed["data"]))
    return np.frombuffer(content, f"<{packed['kind']}").reshape(packed["shape"])


def pack_images(images: Tensor) -> dict[str, Any]:
    """Return images in [-1, 1], `[..., C, H, W]`, as bytes 0 to 255."""
    return pack(to_bytes(images))


def pack_noisy(images: Tensor) -> dict[str, Any]:
    """Return noisy images, `[..., C, H, W]`, as bytes: 0 is −2.5, 255 is 2.5."""
    return pack(to_bytes(images / SPAN)) | {"span": SPAN}


def pack_scaled(values: Tensor, most: float | None = None) -> dict[str, Any]:
    """Return numbers of at least 0 as whole ones, times a scale, in two bytes.

    Args:
        values: the numbers.
        most: the largest that occurs; by default found.

    Returns:
        As `pack`, and `scale`: what a stored number is to be multiplied by.
    """
    largest = float(values.max()) if most is None and values.numel() else (most or 0.0)
    scale = (largest or 1.0) / FULL
    return pack((values.double() / scale).round().clamp(0, FULL).long()) | {"scale": scale}


def pack_trace(trace: Trace) -> dict[str, Any]:
    """Return a trace as JSON knows it.

    Args:
        trace: what to pack.

    Returns:
        `image`, `noisy`, `clean`, `sources`, `entropy`, `attended` and what is known of each step.
    """
    packed: dict[str, Any] = {
        "steps": len(trace.alpha_bar),
        "alpha_bar": [round(level, 6) for level in trace.alpha_bar],
        "time": [round(time, 4) for time in trace.time],
        "windows": trace.windows,
        "image": pack_images(trace.image),
        "noisy": None if trace.noisy is None else pack_noisy(trace.noisy),
        "clean": pack_images(trace.clean),
        "sources": None,
        "entropy": None,
        "attended": None if trace.attended is None else _pack_attended(trace.attended),
    }
    posterior = trace.posterior
    if posterior is not None and posterior.sources is not None and posterior.entropy is not None:
        weights = posterior.weights
        kept = weights >= SMALL
        kept[:, 0] = True
        packed["sources"] = {
            "image": pack(torch.where(kept, posterior.sources.image, -1)),
            "position": pack(torch.where(kept, posterior.sources.position, 0)),
            "weight": pack_scaled(torch.where(kept, weights, 0), 1.0),
        }
        packed["entropy"] = pack_scaled(posterior.entropy.clamp(min=0))
    return packed


def _pack_attended(steps: list[Attended]) -> dict[str, Any]:
    """Return attended places; steps in which all are even name none."""
    height, width = steps[0].total.shape
    most = max(len(step.place) for step in steps)
    place = torch.full((len(steps), most, height, width), -1, dtype=torch.int64)
    weight = torch.zeros(len(steps), most, height, width, dtype=torch.float64)
    for number, step in enumerate(steps):
        kept = step.weight >= SMALL
        kept[:1] = step.place[:1] >= 0
        place[number, : len(step.place)] = torch.where(kept, step.place, -1)
        weight[number, : len(step.weight)] = torch.where(kept, step.weight, 0)
    return {
        "place": pack(place),
        "weight": pack_scaled(weight),
        "even": [step.even for step in steps],
    }
