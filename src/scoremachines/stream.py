"""The training set, or one class of it, through an engine block by block (theory §2.1, §4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from scoremachines.attention import Attention, Scene
from scoremachines.attention.base import Weighing
from scoremachines.attention.shared import Groups, grouping
from scoremachines.data.training_set import TrainingSet
from scoremachines.engine import Engine, Query
from scoremachines.patches import PERIODIC
from scoremachines.posterior import Posterior

__all__ = ["Stream"]


class Stream:
    """What a machine's engine and attention say of noisy images, given a training set.

    Args:
        data: the training set.
        engine: computes what a block says.
        attention: reweighs a block's images.
        members: places of the images to use, rising, int64; None for all.
    """

    def __init__(
        self, data: TrainingSet, engine: Engine, attention: Attention, members: Tensor | None
    ) -> None:
        self.data, self.engine, self.attention, self.members = data, engine, attention, members
        self.count = len(data) if members is None else len(members)
        shared = grouping(attention)
        self.groups = None if shared is None else shared.groups_of(data)

    def posteriors(self, query: Query, time: Tensor, best: int) -> Iterator[Posterior]:
        """Yield the posteriors of a query's noisy images, some of them at a time.

        Args:
            query: the noisy images.
            time: t of each, `[B]`.
            best: how many sources to name.

        Yields:
            The posterior of the next noisy images, in their order.
        """
        plan = self.engine.plan(
            query,
            self.count,
            evidence=self.attention.name != "none",
            pairwise=self.attention.pairwise,
            best=best,
        )
        for start in range(0, len(query.noisy), plan.batch):
            some = slice(start, start + plan.batch)
            part = query.part(some)
            weighings = self.attention.weighings(self._scene(part, time[some], plan.block))
            shared = {window: self._shared(part, window, plan.block) for window, _ in weighings}
            yield Posterior.merge_all(
                self._posterior(part, images, index, weighings, shared, best)
                for images, index in self._blocks(plan.block, part.noisy.dtype)
            )

    def weighings(self, query: Query, time: Tensor) -> list[tuple[int | None, Weighing]]:
        """Return how the attention weighs what each place says of a query's noisy images.

        Args:
            query: the noisy images.
            time: t of each, `[B]`.

        Returns:
            For each window κ of the evidence its weighing (theory §4); `[]` without attention.
        """
        pairwise, evidence = self.attention.pairwise, self.attention.name != "none"
        plan = self.engine.plan(query, self.count, evidence=evidence, pairwise=pairwise, best=0)
        return self.attention.weighings(self._scene(query, time, plan.block))

    def _shared(self, query: Query, window: int | None, block: int) -> Groups | None:
        """Return the evidence of groups of images, where the attention speaks of groups."""
        if self.groups is None:
            return None
        gathered = Groups(self.groups)
        for images, index in self._blocks(block, query.noisy.dtype):
            gathered.add(self.engine.evidence(replace(query, window=window), images), index)
        return gathered

    def _blocks(self, block: int, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images `[n, C, H, W]` and their places in the training set `[n]`."""
        kind = None if getattr(self.engine, "reads_bytes", False) else dtype
        for start in range(0, self.count, block):
            stop = min(start + block, self.count)
            if self.members is None:
                index, images = (
                    torch.arange(start, stop),
                    self.data.block(slice(start, stop), kind),
                )
            else:
                index = self.members[start:stop]
                images = self.data.block(index, kind)
            yield images, index.to(images.device)

    def _scene(self, query: Query, time: Tensor, block: int) -> Scene:
        """Return what the attention may look at."""

        def evidence(window: int | None) -> Iterator[Tensor]:
            shared = self._shared(query, window, block)
            if shared is not None:
                yield shared.evidence()
                return
            for images, _ in self._blocks(block, query.noisy.dtype):
                yield self.engine.evidence(replace(query, window=window), images)

        periodic = PERIODIC[query.sources]
        return Scene(query.noisy, query.alpha_bar, time, query.window, periodic, evidence)

    def _posterior(
        self,
        query: Query,
        images: Tensor,
        index: Tensor,
        weighings: list[tuple[int | None, Weighing]],
        shared: dict[int | None, Groups | None],
        best: int,
    ) -> Posterior:
        """Return what one block says, once attention has reweighed its images."""
        if not weighings:
            return self.engine.posterior(query, images, index, None, best)
        parts = []
        for window, weighing in weighings:
            groups = shared[window]
            if groups is not None:
                evidence = groups.of(index)
            else:
                evidence = self.engine.evidence(replace(query, window=window), images)
            parts.append(weighing.apply(evidence))
        bias = reduce(torch.add, parts)
        # Sums over many pixels are large numbers with small differences: the largest one is taken
        # out in float64, so that float32 keeps the differences that matter.
        offset = bias.amax(1)
        small = (bias - offset[:, None]).to(query.noisy.dtype)
        return self.engine.posterior(query, images, index, small, best).shifted(offset)
