"""Attention given from outside: a matrix, or a function such as a trained layer (theory §4.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scoremachines.attention.base import Matrix, Scene, Weighing
from scoremachines.errors import InputError, real

__all__ = ["Measured", "Soft"]


class Soft:
    """A given matrix, times a strength: `A_uy = λ a_uy` (theory §4.2).

    Args:
        matrix: a, non-negative and finite, `[H·W, H·W]`; row u holds what pixel u attends to,
            pixels counted `row · W + column`.
        strength: λ ≥ 0.

    Raises:
        InputError: the matrix is no such matrix, or the strength is negative.
    """

    name = "soft"
    pairwise = True

    def __init__(self, matrix: Tensor, strength: float = 1.0) -> None:
        self.matrix, self.strength = _checked(matrix, 2).detach(), real("strength", strength, 0)

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
        self.maps, self.strength = maps, real("strength", strength, 0)

    def weighings(self, scene: Scene) -> list[tuple[int | None, Weighing]]:
        matrix = _checked(self.maps(scene.noisy, scene.time), 2, 3)
        if torch.is_grad_enabled() and scene.noisy.requires_grad and not matrix.requires_grad:
            accepted = "maps that autograd follows back to φ, or a matrix"
            raise InputError("attention", self.maps, accepted, "its maps have no gradient in φ")
        return [(scene.window, Matrix(self.strength * _fitting(matrix, scene)))]


def _checked(matrix: Tensor, *dimensions: int) -> Tensor:
    """Refuse what is no attention matrix."""
    forms = {2: "[H·W, H·W]", 3: "[B, H·W, H·W]"}
    accepted = f"a finite, non-negative tensor {' or '.join(forms[n] for n in dimensions)}"
    if not isinstance(matrix, Tensor):
        raise InputError("attention", matrix, accepted)
    if matrix.ndim not in dimensions or matrix.shape[-1] != matrix.shape[-2]:
        raise InputError("attention", f"tensor of shape {tuple(matrix.shape)}", accepted)
    if not (torch.isfinite(matrix) & (matrix >= 0)).all():
        raise InputError("attention", matrix, accepted, "an entry is negative or not finite")
    return matrix


def _fitting(matrix: Tensor, scene: Scene) -> Tensor:
    """Return the matrices for a scene's images, `[B or 1, H·W, H·W]`; refuse those for others."""
    pixels, batch = scene.noisy.shape[-2] * scene.noisy.shape[-1], len(scene.noisy)
    if matrix.shape not in ((pixels, pixels), (batch, pixels, pixels)):
        accepted = f"[{pixels}, {pixels}] for each of these images"
        raise InputError("attention", f"tensor of shape {tuple(matrix.shape)}", accepted)
    return matrix.to(scene.noisy.device).reshape(-1, pixels, pixels)
