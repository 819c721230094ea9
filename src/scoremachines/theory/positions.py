"""Windows Ω_u of an image as vectors, for every pixel u (theory §1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad, unfold

from scoremachines.errors import InputError

__all__ = ["PERIODIC", "SOURCES", "admissible", "patches", "read_sources"]

SOURCES = ("aligned", "valid", "circular", "boundary")
PERIODIC = {"aligned": False, "valid": True, "circular": True, "boundary": False}
"""Whether the noisy image's window continues on the other side (else it sees zeros there)."""
FORMER = {"same": "aligned", "inside": "valid", "wrapped": "circular", "broken": "boundary"}
"""Names that older runs have."""


def read_sources(text: str) -> str:
    """Return the kind of sources V(u) that a text names (theory §2.2).

    Args:
        text: a name, present or former.

    Returns:
        One of `SOURCES`.

    Raises:
        InputError: it names none.
    """
    found = FORMER.get(text, text)
    if found not in SOURCES:
        raise InputError("sources", text, ", ".join(SOURCES))
    return found


def patches(images: Tensor, window: int | None, periodic: bool) -> Tensor:
    """Return the patch around every pixel u, `φ[Ω_u] = (φ(u+o))_{‖o‖∞ ≤ (k−1)/2}` (theory §1.1).

    Args:
        images: `[B, C, H, W]`.
        window: side k of the window, odd, pixels; None for the whole image: if `periodic`, shifted
            so that u comes first, else the image as it is, the same for every u.
        periodic: continue the image on the other side beyond its border, else with zeros.

    Returns:
        `[B, H·W, C·k²]`, or `[B, H·W, C·H·W]` for the whole image.
    """
    batch, _, height, width = images.shape
    if window is not None:
        radius = window // 2
        mode = "circular" if periodic else "constant"
        padded = pad(images, (radius,) * 4, mode=mode)
        return unfold(padded, window).transpose(1, 2)
    if not periodic:
        return images.reshape(batch, 1, -1).expand(-1, height * width, -1)
    rows = (torch.arange(height)[:, None] + torch.arange(height)) % height
    columns = (torch.arange(width)[:, None] + torch.arange(width)) % width
    shifted = images[:, :, rows][..., columns]  # [B, C, u_row, row, u_column, column]
    return shifted.permute(0, 2, 4, 1, 3, 5).reshape(batch, height * width, -1)


def admissible(height: int, width: int, window: int | None, sources: str) -> Tensor:
    """Return whether pixel u may draw from position v: `v ∈ V(u)` (theory §2.2).

    `"boundary"`: `V(u) = {v ∈ [0, H·W) : o(v) = o(u)}`, o the overhang of a window at a border.

    Args:
        height: H, pixels.
        width: W, pixels.
        window: k, or None for the whole image.
        sources: `"aligned"`, `"valid"`, `"circular"` or `"boundary"`.

    Returns:
        Boolean `[H·W, H·W]`, indexed `[u, v]`.
    """
    row, column = (axis.flatten() for axis in _coordinates(height, width))
    if sources == "aligned":
        return torch.eye(height * width, dtype=torch.bool)
    if sources == "circular":
        return torch.ones(height * width, height * width, dtype=torch.bool)
    radius = (window or 1) // 2
    # How far the window of each pixel reaches over the four borders.
    overlap = torch.stack(
        [radius - row, row + radius - height + 1, radius - column, column + radius - width + 1]
    ).clamp(min=0)
    if sources == "valid":
        return (overlap.sum(0) == 0).expand(height * width, -1)
    return (overlap[:, :, None] == overlap[:, None, :]).all(0)


def _coordinates(height: int, width: int) -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return rows, columns
