"""What engines do where sources have a width: plan, evidence, moments, posterior (theory §2.9)."""

from __future__ import annotations

from torch import Tensor

from scoremachines.data.training_set import pixel_values
from scoremachines.engines.base import Held, Plan, Query
from scoremachines.engines.memory import SCRATCH, shared_bytes, shrunk
from scoremachines.engines.tiled.scaled import ROWS
from scoremachines.engines.tiled.smooth import (
    PAIRS,
    SOURCES,
    TOGETHER,
    Sums,
    smooth_moments,
    smooth_posterior,
)
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.smooth import KEPT, Smooth

__all__ = ["Smoothing"]


class Smoothing:
    """Answers an engine's queries whose sources have a width (theory §2.9).

    `ℓ_u(i,v,s) = level_s − ½ ‖M_sᵀ (φ[Ω_u] − √ᾱ x'_s)‖²`, by products in the eigenbasis of Σ.

    Args:
        memory: bytes that the engine may use above the training set.
        sums: what sums over sources without holding pairs; None for torch's operations.
    """

    def __init__(self, memory: int, sums: Sums | None = None) -> None:
        self.memory, self.sums = memory, sums

    def plan(
        self,
        query: Query,
        count: int,
        evidence: bool,
        dense: bool,
        best: int,
        held: Held | None,
    ) -> Plan:
        """Choose how much to take at once, as `Engine.plan` does."""
        smooth = _smooth(query)

        def needed(plan: Plan) -> int:
            shared = shared_bytes(query, plan, evidence, dense, best)
            return SCRATCH + shared + _bytes(query, plan, best, count, smooth)

        return shrunk(_largest_plan(query, count, smooth), self.memory, needed, held)

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        """Return `E_u(i)`, as `Engine.evidence` does."""
        return self.moments(query, images)[0].to(query.noisy.dtype)

    def moments(self, query: Query, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return `E_u(i)` and `m_u(i)`, as `Differentiable.moments` does."""
        return smooth_moments(query, pixel_values(images, query.noisy.dtype), _smooth(query))

    def posterior(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        """Return the posterior, as `Engine.posterior` does."""
        values = pixel_values(images, query.noisy.dtype)
        return smooth_posterior(query, values, index, bias, best, _smooth(query), self.sums)


def _smooth(query: Query) -> Smooth:
    assert query.smooth is not None
    return query.smooth


def _largest_plan(query: Query, count: int, smooth: Smooth) -> Plan:
    """Return how much to take at once where memory does not matter."""
    places = 1 if query.sources == "aligned" else query.noisy[0, 0].numel()
    block = max(1, SOURCES // (places * len(smooth.contrasts.scales)))
    return Plan(min(len(query.noisy), 256), min(count, block))


def _bytes(query: Query, plan: Plan, best: int, count: int, smooth: Smooth) -> int:
    """Return an upper estimate of the bytes in use while a plan is carried out."""
    channels, height, width = query.noisy.shape[1:]
    pixels, scales = height * width, len(smooth.contrasts.scales)
    patch = channels * (pixels if query.window is None else query.window**2)
    places = 1 if query.sources == "aligned" else pixels
    sources = plan.block * places
    pairs = max(PAIRS, ROWS * sources * scales)
    if query.noisy.requires_grad:
        pairs += plan.batch * pixels * places * count * scales
    every = (plan.block + 2 * plan.batch) * channels * pixels
    at_once = max(pairs, TOGETHER) // (sources * scales)
    rows = min(plan.batch * pixels, max(ROWS, at_once)) * patch * (3 + 2 * scales)
    taken = sources * (6 * patch + scales * (3 * query.answered + 6))
    kinds = pixels if query.window and query.sources != "valid" else 1
    laws = 6 * patch**2 + min(kinds * patch**2, KEPT // 8) + 2 * pixels * patch
    answers = plan.batch * pixels * (query.answered + 3 + 3 * best)
    if query.patches:  # the moments of each image, where there is attention
        answers *= plan.block
    return 8 * (every + rows + taken + 7 * pairs + laws + answers)
