"""The gradient of a posterior as a reduction of the training set (theory §2.8, §4.9).

    Σ c_u(i,v) ∂ℓ_u(i,v)/∂φ,    c_u(i,v) = ω_u(i,v) (⟨g(u), x_i(v)⟩ + b(u))

Parts of the training set add up. Where attention weighs evidence, c is computed of the moments of
images, and so is what it pulls at the evidence of other places. Graphs lead through A, so these
passes are carried out in this process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import reduce as fold
from typing import Any

import torch
from torch import Tensor

from scoremachines.attention.groups import GroupEvidence, Groups, GroupTotals
from scoremachines.attention.weights import WeightsByWindow, differentiable_parts, with_parts
from scoremachines.data.reduction import Block, Here, Pass, reduce
from scoremachines.engines import Query
from scoremachines.engines.base import Pull
from scoremachines.engines.full_image import NOTHING
from scoremachines.machine.moments import Known, Moments

__all__ = ["Attended", "OfAll", "OfImages", "Wanted"]

ByWindow = dict[int | None, Tensor]


def _share(log_weight: Tensor) -> Tensor:
    """Return shares of a posterior, in place, from their logs; exp is slow where it underflows."""
    return torch.threshold_(log_weight.clamp_(min=math.log(NOTHING) - 1).exp_(), NOTHING, 0)


@dataclass(frozen=True)
class Wanted:
    """A posterior, and the gradient that is wanted of it.

    Args:
        engine: that of the posterior, with a gradient.
        query: the noisy images.
        log_weight: log Z, float64 `[B, H, W]`.
        direction: g, `[B, C, H, W]`.
        offset: b, float64 `[B, 1, H, W]`.
        known: moments of all images, if they were kept.
    """

    engine: Any  # an Engine that is Differentiable
    query: Query
    log_weight: Tensor
    direction: Tensor
    offset: Tensor
    known: Known | None = None

    def at(self, window: int | None) -> Query:
        """Return the same at another window."""
        return replace(self.query, window=window)

    def moments(self, block: Block) -> tuple[ByWindow, Tensor]:
        """Return `E_u(i)` by window, the own one among them, and `⟨g(u), m_u(i)⟩`, float64."""
        held: Moments | None = self.known.part(block.index) if self.known else None
        if held is None:
            evidence, mean = self.engine.moments(self.query, block.images)
            held = {self.query.window: evidence}, mean
        fields, mean = held
        return fields, mean.mul_(self.direction[:, None]).sum(2).double()

    def gradient(self, block: Block, pull: Pull, window: int | None) -> Tensor:
        """Return what a block adds to `Σ c_u(i,v) ∂ℓ_u(i,v)/∂φ` at a window, `[B, C, H, W]`."""
        found: Tensor = self.engine.gradient(self.at(window), block.images, pull)
        return found


class _Sum:
    """A reduction whose values add up."""

    def merge(self, one: Tensor, other: Tensor) -> Tensor:
        return one + other


@dataclass(frozen=True)
class OfAll(_Sum):
    """The gradient without attention.

    Args:
        wanted: the posterior, and the gradient that is wanted of it.
    """

    wanted: Wanted

    def of(self, block: Block) -> Tensor:
        wanted = self.wanted
        ones = torch.ones_like(wanted.offset)
        pull = Pull(wanted.direction, wanted.log_weight[:, None], ones, wanted.offset)
        return wanted.gradient(block, pull, wanted.query.window)


@dataclass(frozen=True)
class Attended:
    """How attention weighs evidence, and φ as A depends on it.

    What is pulled at A adds up over parts of the training set, and goes through its graph once.

    Args:
        wanted: the posterior, and the gradient that is wanted of it.
        weights: A at each window; their graph leads to `leaf`.
        leaf: φ.
    """

    wanted: Wanted
    weights: WeightsByWindow
    leaf: Tensor
    _links: list[Tensor] = field(init=False)
    _parts: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        links = {id(part): part for _, rows in self.weights for part in differentiable_parts(rows)}
        parts = {key: link.detach().requires_grad_() for key, link in links.items()}
        cut = [(window, with_parts(rows, parts)) for window, rows in self.weights]
        for name, value in (
            ("weights", cut),
            ("_links", [*links.values()]),
            ("_parts", [*parts.values()]),
        ):
            object.__setattr__(self, name, value)

    @property
    def windows(self) -> list[int | None]:
        """Each window whose evidence is weighed, once."""
        return list(dict.fromkeys(window for window, _ in self.weights))

    @property
    def own(self) -> int | None:
        """The machine's own window."""
        return self.wanted.query.window

    def testimony(self, evidence: ByWindow) -> Tensor:
        """Return `Π_u` as a function of evidence, `[B, n, H, W]`, with its graph."""
        with torch.enable_grad():
            return fold(torch.add, [rows.apply(evidence[window]) for window, rows in self.weights])

    def pulled(
        self, testimony: Tensor, evidence: ByWindow, pull: Tensor
    ) -> tuple[ByWindow, list[Tensor]]:
        """Return how much Π pulls at evidence, and at the tensors of A, for a pull on Π."""
        given = [*(evidence[window] for window in self.windows), *self._parts]
        pulls = torch.autograd.grad(testimony, given, pull, materialize_grads=True)
        own = dict(zip(self.windows, pulls, strict=False))
        return own, list(pulls[len(own) :])

    def through(self, pulls: list[Tensor]) -> Tensor:
        """Return how much is pulled at φ through A, given what is pulled at its tensors."""
        if not pulls:
            return torch.zeros_like(self.leaf)
        found = torch.autograd.grad(self._links, self.leaf, pulls, materialize_grads=True)
        return found[0]

    def others(self, block: Block, levels: ByWindow, pulls: ByWindow) -> Iterator[Tensor]:
        """Yield the gradients of evidence at windows other than the machine's own."""
        for window in self.windows:
            if window != self.own:
                none = torch.zeros_like(pulls[window])
                pull = Pull(self.wanted.direction, levels[window], none, pulls[window])
                yield self.wanted.gradient(block, pull, window)

    def gradient_of_groups(self, groups: dict[int | None, Groups], blocks: Pass) -> Tensor:
        """Return the gradient where testimony is about groups of images, `[B, C, H, W]`."""
        wanted, gathered = self.wanted, next(iter(groups.values()))
        evidence = {window: groups[window].evidence().requires_grad_() for window in self.windows}
        testimony = self.testimony(evidence)
        known = testimony.detach()
        totals, on_groups = reduce(_OnGroups(self, gathered, known), blocks, Here())
        pulls, at_weights = self.pulled(testimony, evidence, on_groups)
        # Log of the weight of all images of a group, which single sources are taken relative to.
        sizes = gathered.log_counts().to(known)[:, None, None]
        levels = {window: field.detach() + sizes for window, field in evidence.items()}
        level = Groups(gathered.groups, totals).evidence() + sizes
        gain = _share((level + known).sub_(wanted.log_weight[:, None]))
        offset = gain * wanted.offset
        if self.own in pulls:
            offset += pulls[self.own]
        found: Tensor = reduce(
            _OfGroups(self, gathered, (level, gain, offset), levels, pulls), blocks, Here()
        )
        return self.through(at_weights) + found


