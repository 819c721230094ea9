"""Attentions that need no network: none, identity, tiled, full and multi-scale (theory §4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from scoremachines.attention.base import AttentionContext, Specified
from scoremachines.attention.weights import DenseWeights, UniformWeights, WeightsByWindow
from scoremachines.errors import InputError
from scoremachines.theory.locality import check_window
from scoremachines.theory.positions import patches
from scoremachines.theory.schedule import CLOSEST
from scoremachines.theory.specs.attention import AttentionSpec

__all__ = ["Full", "Identity", "MultiScale", "NoAttention", "Tiled"]


class NoAttention(Specified):
    """`A_uy = 0`, so that Π = 0: KG's machines (theory §3)."""

    spec = AttentionSpec("none")
    dense = False

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        return []


class Full(Specified):
    """`A_uy = 1` for all y ≠ u: patch independence without discount (theory §4.2)."""

    spec = AttentionSpec("full")
    dense = False

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        return [(context.window, UniformWeights(1.0))]


class Tiled(Specified):
    """`A_uy = 1/k²` for all y ≠ u: every pixel's evidence counts about once (theory §4.2)."""

    spec = AttentionSpec("tiled")
    dense = False

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        return [(context.window, UniformWeights(1 / _area(context, context.window)))]


class Identity(Specified):
    """W_Q = W_K = W_V = I: like attends to like, with the weights of non-local means.

    `A_uy = softmax_{y≠u} −‖φ[Ω_u] − φ[Ω_y]‖² / (4(1−ᾱ))`, windows padded as φ is (theory §4.2).
    """

    spec = AttentionSpec("identity")
    dense = True
    follows_noisy = True

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        if context.noisy[0, 0].numel() == 1:
            return []  # a single pixel has no other place
        rows = []
        variances = 1 - context.alpha_bar.clamp(CLOSEST, 1 - CLOSEST)
        for noisy, variance in zip(context.noisy, variances.tolist(), strict=True):
            around = patches(noisy[None].double().clone(), context.window, context.periodic)[0]
            closeness = _SquaredDistances.apply(around.contiguous(), LOST * variance)
            closeness.div_(-4 * variance).fill_diagonal_(-torch.inf)
            rows.append(closeness.softmax(-1))
            del closeness, around
        matrix = rows[0][None] if len(rows) == 1 else torch.stack(rows)
        return [(context.window, DenseWeights(matrix, context.noisy.dtype))]


LOST = 1e-11
"""What rounding may take of a log-weight by products, nats; x̂0 then loses far less."""


class _SquaredDistances(Function):
    """Squared distances of all pairs of rows `[n, D]`, `[n, n]`, with gradients of any order.

    They may be off by `lost`, or by what rounding takes of sums of squared differences.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, lost: float) -> Tensor:
        ctx.save_for_backward(rows)
        # Products cost a tenth, but subtract numbers as large as the squared norms.
        centred = rows - rows.mean(0)
        norms = centred.square().sum(-1)
        if float(norms.max()) * 2**-50 <= lost:
            sums = norms[:, None] + norms
            return sums.addmm_(centred, centred.T, alpha=-2).clamp_(min=0)
        return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square_()

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        both = pull + pull.T
        return 2 * (both.sum(-1, keepdim=True) * rows - both @ rows), None


class MultiScale(Specified):
    """Evidence at several windows κ, each tiled, averaged: `A^κ = 1/(|K| κ²)` (theory §4.2).

    The patch that a pixel paints keeps the machine's own window.

    Args:
        windows: the windows κ, odd, pixels; by default the machine's window k and its doublings
            `2k+1, 4k+3, …` that fit into the image.

    Raises:
        InputError: no windows, or one that is not odd.
    """

    dense = False

    def __init__(self, windows: Sequence[int] | None = None) -> None:
        if windows is not None:
            if not windows:
                raise InputError("windows", windows, "at least one odd window")
            for window in windows:
                check_window(window)
        self.windows = None if windows is None else tuple(windows)
        self.spec = AttentionSpec("multiscale", windows=self.windows)

    def scales(self, window: int | None, size: tuple[int, ...]) -> tuple[int | None, ...]:
        """Return the windows κ for a machine's window k and images of some size, pixels."""
        return self.windows or _doublings(window, min(size))

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        height, width = context.noisy.shape[-2:]
        for window in self.windows or ():
            check_window(window, (height, width))
        scales = self.scales(context.window, (height, width))
        share = 1 / len(scales)
        return [(scale, UniformWeights(share / _area(context, scale))) for scale in scales]


def _doublings(window: int | None, size: int) -> tuple[int | None, ...]:
    if window is None:
        return (None,)
    scales = [window]
    while 2 * scales[-1] + 1 <= size:
        scales.append(2 * scales[-1] + 1)
    return tuple(scales)


def _area(context: AttentionContext, window: int | None) -> int:
    return context.noisy.shape[-2] * context.noisy.shape[-1] if window is None else window * window
