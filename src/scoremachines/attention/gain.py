"""Any attention times a strength λ, constant or λ(t): `A_uy = λ(t) a_uy` (theory §4.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scoremachines.attention.base import Attention, AttentionContext, Specified, spec_of
from scoremachines.attention.weights import AttentionWeights, WeightsByWindow
from scoremachines.errors import real
from scoremachines.theory.specs.gain import GainSchedule

__all__ = ["Scaled"]


class Scaled(Specified):
    """The weights of another attention times λ or λ(t), `A_uy = λ(t) a_uy` (theory §4.2).

    Args:
        attention: whose weights.
        strength: λ ≥ 0, or λ(t).

    Raises:
        InputError: the strength is negative.
    """

    def __init__(self, attention: Attention, strength: float | GainSchedule) -> None:
        if not isinstance(strength, GainSchedule):
            strength = real("strength", strength, 0)
        self.attention, self.strength = attention, strength
        inner = spec_of(attention)
        if inner is not None and inner.gain == 1 and inner.over != "consensus":
            self.spec = replace(inner, gain=strength)
        self.dense = attention.dense

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        given = self.strength
        strengths = torch.tensor(
            [given(t) if isinstance(given, GainSchedule) else given for t in context.time],
            dtype=torch.float64,
        )
        return [
            (window, _Times(rows, strengths))
            for window, rows in self.attention.attention_weights(context)
        ]


@dataclass(frozen=True)
class _Times:
    """The rows of another attention times the strength of each noisy image, `[B]`."""

    rows: AttentionWeights
    strengths: Tensor

    def apply(self, evidence: Tensor) -> Tensor:
        strengths = self.strengths.to(evidence.device)[:, None, None, None]
        return self.rows.apply(evidence) * strengths

    def largest(self) -> Tensor:
        largest = self.rows.largest()
        return largest * self.strengths.to(largest.device)[:, None, None]
