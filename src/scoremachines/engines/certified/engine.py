"""The adaptive engine: threshold sampling of the pairs, with a bound of the error.

It computes all distances, but draws the pairs whose weights it adds up (threshold
sampling, theory §2.7).
The error of x̂0 is then bounded at every pixel, with a stated probability. Where that is not worth
it, as with few images, where nearly every pair would be drawn, or with attention or lists of
sources, it answers exactly.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from scoremachines.engines.base import Held, Plan, Query
from scoremachines.engines.certified.sampling import (
    can_sample,
    threshold_sampled,
    threshold_sampled_bytes,
)
from scoremachines.engines.memory import plan_native
from scoremachines.engines.native.engine import NativeEngine, needs_float64
from scoremachines.engines.native.layout import stored_images
from scoremachines.errors import InputError, real
from scoremachines.theory.bounds import Bounds
from scoremachines.theory.posterior import Posterior

__all__ = ["AdaptiveEngine"]


class AdaptiveEngine:
    """Exact where it must be, and else within a certified tolerance, on the CPU.

    `Ŵ = Σ_drawn w/p` with `p = min(1, w/T)` has the expectation `Z = Σ w` (theory §2.7).

    Where gradients in φ are wanted, the native engine takes its place, exactly.

    Args:
        memory: bytes that the engine may use above the training set.
        tolerance: largest error of x̂0, in units of the images' [-1, 1]. It is more with a
            probability of at most 10⁻⁵ for each noisy image.
        threads: how many threads; None for as many as torch uses.

    Raises:
        InputError: the package was built without its native part, or an argument is out of range.
    """

    name = "adaptive"
    accepts_uint8 = True
    reads_once = True
    threaded = True

    def __init__(
        self, memory: int = 2**30, tolerance: float = 1e-2, threads: int | None = None
    ) -> None:
        if real("tolerance", tolerance, 0, 1) == 0:
            raise InputError("tolerance", tolerance, "a number above 0 and at most 1")
        self.threads = threads
        self.exact = self.differentiable = NativeEngine(memory, threads)
        self.memory, self.tolerance = memory, float(tolerance)

    def plan(
        self,
        query: Query,
        count: int,
        *,
        evidence: bool,
        dense: bool,
        best: int,
        held: Held | None = None,
    ) -> Plan:
        threads, eighth = self.exact.thread_count, self.memory // 8
        sampled = not evidence and not best and bool(can_sample(query).any())
        if not sampled or threshold_sampled_bytes(query, count, threads) > eighth:
            return self.exact.plan(
                query, count, evidence=evidence, dense=dense, best=best, held=held
            )
        wide = replace(query, noisy=query.noisy.double()) if needs_float64(query).any() else query
        plan = plan_native(self.memory, threads, wide, count, False, dense, 0, held, 4)
        copied = count * (0 if held is None else held.image)
        return Plan(plan.batch, count) if copied <= eighth else plan

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        return self.exact.evidence(query, images)

    def moments(self, query: Query, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.exact.moments(query, images)

    def posterior(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        sampled = can_sample(query)
        if bias is not None or best or not sampled.any():
            return self._exactly(query, images, index, bias, best)
        kept, parts = stored_images(images, query), []
        for b, drawn in enumerate(sampled.tolist()):
            part, found = query.part(slice(b, b + 1)), None
            if drawn:
                found = threshold_sampled(self.exact, part, kept, index, self.tolerance)
            parts.append(found or self._exactly(part, kept, index, None, 0))
        return Posterior.cat(parts)

    def _exactly(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        """Return the exact posterior, with bounds of 0."""
        posterior = self.exact.posterior(query, images, index, bias, best)
        return replace(posterior, bounds=Bounds.none(posterior.log_weight))