@dataclass(frozen=True)
class OfImages:
    """The gradient where testimony is about single images, and what is pulled at A.

    Args:
        attended: how attention weighs evidence.
    """

    attended: Attended

    def of(self, block: Block) -> tuple[Tensor, list[Tensor]]:
        attended, wanted = self.attended, self.attended.wanted
        ready, along = wanted.moments(block)
        own = ready[attended.own]
        for window in set(attended.windows) - set(ready):
            ready[window] = wanted.engine.evidence(wanted.at(window), block.images)
        evidence = {window: ready[window].double() for window in attended.windows}
        given = {window: field.detach().requires_grad_() for window, field in evidence.items()}
        testimony = attended.testimony(given)
        weight = _share((own + testimony.detach()).sub_(wanted.log_weight[:, None]))
        pull = along.add_(wanted.offset).mul_(weight)
        pulls, at_weights = attended.pulled(testimony, given, pull)
        offset = weight * wanted.offset
        if attended.own in pulls:
            offset += pulls[attended.own]
        total = wanted.gradient(block, Pull(wanted.direction, own, weight, offset), attended.own)
        return fold(torch.add, attended.others(block, evidence, pulls), total), at_weights

    def merge(
        self, one: tuple[Tensor, list[Tensor]], other: tuple[Tensor, list[Tensor]]
    ) -> tuple[Tensor, list[Tensor]]:
        pairs = zip(one[1], other[1], strict=True)
        return one[0] + other[0], [first + second for first, second in pairs]


@dataclass(frozen=True)
class _OnGroups:
    """What groups add up to at the own window, and what is pulled at each, `[B, G, H, W]`."""

    attended: Attended
    gathered: Groups
    testimony: Tensor

    def of(self, block: Block) -> tuple[GroupTotals, Tensor]:
        wanted, rank = self.attended.wanted, self.gathered.rank(block.index)
        fields, along = wanted.moments(block)
        own = fields[self.attended.own]
        weight = _share((own + self.testimony[:, rank]).sub_(wanted.log_weight[:, None]))
        pulled = torch.zeros_like(self.testimony)
        pulled.index_add_(1, rank, weight * (along + wanted.offset))
        return self._statistic.of(own, block.index), pulled

    def merge(
        self, one: tuple[GroupTotals, Tensor], other: tuple[GroupTotals, Tensor]
    ) -> tuple[GroupTotals, Tensor]:
        return self._statistic.merge(one[0], other[0]), one[1] + other[1]

    @property
    def _statistic(self) -> GroupEvidence:
        return GroupEvidence(self.attended.own, self.gathered.groups)


@dataclass(frozen=True)
class _OfGroups(_Sum):
    """The gradient, given level, share and offset of each group, and what is pulled at each."""

    attended: Attended
    gathered: Groups
    fields: tuple[Tensor, Tensor, Tensor]
    levels: ByWindow
    pulls: ByWindow

    def of(self, block: Block) -> Tensor:
        wanted, rank = self.attended.wanted, self.gathered.rank(block.index)
        pull = Pull(wanted.direction, *(field[:, rank] for field in self.fields))
        total = wanted.gradient(block, pull, self.attended.own)
        levels, pulls = (
            {window: field[:, rank] for window, field in each.items()}
            for each in (self.levels, self.pulls)
        )
        return fold(torch.add, self.attended.others(block, levels, pulls), total)
