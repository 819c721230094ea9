"""The gradient of a posterior in φ: one more weighted sum over all sources (theory §2.8).

    ∂/∂φ ( Σ_u ⟨g(u), x̂0(u)⟩ + Σ_u z(u) log Z(u) ) = Σ_u Σ_{i,v} c_u(i,v) ∂ℓ_u(i,v)/∂φ

A posterior is computed without a graph and then attached to φ. Its backward pass goes through the
training set once more, block by block, with the known mean and log-weight, so that its memory is
that of the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from scoremachines.attention.groups import Groups
from scoremachines.attention.weights import WeightsByWindow
from scoremachines.data.reduction import Here, Pass, reduce
from scoremachines.engines import Engine, Query
from scoremachines.engines.base import Differentiable
from scoremachines.errors import InputError
from scoremachines.machine.moments import Known
from scoremachines.machine.pullback import Attended, OfAll, OfImages, Wanted
from scoremachines.theory.posterior import Posterior

__all__ = ["Backward", "attached", "differentiable"]


def differentiable(engine: Engine) -> Engine:
    """Return the engine that answers in an engine's place where gradients are wanted.

    Args:
        engine: the engine.

    Returns:
        Itself, or, of an engine that is approximate on purpose, the exact one that it names.

    Raises:
        InputError: it has no gradient.
    """
    chosen: Engine = getattr(engine, "differentiable", engine)
    if not isinstance(chosen, Differentiable) and not getattr(chosen, "autograd", False):
        accepted = "an engine with a gradient, such as torch, or φ that does not require grad"
        raise InputError("engine", engine.name, accepted, "it has no gradient in φ")
    return chosen


def attached(query: Query, answer: Callable[[Query], tuple[Posterior, Backward]]) -> Posterior:
    """Return a posterior with `∂(Σ ⟨g, x̂0⟩ + Σ z log Z)/∂φ = Σ c_u(i,v) ∂ℓ_u(i,v)/∂φ` (§2.8).

    Args:
        query: noisy images that require grad.
        answer: computes the posterior of noisy images that do not, and what its gradient needs.

    Returns:
        The posterior; its entropy and sources have no gradient.
    """
    found: list[Posterior] = []
    mean, log_weight = _Answer.apply(query.noisy, query, answer, found)
    return replace(found[0], mean=mean, log_weight=log_weight)


class _Answer(Function):
    """Mean and log-weight of a posterior as functions of φ."""

    @staticmethod
    def forward(
        ctx: Any,
        noisy: Tensor,
        query: Query,
        answer: Callable[[Query], tuple[Posterior, Backward]],
        found: list[Posterior],
    ) -> tuple[Tensor, Tensor]:
        posterior, ctx.pulled = answer(replace(query, noisy=noisy.detach()))
        ctx.save_for_backward(noisy, posterior.mean, posterior.log_weight)
        ctx.set_materialize_grads(False)
        found.append(posterior)
        return posterior.mean, posterior.log_weight

    @staticmethod
    def backward(
        ctx: Any, mean_grad: Tensor | None, log_grad: Tensor | None
    ) -> tuple[Tensor | None, None, None, None]:
        noisy, mean, log_weight = ctx.saved_tensors
        if mean_grad is None and log_grad is None:
            return None, None, None, None
        with torch.no_grad():
            direction = torch.zeros_like(mean) if mean_grad is None else mean_grad.detach()
            offset = -(direction.double() * mean.double()).sum(1)
            if log_grad is not None:
                offset = offset + log_grad.detach()
            gradient = ctx.pulled(noisy.detach(), log_weight.detach(), direction, offset)
        if torch.is_grad_enabled():  # somebody wants a second derivative
            wanted = [each for each in (noisy, mean_grad, log_grad) if each is not None]
            gradient = _Once.apply(gradient, ctx.pulled.engine.name, *wanted)
        return gradient, None, None, None


class _Once(Function):
    """A gradient that cannot be differentiated again."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, engine: str, *_: Tensor) -> Tensor:
        ctx.engine = engine
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        reason = "it has no second derivatives in φ"
        raise InputError("engine", ctx.engine, "reference, for small images", reason)


@dataclass(frozen=True)
class Backward:
    """Gradient of a posterior: `Σ c ∂ℓ/∂φ`, `c_u(i,v) = ω_u(i,v) (⟨g(u), x_i(v)⟩ + b(u))` (§2.8).

    Args:
        engine: that of the posterior.
        query: the query; its noisy images are given anew.
        blocks: how the training set is read.
        weigh: the attention's weights for noisy images; None for no attention.
        weights: the weights, if they are piecewise constant in φ; else None.
        groups: evidence of groups of images at each window; None for single images.
        known: moments of all images, if they were kept.
    """

    engine: Engine
    query: Query
    blocks: Pass
    weigh: Callable[[Tensor], WeightsByWindow] | None = None
    weights: WeightsByWindow | None = None
    groups: dict[int | None, Groups] | None = None
    known: Known | None = None

    def __call__(
        self, noisy: Tensor, log_weight: Tensor, direction: Tensor, offset: Tensor
    ) -> Tensor:
        """Return the gradient, `[B, C, H, W]`.

        Args:
            noisy: φ, `[B, C, H, W]`.
            log_weight: log Z, float64 `[B, H, W]`.
            direction: g, the gradient of what is differentiated in x̂0, `[B, C, H, W]`.
            offset: `z − ⟨g, x̂0⟩`, with z its gradient in log Z, float64 `[B, H, W]`.

        Returns:
            In the dtype of `noisy`.
        """
        query = replace(self.query, noisy=noisy)
        wanted = Wanted(self.engine, query, log_weight, direction, offset[:, None], self.known)
        if self.weigh is None:
            found: Tensor = reduce(OfAll(wanted), self.blocks, Here())
            return found
        leaf = noisy.clone().requires_grad_()
        weights = self.weights
        if weights is None:
            with torch.enable_grad():
                weights = self.weigh(leaf)
        attended = Attended(wanted, weights, leaf)
        if self.groups is None:
            found, at_weights = reduce(OfImages(attended), self.blocks, Here())
            return found + attended.through(at_weights)
        return attended.gradient_of_groups(self.groups, self.blocks)
