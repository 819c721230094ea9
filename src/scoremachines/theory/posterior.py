"""The posterior of a part of the training set at each pixel, and the merge of two parts (§2.1).

For pixel `u` and any subset of the training set, with source log-weights
`L_u(i,v) = ℓ_u(i,v) − log|V(u)| + Π_u(i)`, the subset's contribution is

    log_weight(u) = log Σ L-weights             mean(u) = Σ softmax(L_u) x_i(v)
    entropy(u)    = −Σ softmax(L_u) log softmax(L_u)      sources(u) = the K largest L_u

The prior is uniform over the images used, so its constant log p(i) cancels and is left out.

Two disjoint subsets merge with the shares `π_a, π_b = softmax(log_weight_a, log_weight_b)`:
means average, entropies obey the chain rule `π_a H_a + π_b H_b + h(π)`, and the best sources are
the best of both lists. Error bounds merge as in `bounds`. Merging is associative and
commutative, and `Posterior.empty` is its unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor

from scoremachines.errors import InputError, whole
from scoremachines.theory.bounds import Bounds

__all__ = ["Moments", "Posterior", "Sources"]


@dataclass(frozen=True)
class Sources:
    """The best K sources of every pixel, best first.

    For each pixel u the K largest `L_u(i,v) = ℓ_u(i,v) − log|V(u)| + Π_u(i)` (theory §2.1).

    Equal weights are ordered by image, then by position, so the list does not depend on the order
    in which the training set was read. Where fewer than K sources exist, `image` and `position`
    are −1 and `log_weight` is −∞.

    Args:
        log_weight: unnormalised log-weight, nats, float64 `[B, K, H, W]`.
        image: index into the training set, int64 `[B, K, H, W]`.
        position: centre of the source patch as `row · W + column`, int64 `[B, K, H, W]`.
    """

    log_weight: Tensor
    image: Tensor
    position: Tensor

    @classmethod
    def empty(
        cls, count: int, batch: int, height: int, width: int, device: str = "cpu"
    ) -> Sources:
        """Return a list in which no source has been found yet."""
        shape = (batch, count, height, width)
        nothing = torch.full(shape, -1, dtype=torch.int64, device=device)
        weight = torch.full(shape, -torch.inf, dtype=torch.float64, device=device)
        return cls(weight, nothing, nothing)

    @property
    def count(self) -> int:
        """K, the length of each list."""
        return self.log_weight.shape[1]

    def best(self, count: int, dim: int = 1) -> Sources:
        """Return the `count` best entries along `dim`, in the order that the class promises."""
        order = self.position.argsort(dim=dim, stable=True)
        order = order.gather(dim, self.image.gather(dim, order).argsort(dim=dim, stable=True))
        weight = self.log_weight.gather(dim, order)
        order = order.gather(dim, weight.argsort(dim=dim, descending=True, stable=True))
        order = order.narrow(dim, 0, min(count, order.shape[dim]))
        return self.map(lambda field: field.gather(dim, order))

    def map(self, change: Callable[[Tensor], Tensor]) -> Sources:
        """Return the list whose three tensors are all changed in the same way."""
        return Sources(*(change(field) for field in self._fields()))

    def merge(self, other: Sources, dim: int = 1) -> Sources:
        """Return the best of both lists, as many as the longer of the two holds."""
        count = max(self.log_weight.shape[dim], other.log_weight.shape[dim])
        pairs = zip(self._fields(), other._fields(), strict=True)
        return Sources(*(torch.cat(pair, dim) for pair in pairs)).best(count, dim)

    def _fields(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.log_weight, self.image, self.position


@dataclass(frozen=True)
class Moments:
    """The first two moments of x within a posterior (theory §2.7).

        log_weight = log Σ w,    mean = Σ w x / Σ w,    square = Σ w x² / Σ w,    w = e^L

    Args:
        log_weight: log Σ w, nats, float64 `[B, H, W]`.
        mean: `[B, C, H, W]`, in [-1, 1].
        square: mean of x², `[B, C, H, W]`.
    """

    log_weight: Tensor
    mean: Tensor
    square: Tensor

    @property
    def variance(self) -> Tensor:
        """Variance of each channel, float64 `[B, C, H, W]`; no less than rounding leaves of it."""
        return (self.square.double() - self.mean.double().square()).clamp(min=1e-6)


@dataclass(frozen=True)
class Posterior:
    """The posterior of a subset of the training set at each pixel u (theory §2.1).

        log_weight = log Σ_{i,v} e^{L_u(i,v)}    mean = Σ_{i,v} ω_u(i,v) x_i(v)
        entropy    = −Σ_{i,v} ω_u log ω_u        ω_u = softmax_{i,v} L_u

    Args:
        log_weight: log of the subset's total weight, nats, float64 `[B, H, W]`.
        mean: posterior mean x̂0 within the subset, in [-1, 1], `[B, C, H, W]`.
        entropy: entropy of the posterior over sources, nats, float64 `[B, H, W]`, if requested.
        sources: the best K sources, if requested.
        bounds: how far mean and weight may be off; None from engines that are always exact.
    """

    log_weight: Tensor
    mean: Tensor
    entropy: Tensor | None = None
    sources: Sources | None = None
    bounds: Bounds | None = None

    @classmethod
    def empty(cls, like: Tensor, best: int = 0) -> Posterior:
        """Return the unit of `merge` for noisy images shaped as `like`, `[B, C, H, W]`."""
        if like.ndim != 4:
            raise InputError("like", like, "noisy images [B, C, H, W]")
        best = whole("best", best)
        batch, _, height, width = like.shape
        zero = torch.zeros(batch, height, width, dtype=torch.float64, device=like.device)
        device = str(like.device)
        sources = Sources.empty(best, batch, height, width, device) if best else None
        return cls(zero - torch.inf, torch.zeros_like(like), zero if best else None, sources)

    @classmethod
    def merge_all(cls, parts: Iterable[Posterior]) -> Posterior:
        """Merge at least one part, from first to last."""
        each = iter(()) if isinstance(parts, Tensor) else iter(parts)
        first = next(each, None)
        if first is None:
            raise InputError("parts", parts, "at least one posterior")
        return reduce(cls.merge, each, first)  # one part at a time is in memory

    @classmethod
    def cat(cls, parts: Sequence[Posterior]) -> Posterior:
        """Put the posteriors of different noisy images one after the other."""
        if not len(parts):
            raise InputError("parts", parts, "at least one posterior")
        first, entropy, sources = parts[0], None, None
        if first.entropy is not None:
            entropy = torch.cat([part.entropy for part in parts if part.entropy is not None])
        if first.sources is not None:
            lists = [part.sources._fields() for part in parts if part.sources is not None]
            sources = Sources(*(torch.cat(fields) for fields in zip(*lists, strict=True)))
        log_weight = torch.cat([part.log_weight for part in parts])
        bounds = None
        if any(part.bounds is not None for part in parts):
            bounds = Bounds.cat([part._bounds() for part in parts])
        mean = torch.cat([part.mean for part in parts])
        return cls(log_weight, mean, entropy, sources, bounds)

    def at(self, index: Tensor | slice) -> Posterior:
        """Return the posterior of some of the noisy images."""
        try:
            entropy = None if self.entropy is None else self.entropy[index]
            self.log_weight[index]
        except IndexError as error:
            accepted = f"a slice, or positions from 0 to {len(self.mean) - 1}"
            raise InputError("index", index, accepted, str(error)) from error
        sources = None if self.sources is None else self.sources.map(lambda field: field[index])
        bounds = None if self.bounds is None else self.bounds.at(index)
        return Posterior(self.log_weight[index], self.mean[index], entropy, sources, bounds)

    def to(self, dtype: torch.dtype) -> Posterior:
        """Return the posterior with its mean in another dtype."""
        return replace(self, mean=self.mean.to(dtype))

    def merge(self, other: Posterior) -> Posterior:
        """Return the posterior of the union of two disjoint subsets."""
        total = torch.logaddexp(self.log_weight, other.log_weight)
        # A part that weighs nothing has share 0, also where both weigh nothing (−∞ − −∞).
        log_share, log_other = (
            torch.nan_to_num(part.log_weight - total, nan=-torch.inf, neginf=-torch.inf)
            for part in (self, other)
        )
        share, other_share = log_share.exp(), log_other.exp()
        to_mean = self.mean.dtype
        mean = (
            share.to(to_mean)[:, None] * self.mean + other_share.to(to_mean)[:, None] * other.mean
        )
        entropy = None
        if self.entropy is not None and other.entropy is not None:
            chosen = torch.special.entr(share) + torch.special.entr(other_share)
            entropy = share * self.entropy + other_share * other.entropy + chosen
        sources = None
        if self.sources is not None and other.sources is not None:
            sources = self.sources.merge(other.sources)
        bounds = None
        if self.bounds is not None or other.bounds is not None:
            apart = (self.mean - other.mean).abs().amax(1)
            bounds = self._bounds().merge(other._bounds(), (share, other_share), apart)
        return Posterior(total, mean, entropy, sources, bounds)

    def shifted(self, offset: Tensor) -> Posterior:
        """Return the posterior whose log-weights are all larger by `offset`, nats `[B, H, W]`."""
        shape = self.log_weight.shape
        fits = offset.ndim == 3 and offset.shape[1:] == shape[1:]
        if not fits or len(offset) not in (1, shape[0]):
            raise InputError("offset", offset, f"one for each pixel, {list(shape)}")
        sources = self.sources
        if sources is not None:
            raised = sources.log_weight + offset[:, None]
            sources = Sources(raised, sources.image, sources.position)
        bounds = None if self.bounds is None else self.bounds.shifted(offset)
        return replace(self, log_weight=self.log_weight + offset, sources=sources, bounds=bounds)

    @property
    def error_bound(self) -> Tensor:
        """Largest error of the mean at each pixel, in any channel, float64 `[B, H, W]`; or 0."""
        return self._bounds().error_bound(self.log_weight, self.mean)

    def _bounds(self) -> Bounds:
        return Bounds.none(self.log_weight) if self.bounds is None else self.bounds

    @property
    def weights(self) -> Tensor:
        """Share of the best K sources in the whole posterior, in [0, 1], `[B, K, H, W]`."""
        if self.sources is None:
            raise AttributeError("this posterior was computed without sources: pass best=K")
        return (self.sources.log_weight - self.log_weight[:, None]).exp()
