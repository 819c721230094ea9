"""Some noisy images before the training set, block by block (theory §2.1, §4).

With attention x̂0 is made of the moments of each image i at each pixel u, its evidence and its mean
colour, once `Π_u` is known:

    x̂0(u) = Σ_i softmax_i( log p(i) + E_u(i) + Π_u(i) ) m_u(i)

so that one pass over the training set suffices. Where an attention needs the evidence of all
images first, moments are kept if there is room, and computed again if not.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from scoremachines.attention.base import WeightsByWindow
from scoremachines.attention.groups import Groups
from scoremachines.engines import Query
from scoremachines.engines.full_image import NOTHING
from scoremachines.theory.posterior import Posterior

__all__ = ["Blocks", "Known", "Moments", "Reading", "moments_bytes", "reads_once"]

Blocks = Callable[[], Iterator[tuple[Tensor, Tensor]]]
Moments = tuple[dict[int | None, Tensor], Tensor]
"""`E_u(i)` of some images at each window that it is known at, and `m_u(i)`."""


def reads_once(engine: Any, query: Query) -> bool:
    """Return whether an engine's `moments` cost less than its evidence and posterior together."""
    chosen = engine.on(query.noisy.device) if hasattr(engine, "on") else engine
    return bool(getattr(chosen, "reads_once", False))


def moments_bytes(query: Query, windows: int = 1) -> int:
    """Return the bytes of the moments of one image and one noisy image.

    Args:
        query: the noisy images.
        windows: how many windows `E_u(i)` is kept at; `m_u(i)` is at one.
    """
    channels, height, width = query.noisy.shape[1:]
    return height * width * (8 * windows + channels * query.noisy.element_size())


class Known:
    """Moments `E_u(i)` and `m_u(i)` of a whole pass, for the gradient that may be wanted next.

    Only the latest are held, whoever asked: a chain of steps keeps a graph of each, and would
    otherwise hold the moments of them all.

    Args:
        blocks: of each block, in order, `E_u(i)` `[B, n, H, W]` by window, and `m_u(i)`
            `[B, n, C, H, W]`.
    """

    _latest: ClassVar[weakref.ref[Known] | None] = None

    def __init__(self, blocks: list[Moments]) -> None:
        self._blocks = blocks
        Known.forget()
        Known._latest = weakref.ref(self)

    @classmethod
    def forget(cls) -> None:
        """Let go of the latest moments; their gradient computes them again."""
        latest = cls._latest and cls._latest()
        if latest:
            latest._blocks = []

    def part(self, start: int, stop: int) -> Moments | None:
        """Return the moments of some images of the pass; None where they are held no longer."""
        found, first = [], 0
        for evidence, mean in self._blocks:
            last = first + mean.shape[1]
            if first < stop and last > start:
                some = slice(max(start - first, 0), stop - first)
                fields = {window: field[:, some] for window, field in evidence.items()}
                found.append((fields, mean[:, some]))
            first = last
        if first < stop:
            return None
        at = {
            window: torch.cat([fields[window] for fields, _ in found], 1) for window in found[0][0]
        }
        return at, torch.cat([mean for _, mean in found], 1)


