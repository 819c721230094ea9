"""The entropy of the posterior over images for pairs of pixels, natively (theory §4.3)."""

from __future__ import annotations

import torch
from torch import Tensor

try:
    from scoremachines.engines.native import _native  # type: ignore[attr-defined]
except ImportError:  # built without a compiler
    _native = None

__all__ = ["by_native_part", "pair_sums"]


def by_native_part(device: torch.device) -> bool:
    """Return whether `pair_sums` serves a device: the native part was built, and reaches it."""
    return _native is not None and device.type == "cpu"


def pair_sums(evidence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return best, log R and log T of `E_u(i) + E_y(i)` for all pairs of pixels, to 12 digits.

    With `z_i = E_u(i) + E_y(i)` and `d_i = max_j z_j − z_i` (theory §4.3),
    `R = Σ_{i≠best} e^{−d_i}` and `T = Σ_{i≠best} d_i e^{−d_i}`.

    Args:
        evidence: `E_u(i)` of `P` pixels, float64 `[P, n]`.

    Returns:
        Three tables `[P, P]`.
    """
    rows = evidence.contiguous().numpy()
    tables = torch.from_numpy(_native.pairs(rows, torch.get_num_threads()))
    best, gap, rest, gaps = tables
    return best, rest.log_().sub_(gap), gaps.log_().sub_(gap)
