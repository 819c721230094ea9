"""Any attention times a strength λ, constant or λ(t): `A_uy = λ(t) a_uy` (theory §4.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scoremachines.attention.base import Attention, Scene, Weighing
from scoremachines.errors import InputError, real

__all__ = ["Scaled", "StrengthSchedule"]


@dataclass(frozen=True)
class StrengthSchedule:
    """λ(t): linear between its knots, constant beyond them.

    Args:
        times: the knots' times in [0, 1], rising.
        strengths: λ ≥ 0 at each.

    Raises:
        InputError: no knots, times that do not rise within [0, 1], or a negative strength.
    """

    times: tuple[float, ...]
    strengths: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.times, self.times[1:], strict=False))
        inside = all(0 <= time <= 1 for time in self.times)
        if not self.times or len(self.times) != len(self.strengths) or not (rising and inside):
            accepted = "a strength for each of some times that rise within [0, 1]"
            raise InputError("strength", (self.times, self.strengths), accepted)
        for strength in self.strengths:
            real("strength", strength, 0)

    def __call__(self, t: float) -> float:
        """Return λ(t)."""
        return float(np.interp(t, self.times, self.strengths))


class Scaled:
    """Another attention's weights, times λ or λ(t) (theory §4.2).

    Args:
        attention: whose weights.
        strength: λ ≥ 0, or λ(t).

    Raises:
        InputError: the strength is negative.
    """

    name = "scaled"

    def __init__(self, attention: Attention, strength: float | StrengthSchedule) -> None:
        if not isinstance(strength, StrengthSchedule):
            strength = real("strength", strength, 0)
        self.attention, self.strength = attention, strength
        self.pairwise = attention.pairwise

    def weighings(self, scene: Scene) -> list[tuple[int | None, Weighing]]:
        given = self.strength
        strengths = torch.tensor(
            [given(t) if isinstance(given, StrengthSchedule) else given for t in scene.time],
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
