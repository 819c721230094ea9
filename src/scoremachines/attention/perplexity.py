"""A gain for each row of A from its perplexity (theory §4.8).

A_uy = λ_u a_uy,    λ_u = max( 1, e^{H_u} / κ² ),    H_u = −Σ_y a_uy log a_uy
"""

from __future__ import annotations

from dataclasses import replace

import torch

from scoremachines.attention.base import Attention, AttentionContext, Specified, spec_of
from scoremachines.attention.weights import DenseWeights, WeightsByWindow
from scoremachines.theory.specs.gain import PERPLEXITY

__all__ = ["PerplexityGain"]


class PerplexityGain(Specified):
    """Another attention whose rows add up to 1, each times a gain from its perplexity.

    `A_uy = λ_u a_uy` with `λ_u = max(1, e^{H_u}/κ²)`, `H_u = −Σ_y a_uy log a_uy` (theory §4.8).

    Args:
        attention: such as `Measured`; weights that are not a matrix stay as they are.
    """

    def __init__(self, attention: Attention) -> None:
        self.attention = attention
        inner = spec_of(attention)
        if inner is not None and inner.gain == 1 and inner.over != "consensus":
            self.spec = replace(inner, gain=PERPLEXITY)
        self.dense = attention.dense

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        found: WeightsByWindow = []
        for window, rows in self.attention.attention_weights(context):
            if isinstance(rows, DenseWeights):
                area = context.noisy[0, 0].numel() if window is None else window**2
                # Zeros, of entropy 0 like ones, would have an infinite slope.
                matrix = rows.matrix.double()
                shares = matrix.masked_fill(matrix == 0, 1)
                places = torch.special.entr(shares).sum(-1, keepdim=True).exp()
                rows = DenseWeights(matrix * (places / area).clamp(min=1), rows.matrix.dtype)
            found.append((window, rows))
        return found
