"""The training set, or one class of it, through an engine block by block (theory §2.1, §4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from scoremachines.attention import Attention, Scene
from scoremachines.attention.base import Weighing, depends, windows_heard
from scoremachines.attention.groups import Groups, grouping
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import Engine, Held, Plan, Query
from scoremachines.errors import InputError
from scoremachines.machine.gradient import Backward, attached, differentiable
from scoremachines.theory.positions import PERIODIC
from scoremachines.theory.posterior import Posterior

__all__ = ["Stream"]

Weighings = list[tuple[int | None, Weighing]]
Shared = dict[int | None, Groups | None]


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
            query: the noisy images; if they require grad, mean and log-weight have a gradient.
            time: t of each, `[B]`.
            best: how many sources to name.

        Yields:
            The posterior of the next noisy images, in their order.

        Raises:
            InputError: they require grad, and the engine has no gradient.
        """
        if wanted := torch.is_grad_enabled() and query.noisy.requires_grad:
            self.engine = differentiable(self.engine)
        plan = self.plan(query, best)
        # The graph of A over pairs of pixels takes the place of one more noisy image.
        halved = wanted and self.attention.pairwise
        batch = max(1, plan.batch // 2) if halved else plan.batch
        for start in range(0, len(query.noisy), batch):
            some = slice(start, start + batch)
            part, times = query.part(some), time[some]
            if wanted and not self._by_autograd:
                yield attached(part, partial(self._with_backward, times, plan.block, best))
            else:
                yield self._answer(part, times, plan.block, best)[0]

    @property
    def _by_autograd(self) -> bool:
        """Whether the engine is made of torch's own operations, which keep a graph."""
        return bool(getattr(self.engine, "autograd", False))

    def plan(self, query: Query, best: int) -> Plan:
        """Return how much to take at once, at every window that evidence is wanted at.

        Args:
            query: all the noisy images.
            best: how many sources are named.

        Returns:
            The plan.

        Raises:
            InputError: the memory does not suffice for one noisy and one training image.
        """
        windows = windows_heard(self.attention, query.window, tuple(query.noisy.shape[-2:]))
        plans = [
            self.engine.plan(
                replace(query, window=window),
                self.count,
                evidence=self.attention.name != "none",
                pairwise=self.attention.pairwise,
                best=best,
                held=self._held(query, best, len(windows)),
            )
            for window in windows
        ]
        return Plan(min(plan.batch for plan in plans), min(plan.block for plan in plans))

    def _held(self, query: Query, best: int, windows: int) -> Held:
        """Return what lies in memory besides the engine's work: answers, groups, a copy."""
        channels, height, width = query.noisy.shape[1:]
        item = query.noisy.element_size()
        answer = 2 * len(query.noisy) * (channels * item + 16 + 24 * best)
        groups = 0 if self.groups is None else int(self.groups.max()) + 1
        copied = 0 if self.members is None else channels * self.data.pixels.element_size()
        # What gathers a group's evidence, and twice more where it is made ready for a block.
        evidence = (windows + 3) * 8 * groups
        return Held(*(height * width * each for each in (answer, evidence, copied)))

    def _answer(
        self, query: Query, time: Tensor, block: int, best: int, leaf: Tensor | None = None
    ) -> tuple[Posterior, Weighings, Shared]:
        """Return a posterior, and what attention and groups had to say.

        Attention sees `leaf`, if it is given, in the place of the noisy images.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() or leaf is not None):
            weighings = self.attention.weighings(self._scene(query, time, block, leaf))
        shared = {window: self._shared(query, window, block) for window, _ in weighings}
        posterior = Posterior.merge_all(
            self._posterior(query, images, index, weighings, shared, best)
            for images, index in self._blocks(block, query.noisy.dtype)
        )
        return posterior, weighings, shared

    def _with_backward(
        self, time: Tensor, block: int, best: int, query: Query
    ) -> tuple[Posterior, Backward]:
        """Return a posterior without a graph, and what its gradient is computed from."""
        leaf = query.noisy.clone().requires_grad_()
        posterior, weighings, shared = self._answer(query, time, block, best, leaf)
        # Fields of evidence are more, and larger, than those of the forward pass.
        shrunk = 4 if self.attention.pairwise else 2 if weighings else 1
        block = max(1, block // shrunk)
        again = partial(self._blocks, block, query.noisy.dtype)
        bare = replace(query, noisy=query.noisy.new_empty(0))
        if not weighings:
            return posterior, Backward(self.engine, bare, again)

        def weigh(noisy: Tensor) -> Weighings:
            return self.attention.weighings(self._scene(query, time, block, noisy))

        gathered = {window: each for window, each in shared.items() if each is not None}
        kept = None if any(depends(weighing) for _, weighing in weighings) else weighings
        return posterior, Backward(self.engine, bare, again, weigh, kept, gathered or None)

    def weighings(self, query: Query, time: Tensor) -> Weighings:
        """Return how the attention weighs what each place says of a query's noisy images.

        Args:
            query: the noisy images.
            time: t of each, `[B]`.

        Returns:
            For each window κ of the evidence its weighing (theory §4); `[]` without attention.
        """
        return self.attention.weighings(self._scene(query, time, self.plan(query, 0).block))

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

    def _scene(self, query: Query, time: Tensor, block: int, noisy: Tensor | None = None) -> Scene:
        """Return what the attention may look at; `noisy` is φ where it is to have a graph."""

        def evidence(window: int | None) -> Iterator[Tensor]:
            if noisy is not None and torch.is_grad_enabled():
                reason = "it reads evidence, through which no gradient passes"
                accepted = "weighings that are found under torch.no_grad(), or engine reference"
                raise InputError("attention", self.attention.name, accepted, reason)
            shared = self._shared(query, window, block)
            if shared is not None:
                yield shared.evidence()
                return
            for images, _ in self._blocks(block, query.noisy.dtype):
                yield self.engine.evidence(replace(query, window=window), images)

        seen = query.noisy if noisy is None else noisy
        periodic = PERIODIC[query.sources]
        return Scene(seen, query.alpha_bar, time, query.window, periodic, evidence)

    def _posterior(
        self,
        query: Query,
        images: Tensor,
        index: Tensor,
        weighings: Weighings,
        shared: Shared,
        best: int,
    ) -> Posterior:
        """Return what one block says, once attention has reweighed its images."""
        if not weighings:
            return self.engine.posterior(query, images, index, None, best)
        bias: Tensor | None = None
        for place, (window, weighing) in enumerate(weighings):  # with room for one at a time
            part = weighing.apply(self._evidence(query, window, images, index, shared[window]))
            if bias is None:
                bias = part
            elif place > 1 and not (bias.requires_grad or part.requires_grad):
                bias.add_(part)  # a sum of ours
            else:
                bias = bias + part
            del part
        assert bias is not None
        # Sums over many pixels are large numbers with small differences: the largest one is taken
        # out in float64, so that float32 keeps the differences that matter.
        offset = bias.detach().amax(1)
        small = (bias - offset[:, None]).to(query.noisy.dtype)
        del bias  # the engine's memory counts on it
        return self.engine.posterior(query, images, index, small, best).shifted(offset)

    def _evidence(
        self,
        query: Query,
        window: int | None,
        images: Tensor,
        index: Tensor,
        groups: Groups | None,
    ) -> Tensor:
        """Return what a block says at one window, of its images or of their groups."""
        if groups is not None:
            return groups.of(index)
        return self.engine.evidence(replace(query, window=window), images)
