"""Some noisy images before the training set, block by block (theory §2.1, §4).

With attention x̂0 is made of the moments of each image i at each pixel u, its evidence and its mean
colour, once `Π_u` is known:

    x̂0(u) = Σ_i softmax_i( log p(i) + E_u(i) + Π_u(i) ) m_u(i)

so that one pass over the training set suffices. Where an attention needs the evidence of all
images first, moments are kept if there is room, and computed again if not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from scoremachines.attention.base import Statistic
from scoremachines.attention.groups import GroupEvidence, Groups
from scoremachines.attention.weights import WeightsByWindow
from scoremachines.data.reduction import Block, Executor, Pass, reduce
from scoremachines.engines import Query
from scoremachines.engines.full_image import NOTHING
from scoremachines.machine.moments import Moments
from scoremachines.theory.posterior import Posterior

__all__ = [
    "Evaluation",
    "OfEvidence",
    "OfPosterior",
    "Reading",
]


@dataclass
class Evaluation:
    """An engine's evidence and moments of some noisy images (theory §2).

    Args:
        engine: an `Engine`, with `moments` if `once`.
        query: the noisy images.
        once: whether posteriors are made of moments.
        keep: whether moments are kept once they are read, in `kept`. Evidence at the own window is
            theirs then, also where another process computes it and keeps none.
    """

    engine: Any
    query: Query
    once: bool
    keep: bool
    here: bool = field(default=True, init=False)
    kept: dict[int, Moments] = field(default_factory=dict, init=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process gets: what is kept stays here."""
        return {**self.__dict__, "here": False, "kept": {}}

    def evidence(self, block: Block, window: int | None) -> Tensor:
        """Return `E_u(i)` of a block at a window, `[B, n, H, W]`."""
        if self.keep and window == self.query.window:
            return self.moments(block)[0]
        found: Tensor = self.engine.evidence(replace(self.query, window=window), block.images)
        return found

    def moments(self, block: Block) -> tuple[Tensor, Tensor]:
        """Return `E_u(i)` and `m_u(i)` of a block."""
        own = self.query.window
        if not (self.keep and self.here):
            evidence, mean = self.engine.moments(self.query, block.images)
            return evidence, mean
        first = int(block.index[0])
        if first not in self.kept:
            evidence, mean = self.engine.moments(self.query, block.images)
            self.kept[first] = {own: evidence}, mean
        known, mean = self.kept[first]
        return known[own], mean


@dataclass(frozen=True)
class OfEvidence:
    """A statistic of evidence as a reduction of the training set.

    Args:
        evaluation: the noisy images.
        statistic: what an attention has to know.
    """

    evaluation: Evaluation
    statistic: Statistic[Any]

    def of(self, block: Block) -> Any:
        evidence = self.evaluation.evidence(block, self.statistic.window)
        return self.statistic.of(evidence, block.index)

    def merge(self, one: Any, other: Any) -> Any:
        return self.statistic.merge(one, other)


@dataclass(frozen=True)
class OfPosterior:
    """The posterior as a reduction of the training set (theory §2.1).

    `x̂0(u) = Σ_i w_u(i) m_u(i)`, `w_u = softmax_i(E_u(i) + Π_u(i))`, if made of moments.

    Args:
        evaluation: the noisy images.
        weights: how the attention weighs evidence at each window; `[]` for Π = 0.
        grouped: groups of images, and `Π_u` of each `[B, G, H, W]`; None for single images.
        best: how many sources to name.
    """

    evaluation: Evaluation
    weights: WeightsByWindow
    grouped: tuple[Groups, Tensor] | None
    best: int

    def of(self, block: Block) -> Posterior:
        evaluation = self.evaluation
        if not self.weights:
            return self._by_engine(block, None)
        moments = evaluation.moments(block) if evaluation.once and not self.best else None
        if self.grouped is None:
            testimony = self._testimony(block, moments)
        else:
            groups, known = self.grouped
            testimony = known[:, groups.rank(block.index)]
        if moments is not None:
            return _of_moments(*moments, testimony)
        # Sums over many pixels are large numbers with small differences: the largest one is taken
        # out in float64, so that float32 keeps the differences that matter.
        offset = testimony.detach().amax(1)
        bias = (testimony - offset[:, None]).to(evaluation.query.noisy.dtype)
        del testimony  # the engine's memory counts on it
        return self._by_engine(block, bias).shifted(offset)

    def merge(self, one: Posterior, other: Posterior) -> Posterior:
        return one.merge(other)

    def _by_engine(self, block: Block, bias: Tensor | None) -> Posterior:
        engine, query = self.evaluation.engine, self.evaluation.query
        found: Posterior = engine.posterior(query, block.images, block.index, bias, self.best)
        return found

    def _testimony(self, block: Block, moments: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return `Π_u(i)` of a block, float64 `[B, n, H, W]`."""
        total: Tensor | None = None
        for place, (window, rows) in enumerate(self.weights):  # with room for one at a time
            if moments is not None and window == self.evaluation.query.window:
                evidence = moments[0]
            else:
                evidence = self.evaluation.evidence(block, window)
                if self.evaluation.keep and self.evaluation.here:
                    self.evaluation.kept[int(block.index[0])][0][window] = evidence
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


@dataclass(frozen=True)
class Reading:
    """Some noisy images before the training set: every statistic of it is a pass.

    Args:
        evaluation: the noisy images.
        blocks: how the training set is read.
        executor: what carries passes out; None for this process.
        groups: the group of every image, if the attention has groups.
    """

    evaluation: Evaluation
    blocks: Pass
    executor: Executor | None = None
    groups: Tensor | None = None
    _shared: dict[int | None, Groups] = field(default_factory=dict, init=False)

    def reduce(self, statistic: Statistic[Any]) -> Any:
        """Return a statistic of the evidence of all images."""
        return reduce(OfEvidence(self.evaluation, statistic), self.blocks, self.executor)

    def shared(self, window: int | None) -> Groups:
        """Return the evidence of groups of images at a window (theory §4.6)."""
        assert self.groups is not None
        if window not in self._shared:
            totals = self.reduce(GroupEvidence(window, self.groups))
            self._shared[window] = Groups(self.groups, totals)
        return self._shared[window]

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
        statistic = OfPosterior(self.evaluation, weights, grouped, best)
        found: Posterior = reduce(statistic, self.blocks, self.executor)
        return found


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
