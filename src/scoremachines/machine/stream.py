"""The training set, or one class of it, through an engine block by block (theory §2.1, §4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from scoremachines.attention import Attention, AttentionContext
from scoremachines.attention.base import (
    Statistic,
    evidence_windows,
    follows_noisy,
    needs_all_evidence,
)
from scoremachines.attention.groups import Groups, grouping
from scoremachines.attention.weights import WeightsByWindow, differentiable_parts
from scoremachines.data.reduction import Executor, Here, Pass
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import Engine, Held, Plan, Query
from scoremachines.errors import InputError
from scoremachines.machine.gradient import Backward, attached, differentiable
from scoremachines.machine.moments import Known, moments_bytes, reads_once
from scoremachines.machine.reading import Evaluation, Reading
from scoremachines.theory.positions import PERIODIC
from scoremachines.theory.posterior import Posterior

__all__ = ["Stream"]

GroupsByWindow = dict[int | None, Groups]

GRAPH = 96
"""Bytes for each pair of pixels of the graph that leads through A to φ, and of what is computed on
the way back: twelve matrices."""
SMALL = 64
"""Training images of a block, below which keeping their moments is not worth the memory."""


class Stream:
    """The posterior of noisy images over a training set, by an engine and an attention.

    `x̂0(u) = Σ_i w_u(i) m_u(i)`, block by block: two blocks merge by `μ = π_a μ_a + π_b μ_b`,
    `π = softmax(ℒ_a, ℒ_b)` (theory §2.1).

    Args:
        data: the training set.
        engine: computes the posterior of a block.
        attention: gives Π_u(i) of a block's images.
        members: places of the images to use, rising, int64; None for all.
        executor: what carries passes over the training set out; None for this process.
    """

    def __init__(
        self,
        data: TrainingSet,
        engine: Engine,
        attention: Attention,
        members: Tensor | None,
        executor: Executor | None = None,
    ) -> None:
        self.data, self.engine, self.attention, self.members = data, engine, attention, members
        self.executor = executor
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
            InputError: they require grad, and the engine has no gradient, or there is no room
                for that of the attention.
        """
        if wanted := torch.is_grad_enabled() and query.noisy.requires_grad:
            self.engine = differentiable(self.engine)
        Known.forget()
        pulled = wanted and not self._by_autograd(query)
        plan, keep = self._planned(query, best, pulled)
        for start in range(0, len(query.noisy), plan.batch):
            some = slice(start, start + plan.batch)
            part, times = query.part(some), time[some]
            if pulled:
                yield attached(part, partial(self._with_backward, times, plan.block, best, keep))
            else:
                yield self._answer(self._reading(part, plan.block, keep), times, best)[0]

    def _by_autograd(self, query: Query) -> bool:
        """Whether the engine is made of torch's own operations, which keep a graph."""
        return query.smooth is not None or bool(getattr(self.engine, "autograd", False))

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
        return self._planned(query, best)[0]

    def _planned(self, query: Query, best: int, wanted: bool = False) -> tuple[Plan, bool]:
        """Return the plan, and whether moments are kept for what comes after they are read.

        That is, until all evidence is known, or for the gradient if it is wanted.
        """
        graph = 0
        if wanted and follows_noisy(self.attention):
            graph = GRAPH * query.noisy[0, 0].numel() ** 2
        plan = self._plan(query, best, kept=graph)
        attends = self.attention.name != "none"
        again = self.groups is not None or needs_all_evidence(self.attention) or wanted
        if not (best == 0 and attends and again and reads_once(self.engine, query)):
            return plan, False
        windows = evidence_windows(self.attention, query.window, tuple(query.noisy.shape[-2:]))
        at = len({query.window, *windows}) if self.groups is None else 1
        kept = graph + self.count * moments_bytes(query, at)
        try:
            smaller = self._plan(query, best, kept=kept)
        except InputError:
            return plan, False
        # Blocks as small as this would cost more than they save.
        return (smaller, True) if smaller.block >= min(plan.block, SMALL) else (plan, False)

    def _plan(self, query: Query, best: int, kept: int = 0) -> Plan:
        """Return a plan, given how many bytes are kept for each noisy image."""
        windows = evidence_windows(self.attention, query.window, tuple(query.noisy.shape[-2:]))
        held = self._held(query, best, len(windows))
        held = replace(held, noisy=held.noisy + kept)
        plans = [
            self.engine.plan(
                replace(query, window=window),
                self.count,
                evidence=self.attention.name != "none",
                dense=self.attention.dense,
                best=best,
                held=held,
            )
            for window in windows
        ]
        return Plan(min(plan.batch for plan in plans), min(plan.block for plan in plans))

    def _held(self, query: Query, best: int, windows: int) -> Held:
        """Return what lies in memory besides the engine's work: answers, groups, a copy."""
        channels, height, width = query.noisy.shape[1:]
        item = query.noisy.element_size()
        answer = 2 * len(query.noisy) * (query.answered * item + 16 + 24 * best)
        groups = 0 if self.groups is None else int(self.groups.max()) + 1
        copied = 0 if self.members is None else channels * self.data.pixels.element_size()
        # What gathers a group's evidence, and twice more where it is made ready for a block.
        evidence = (windows + 3) * 8 * groups
        # Tables over pairs of pixels of one block, before they merge with those of the others.
        merged = self.groups is None and needs_all_evidence(self.attention)
        tables = 24 * height * width if merged else 0
        return Held(*(height * width * each for each in (answer, evidence + tables, copied)))

    def _reading(self, query: Query, block: int, keep: bool = False) -> Reading:
        """Return some noisy images before the training set."""
        evaluation = Evaluation(self.engine, query, reads_once(self.engine, query), keep)
        # A graph does not leave the process.
        executor = Here() if query.noisy.requires_grad else self.executor
        return Reading(evaluation, self._blocks(query, block), executor, self.groups)

    def _blocks(self, query: Query, block: int) -> Pass:
        """Return how the training set is read."""
        dtype = None if getattr(self.engine, "accepts_uint8", False) else query.noisy.dtype
        return Pass(self.data, block, dtype, members=self.members)

    def _answer(
        self, reading: Reading, time: Tensor, best: int, leaf: Tensor | None = None
    ) -> tuple[Posterior, WeightsByWindow, GroupsByWindow]:
        """Return a posterior, the attention's weights and the evidence of groups.

        Attention sees `leaf`, if it is given, in the place of the noisy images.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() or leaf is not None):
            weights = self.attention.attention_weights(self._context(reading, time, leaf))
        windows = {window for window, _ in weights} if self.groups is not None else ()
        shared = {window: reading.shared(window) for window in windows}
        return reading.posterior(weights, shared, best), weights, shared

    def _with_backward(
        self, time: Tensor, block: int, best: int, keep: bool, query: Query
    ) -> tuple[Posterior, Backward]:
        """Return a posterior without a graph, and what its gradient is computed from."""
        Known.forget()  # those of the noisy images before
        leaf = query.noisy.clone().requires_grad_()
        reading = self._reading(query, block, keep)
        posterior, weights, shared = self._answer(reading, time, best, leaf)
        # Fields of evidence are more, and larger, than those of the forward pass.
        shrunk = 4 if self.attention.dense else 2 if weights else 1
        block = max(1, block // shrunk)
        again = self._blocks(query, block)
        bare = replace(query, noisy=query.noisy.new_empty(0))
        held = reading.evaluation.kept.values() if keep and weights else ()
        known = Known(held, self._places) if held else None
        if not weights:
            return posterior, Backward(self.engine, bare, again)

        def weigh(noisy: Tensor) -> WeightsByWindow:
            return self.attention.attention_weights(
                self._context(self._reading(query, block), time, noisy)
            )

        kept = None if any(differentiable_parts(rows) for _, rows in weights) else weights
        return posterior, Backward(self.engine, bare, again, weigh, kept, shared or None, known)

    def attention_weights(self, query: Query, time: Tensor) -> WeightsByWindow:
        """Return the attention's weights for a query's noisy images.

        Args:
            query: the noisy images.
            time: t of each, `[B]`.

        Returns:
            `A^κ` for each window κ of the evidence (theory §4); `[]` without attention.
        """
        plan, keep = self._planned(query, 0)
        reading = self._reading(query, plan.block, keep)
        return self.attention.attention_weights(self._context(reading, time))

    @property
    def _places(self) -> Tensor:
        return torch.arange(self.count) if self.members is None else self.members

    def _context(
        self, reading: Reading, time: Tensor, noisy: Tensor | None = None
    ) -> AttentionContext:
        """Return what the attention may look at; `noisy` is φ where it is to have a graph."""

        def reduced(statistic: Statistic[Any]) -> Any:
            if noisy is not None and torch.is_grad_enabled():
                reason = "it reads evidence, through which no gradient passes"
                accepted = "weights that are found under torch.no_grad(), or engine reference"
                raise InputError("attention", self.attention.name, accepted, reason)
            if self.groups is None:
                return reading.reduce(statistic)
            evidence = reading.shared(statistic.window).evidence()
            return statistic.of(evidence, torch.arange(evidence.shape[1]))

        query = reading.evaluation.query
        seen = query.noisy if noisy is None else noisy
        periodic = PERIODIC[query.sources]
        return AttentionContext(seen, query.alpha_bar, time, query.window, periodic, reduced)
