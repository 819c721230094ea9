"""Attention given from outside: a matrix, or a function such as a trained layer (theory §4.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scoremachines.attention.base import AttentionContext, Specified
from scoremachines.attention.weights import DenseWeights, WeightsByWindow
from scoremachines.errors import InputError
from scoremachines.theory.specs.attention import AttentionSpec

__all__ = ["Maps", "Measured", "Soft"]

Maps = Callable[[Tensor, Tensor], Tensor]


class Soft(Specified):
    """A given matrix: `A_uy = a_uy` (theory §4.2).

    Args:
        matrix: a, non-negative and finite, `[H·W, H·W]`; row u holds what pixel u attends to,
            pixels counted `row · W + column`.
        path: the file that it comes from, for the title.

    Raises:
        InputError: the matrix is no such matrix.
    """

    dense = True

    def __init__(self, matrix: Tensor, path: str | None = None) -> None:
        self.matrix, self.spec = _checked(matrix, 2).detach(), AttentionSpec("matrix", path=path)

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        return [
            (context.window, DenseWeights(_fitting(self.matrix, context), context.noisy.dtype))
        ]


class Measured(Specified):
    """The maps of a network: `A = maps(φ, t)` (theory §4.2).

    Args:
        maps: takes φ `[B, C, H, W]` and t `[B]` in [0, 1], returns `[H·W, H·W]` or
            `[B, H·W, H·W]`.
    """

    spec = AttentionSpec("measured")
    dense = True
    follows_noisy = True

    def __init__(self, maps: Maps) -> None:
        self.maps = maps

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        matrix = _checked(self.maps(context.noisy, context.time), 2, 3)
        if torch.is_grad_enabled() and context.noisy.requires_grad and not matrix.requires_grad:
            accepted = "maps that autograd follows back to φ, or a matrix"
            raise InputError("attention", self.maps, accepted, "its maps have no gradient in φ")
        return [(context.window, DenseWeights(_fitting(matrix, context), context.noisy.dtype))]


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


def _fitting(matrix: Tensor, context: AttentionContext) -> Tensor:
    """Return the matrices for the noisy images, `[B or 1, H·W, H·W]`; refuse other shapes."""
    pixels, batch = context.noisy.shape[-2] * context.noisy.shape[-1], len(context.noisy)
    if matrix.shape not in ((pixels, pixels), (batch, pixels, pixels)):
        accepted = f"[{pixels}, {pixels}] for each of these images"
        raise InputError("attention", f"tensor of shape {tuple(matrix.shape)}", accepted)
    return matrix.to(context.noisy.device).reshape(-1, pixels, pixels)
