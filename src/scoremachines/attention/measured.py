"""Attention given from outside: a matrix, or a function such as a trained layer (theory §4.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scoremachines.attention.base import Matrix, Scene, Weighing
from scoremachines.errors import InputError

__all__ = ["Measured", "Soft"]


class Soft:
    """A given matrix, times a strength: `A_uy = λ a_uy` (theory §4.2).

    Args:
        matrix: a, non-negative and finite, `[H·W, H·W]`, or `[B, H·W, H·W]` for B noisy images
            at a time; row u holds what pixel u attends to, pixels counted `row · W + column`.
        strength: λ ≥ 0.

    Raises:
        InputError: the matrix is no such matrix, or the strength is negative.
    """

    name = "soft"
    pairwise = True

    def __init__(self, matrix: Tensor, strength: float = 1.0) -> None:
        self.matrix, self.strength = _checked(matrix), strength
        if not strength >= 0:
            raise InputError("strength", strength, "a number of at least 0")

    def weighings(self, scene: Scene) -> list[tuple[int | None, Weighing]]:
        return [(scene.window, Matrix(self.strength * _fitting(self.matrix, scene)))]


class Measured:
    """The maps of a network: `A = λ · maps(φ, t)` (theory §4.2).

    Args:
        maps: takes φ `[B, C, H, W]` and t `[B]` in [0, 1], returns `[H·W, H·W]` or
            `[B, H·W, H·W]`.
        strength: λ ≥ 0.

    Raises:
        InputError: the strength is negative.
    """

    name = "measured"
    pairwise = True

    def __init__(self, maps: Callable[[Tensor, Tensor], Tensor], strength: float = 1.0) -> None:
        self.maps, self.strength = maps, strength
        if not strength >= 0:
            raise InputError("strength", strength, "a number of at least 0")

    def weighings(self, scene: Scene) -> list[tuple[int | None, Weighing]]:
        matrix = _checked(self.maps(scene.noisy, scene.time))
        return [(scene.window, Matrix(self.strength * _fitting(matrix, scene)))]


def _checked(matrix: Tensor) -> Tensor:
    """Refuse what is no attention matrix."""
    accepted = "a finite, non-negative tensor [H·W, H·W] or [B, H·W, H·W]"
    if not isinstance(matrix, Tensor) or matrix.ndim not in (2, 3):
        raise InputError("attention", matrix, accepted)
    if matrix.shape[-1] != matrix.shape[-2]:
        raise InputError("attention", f"tensor of shape {tuple(matrix.shape)}", accepted)
    if not (torch.isfinite(matrix) & (matrix >= 0)).all():
        raise InputError("attention", matrix, accepted, "an entry is negative or not finite")
    return matrix[None] if matrix.ndim == 2 else matrix


def _fitting(matrix: Tensor, scene: Scene) -> Tensor:
    """Refuse a matrix for images of another size."""
    pixels = scene.noisy.shape[-2] * scene.noisy.shape[-1]
    batch = len(scene.noisy)
    if matrix.shape[-1] != pixels or matrix.shape[0] not in (1, batch):
        accepted = f"[{pixels}, {pixels}] or [{batch}, {pixels}, {pixels}] for these images"
        raise InputError("attention", f"tensor of shape {tuple(matrix.shape)}", accepted)
    return matrix.to(scene.noisy.device)