@dataclass
class Reading:
    """An engine's evidence and posteriors of some noisy images (theory §2).

    `x̂0(u) = Σ_i w_u(i) m_u(i)`, `w_u = softmax_i(E_u(i) + Π_u(i))`, if made of moments.

    Args:
        engine: an `Engine`, with `moments` if `once`.
        query: the noisy images.
        blocks: yields training images and their places, the same blocks each time.
        once: whether posteriors are made of moments.
        keep: whether moments are kept once they are read, in `kept`.
    """

    engine: Any
    query: Query
    blocks: Blocks
    once: bool
    keep: bool
    kept: list[Moments] = field(default_factory=list, init=False)

    def evidence(self, window: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield `E_u(i)` of each block at a window, `[B, n, H, W]`, and the images' places."""
        for number, (images, index) in enumerate(self.blocks()):
            if self.keep and window == self.query.window:
                yield self._moments(number, images)[0], index
            else:
                yield self.engine.evidence(replace(self.query, window=window), images), index

    def posterior(
        self, weights: WeightsByWindow, shared: dict[int | None, Groups], best: int
    ) -> Posterior:
        """Return the posterior of all images.

        Args:
            weights: how the attention weighs evidence at each window; `[]` for Π = 0.
            shared: evidence of groups at each window, if the attention has groups.
            best: how many sources to name.

        Returns:
            The posterior.
        """
        grouped = _group_evidence(weights, shared)
        return Posterior.merge_all(
            self._of_block(number, images, index, weights, grouped, best)
            for number, (images, index) in enumerate(self.blocks())
        )

    def _of_block(
        self,
        number: int,
        images: Tensor,
        index: Tensor,
        weights: WeightsByWindow,
        grouped: tuple[Groups, Tensor] | None,
        best: int,
    ) -> Posterior:
        """Return the posterior of one block, given Π_u(i)."""
        if not weights:
            return self.engine.posterior(self.query, images, index, None, best)
        moments = self._moments(number, images) if self.once and not best else None
        if grouped is None:
            testimony = self._testimony(number, images, weights, moments)
        else:
            groups, known = grouped
            testimony = known[:, groups.rank(index)]
        if moments is not None:
            return _of_moments(*moments, testimony)
        # Sums over many pixels are large numbers with small differences: the largest one is taken
        # out in float64, so that float32 keeps the differences that matter.
        offset = testimony.detach().amax(1)
        bias = (testimony - offset[:, None]).to(self.query.noisy.dtype)
        del testimony  # the engine's memory counts on it
        return self.engine.posterior(self.query, images, index, bias, best).shifted(offset)

    def _moments(self, number: int, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return `E_u(i)` and `m_u(i)` of a block."""
        own = self.query.window
        if number < len(self.kept):
            known, mean = self.kept[number]
            return known[own], mean
        evidence, mean = self.engine.moments(self.query, images)
        if self.keep:
            self.kept.append(({own: evidence}, mean))
        return evidence, mean

    def _testimony(
        self,
        number: int,
        images: Tensor,
        weights: WeightsByWindow,
        moments: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """Return `Π_u(i)` of a block, float64 `[B, n, H, W]`."""
        total: Tensor | None = None
        for place, (window, rows) in enumerate(weights):  # with room for one at a time
            if moments is not None and window == self.query.window:
                evidence = moments[0]
            else:
                evidence = self.engine.evidence(replace(self.query, window=window), images)
                if number < len(self.kept):
                    self.kept[number][0][window] = evidence
            part = rows.apply(evidence)
            del evidence
            if total is None:
                total = part
            elif place > 1 and not (total.requires_grad or part.requires_grad):
                total.add_(part)  # a sum of ours
            else:
                total = total + part
            del part
        assert total is not None
        return total


def _group_evidence(
    weights: WeightsByWindow, shared: dict[int | None, Groups]
) -> tuple[Groups, Tensor] | None:
    """Return some groups of images, and `Π_u` of each group, float64 `[B, G, H, W]`."""
    if not (weights and shared):
        return None
    parts = [rows.apply(shared[window].evidence()) for window, rows in weights]
    return shared[weights[0][0]], sum(parts[1:], parts[0])


def _of_moments(evidence: Tensor, mean: Tensor, testimony: Tensor) -> Posterior:
    """Return the posterior of images whose evidence and mean colour are known.

    One noisy image at a time, for how many there are may change how sums are rounded.
    """
    log_weight = evidence + testimony
    del testimony
    most = log_weight.amax(1)
    # exp is slow where it underflows, and less than any rounding counts for nothing.
    share = log_weight.sub_(most[:, None]).clamp_(min=math.log(NOTHING)).to(mean.dtype).exp_()
    total = torch.stack([its.sum(0) for its in share])
    pairs = zip(share, mean, strict=True)
    sums = torch.stack([(its_share[:, None] * its_mean).sum(0) for its_share, its_mean in pairs])
    return Posterior(most + total.double().log(), sums / total[:, None])
