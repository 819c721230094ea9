"""Any attention times a strength λ, constant or λ(t): `A_uy = λ(t) a_uy` (theory §4.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scoremachines.attention.base import Attention, Scene, Specified, Weighing, spec_of
from scoremachines.errors import real
from scoremachines.theory.specs.gain import GainSchedule

__all__ = ["Scaled"]


class Scaled(Specified):
    """Another attention's weights, times λ or λ(t) (theory §4.2).

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
        self.pairwise = attention.pairwise

    def weighings(self, scene: Scene) -> list[tuple[int | None, Weighing]]:
        given = self.strength
        strengths = torch.tensor(
            [given(t) if isinstance(given, GainSchedule) else given for t in scene.time],
            dtype=torch.float64,
        )
        return [
            (window, _Times(weighing, strengths))
            for window, weighing in self.attention.weighings(scene)
        ]


@dataclass(frozen=True)
class _Times:
    """Another weighing's answer times the strength of each noisy image, `[B]`."""

    weighing: Weighing
    strengths: Tensor

    def apply(self, evidence: Tensor) -> Tensor:
        strengths = self.strengths.to(evidence.device)[:, None, None, None]
        return self.weighing.apply(evidence) * strengths

    def loudest(self) -> Tensor:
        loudest = self.weighing.loudest()
        return loudest * self.strengths.to(loudest.device)[:, None, None]
