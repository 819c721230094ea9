"""The gradient of a posterior in φ: one more weighted sum over all sources (theory §2.8).

    ∂/∂φ ( Σ_u ⟨g(u), x̂0(u)⟩ + Σ_u z(u) log Z(u) ) = Σ_u Σ_{i,v} c_u(i,v) ∂ℓ_u(i,v)/∂φ

A posterior is computed without a graph and then attached to φ. Its backward pass goes through the
training set once more, block by block, with the known mean and log-weight, so that its memory is
that of the forward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from scoremachines.attention.base import WeightsByWindow
from scoremachines.attention.groups import Groups
from scoremachines.engines import Engine, Query
from scoremachines.engines.base import Differentiable, Pull
from scoremachines.engines.full_image import NOTHING
from scoremachines.errors import InputError
from scoremachines.machine.reading import Blocks, Known, Moments
from scoremachines.theory.posterior import Posterior

__all__ = ["Backward", "attached", "differentiable"]

BlocksOfMoments = Callable[[], Iterator[tuple[Tensor, Tensor, Moments | None]]]


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
        blocks: yields training images and their places, in blocks.
        weigh: the attention's weights for noisy images; None for no attention.
        weights: the weights, if they are piecewise constant in φ; else None.
        groups: evidence of groups of images at each window; None for single images.
        known: moments of all images, if they were kept.
    """

    engine: Engine
    query: Query
    blocks: Blocks
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
        asked = _Asked(self.engine, query, log_weight, direction, offset[:, None])
        if self.weigh is None:
            ones = torch.ones_like(asked.offset)
            pull = Pull(direction, log_weight[:, None], ones, asked.offset)
            return _total(asked.gradient(images, pull) for images, _ in self.blocks())
        leaf = noisy.clone().requires_grad_()
        weights = self.weights
        if weights is None:
            with torch.enable_grad():
                weights = self.weigh(leaf)
        flow = _Attended(asked, weights, leaf)
        if self.groups is None:
            return _total(flow.of_images(images, known) for images, _, known in self._moments())
        return flow.of_groups(self._moments, self.groups)

    def _moments(self) -> Iterator[tuple[Tensor, Tensor, Moments | None]]:
        """Yield images, their places, and their moments where these are known."""
        stop = 0
        for images, index in self.blocks():
            start, stop = stop, stop + len(images)
            yield images, index, self.known.part(start, stop) if self.known else None


def _total(parts: Iterator[Tensor]) -> Tensor:
    return reduce(torch.add, parts)


def _share(log_weight: Tensor) -> Tensor:
    """Return shares of a posterior, in place, from their logs; exp is slow where it underflows."""
    return torch.threshold_(log_weight.clamp_(min=math.log(NOTHING) - 1).exp_(), NOTHING, 0)


@dataclass(frozen=True)
class _Asked:
    """A query, its posterior, and the gradient that is wanted; `offset` is `[B, 1, H, W]`."""

    engine: Any  # an Engine that is Differentiable
    query: Query
    log_weight: Tensor
    direction: Tensor
    offset: Tensor

    def at(self, window: int | None) -> Query:
        return replace(self.query, window=window)

    def means(self, images: Tensor, known: Moments | None) -> tuple[Tensor, Tensor]:
        """Return `E_u(i)` and `⟨g(u), m_u(i)⟩`, float64; what is known is overwritten."""
        if known:
            evidence, mean = known[0][self.query.window], known[1]
        else:
            evidence, mean = self.engine.moments(self.query, images)
        return evidence, mean.mul_(self.direction[:, None]).sum(2).double()

    def gradient(self, images: Tensor, pull: Pull) -> Tensor:
        found: Tensor = self.engine.gradient(self.query, images, pull)
        return found


