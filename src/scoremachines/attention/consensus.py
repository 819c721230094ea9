"""Consensus attention: a common posterior over groups, then one over images (theory §4.7).

    Π_u(i) = Σ_{y≠u} A_uy E_y(g) − (1 − a_u) E_u(g),    g = g(i),    a_u = min(1, max_{y≠u} A_uy)

The own window enters the sum `E_u(i) + Π_u(i)` at full weight among the images of a group, and at
the largest weight of the other places, `a_u`, between groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from scoremachines.attention.base import AttentionContext
from scoremachines.attention.groups import ByGroup
from scoremachines.attention.weights import WeightsByWindow

__all__ = ["GroupConsensus"]


class GroupConsensus(ByGroup):
    """Another attention with a common posterior over groups (theory §4.7).

        Π_u(i) = Σ_{y≠u} A_uy E_y(g(i)) − (1 − a_u) E_u(g(i)),    a_u = min(1, max_{y≠u} A_uy)

    Args:
        attention: gives A.
        groups: number of each training image's group, int64 `[N]`; None for its class.

    Raises:
        InputError: the groups are not whole numbers of at least 0.
    """

    over = "consensus"

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        others = super().attention_weights(context)
        if not others:
            return []
        largest = reduce(torch.maximum, (rows.largest() for _, rows in others))
        return [*others, (context.window, _Own(largest.clamp(max=1) - 1))]


@dataclass(frozen=True)
class _Own:
    """A weight for the own window, `[B or 1, 1, H·W or 1]`; none for all others."""

    weight: Tensor

    def apply(self, evidence: Tensor) -> Tensor:
        flat = evidence.double().flatten(2)
        return (flat * self.weight.to(flat.device)).view(evidence.shape)

    def largest(self) -> Tensor:
        return torch.zeros(1, 1, 1, dtype=torch.float64)