class _Attended:
    """The gradient where attention weighs the evidence of other places (theory §4.9)."""

    def __init__(self, asked: _Asked, weights: WeightsByWindow, leaf: Tensor) -> None:
        self.asked, self.weights, self.leaf = asked, weights, leaf
        self.windows = list(dict.fromkeys(window for window, _ in weights))
        self.own = asked.query.window

    def _testimony(self, evidence: dict[int | None, Tensor]) -> Tensor:
        """Return `Π_u` as a function of evidence, `[B, n, H, W]`, with its graph."""
        with torch.enable_grad():
            parts = [rows.apply(evidence[window]) for window, rows in self.weights]
            return reduce(torch.add, parts)

    def _pulled(
        self, testimony: Tensor, evidence: dict[int | None, Tensor], pull: Tensor
    ) -> tuple[dict[int | None, Tensor], Tensor]:
        """Return how much Π pulls at evidence, and at φ through A, for a pull on Π."""
        given = [evidence[window] for window in self.windows]
        *pulls, direct = torch.autograd.grad(
            testimony, [*given, self.leaf], pull, retain_graph=True, allow_unused=True
        )
        found = [torch.zeros_like(pull) if each is None else each for each in pulls]
        if direct is None:
            direct = torch.zeros_like(self.leaf)
        return dict(zip(self.windows, found, strict=True)), direct

    def _others(
        self, images: Tensor, levels: dict[int | None, Tensor], pulls: dict[int | None, Tensor]
    ) -> Iterator[Tensor]:
        """Yield the gradients of evidence at windows other than the machine's own."""
        for window in self.windows:
            if window != self.own:
                none = torch.zeros_like(pulls[window])
                pull = Pull(self.asked.direction, levels[window], none, pulls[window])
                yield self.asked.engine.gradient(self.asked.at(window), images, pull)

    def of_images(self, images: Tensor, known: Moments | None) -> Tensor:
        """Return what a block adds to the gradient where testimony is about single images."""
        asked = self.asked
        own, along = asked.means(images, known)
        ready = {self.own: own} | (known[0] if known else {})
        for window in set(self.windows) - set(ready):
            ready[window] = asked.engine.evidence(asked.at(window), images)
        evidence = {window: ready[window].double() for window in self.windows}
        given = {window: field.detach().requires_grad_() for window, field in evidence.items()}
        testimony = self._testimony(given)
        weight = _share((own + testimony.detach()).sub_(asked.log_weight[:, None]))
        pulls, direct = self._pulled(testimony, given, along.add_(asked.offset).mul_(weight))
        offset = weight * asked.offset
        if self.own in pulls:
            offset += pulls[self.own]
        pull = Pull(asked.direction, own, weight, offset)
        total = direct + asked.gradient(images, pull)
        return _total(iter([total, *self._others(images, evidence, pulls)]))

    def of_groups(self, blocks: BlocksOfMoments, groups: dict[int | None, Groups]) -> Tensor:
        """Return the gradient where testimony is about groups of images."""
        asked = self.asked
        gathered = next(iter(groups.values()))
        evidence = {window: groups[window].evidence().requires_grad_() for window in self.windows}
        testimony = self._testimony(evidence)
        known = testimony.detach()
        on_groups, ours = torch.zeros_like(known), Groups(gathered.groups)
        for images, index, moments in blocks():
            own, along = asked.means(images, moments)
            ours.add(own, index)
            rank = gathered.rank(index)
            weight = _share((own + known[:, rank]).sub_(asked.log_weight[:, None]))
            on_groups.index_add_(1, rank, weight * (along + asked.offset))
        pulls, total = self._pulled(testimony, evidence, on_groups)
        # Log of the weight of all images of a group, which single sources are taken relative to.
        sizes = gathered.log_counts().to(known)[:, None, None]
        levels = {window: field.detach() + sizes for window, field in evidence.items()}
        level = ours.evidence() + sizes
        gain = _share((level + known).sub_(asked.log_weight[:, None]))
        offset = gain * asked.offset
        if self.own in pulls:
            offset += pulls[self.own]
        for images, index, _ in blocks():
            rank = gathered.rank(index)
            fields = (field[:, rank] for field in (level, gain, offset))
            total = total + asked.gradient(images, Pull(asked.direction, *fields))
            others = ({w: field[:, rank] for w, field in each.items()} for each in (levels, pulls))
            total = _total(iter([total, *self._others(images, *others)]))
        return total
