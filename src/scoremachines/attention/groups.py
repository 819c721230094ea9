"""Attention over groups of images, with group-level evidence (theory §4.6).

    Π_u(i) = Σ_{y≠u} A_uy E_y(g(i)),    E_y(g) = log mean_{i: g(i)=g} exp E_y(i)

A message of a few numbers cannot identify one of N images, but it can identify a group of them.
With one image a group this is the attention of theory §4.1; with one group, none at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scoremachines.attention.base import Attention, AttentionContext, Specified, spec_of
from scoremachines.attention.weights import WeightsByWindow
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError

__all__ = ["ByGroup", "GroupEvidence", "GroupTotals", "Groups", "grouping"]


class ByGroup(Specified):
    """Another attention with group-level evidence (theory §4.6).

        Π_u(i) = Σ_{y≠u} A_uy E_y(g(i)),    E_y(g) = log mean_{i: g(i)=g} exp E_y(i)

    Args:
        attention: gives A.
        groups: number of each training image's group, int64 `[N]`; None for its class.

    Raises:
        InputError: the groups are not whole numbers of at least 0.
    """

    over = "group"

    def __init__(self, attention: Attention, groups: Tensor | None = None) -> None:
        self.attention, self.groups = attention, groups
        inner = spec_of(attention)
        if inner is not None and inner.over == "image" and inner.map != "none":
            self.spec = replace(inner, over=self.over)
        self.dense = attention.dense
        whole = groups is None or (groups.ndim == 1 and not groups.is_floating_point())
        if groups is not None and (not whole or groups.numel() == 0 or int(groups.min()) < 0):
            raise InputError("groups", groups, "one whole number of at least 0 for each image")

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        return self.attention.attention_weights(context)

    def groups_of(self, data: TrainingSet) -> Tensor:
        """Return the group of every image of a training set, int64 `[N]`.

        Args:
            data: the training set.

        Returns:
            Its classes, or the groups that were given.

        Raises:
            InputError: it has no classes, or another number of images than there are groups.
        """
        if self.groups is not None:
            if len(self.groups) != len(data):
                accepted = f"{len(data)} groups, one for each image"
                raise InputError("groups", f"{len(self.groups)} groups", accepted)
            return self.groups.long()
        if data.labels is None:
            reason = f"{data.name!r} has no classes"
            raise InputError("attention", self.name, "a training set with labels", reason)
        return data.labels.long()


def grouping(attention: object) -> ByGroup | None:
    """Return what groups an attention's images, however deep it is wrapped; None for nothing."""
    while not isinstance(attention, ByGroup):
        attention = getattr(attention, "attention", None)
        if attention is None:
            return None
    return attention


@dataclass(frozen=True)
class GroupTotals:
    """What groups add up to over some images.

    Args:
        log_totals: `log Σ_{i: g(i)=g} exp E_y(i)` of every group that has images, nats, float64
            `[B, H, W]`.
        counts: how many of the images are in each group, float64 `[G]`.
    """

    log_totals: dict[int, Tensor]
    counts: Tensor


@dataclass(frozen=True)
class GroupEvidence:
    """The statistic `log Σ_{i: g(i)=g} exp E_y(i)` of all groups (theory §4.6).

    Args:
        window: k, pixels; None for the whole image.
        groups: the group of every image, int64 `[N]`.
    """

    window: int | None
    groups: Tensor

    def of(self, evidence: Tensor, index: Tensor) -> GroupTotals:
        chosen = self.groups[index.cpu()].to(evidence.device)
        evidence = evidence.double()
        present = chosen.unique().tolist()
        totals = {group: evidence[:, chosen == group].logsumexp(1) for group in present}
        counts = torch.bincount(chosen.cpu(), minlength=int(self.groups.max()) + 1)
        return GroupTotals(totals, counts.double())

    def merge(self, one: GroupTotals, other: GroupTotals) -> GroupTotals:
        totals = dict(one.log_totals)
        for group, here in other.log_totals.items():
            known = totals.get(group)
            totals[group] = here if known is None else torch.logaddexp(known, here)
        return GroupTotals(totals, one.counts + other.counts)


@dataclass(frozen=True)
class Groups:
    """The evidence of groups: `E_y(g) = log mean_{i: g(i)=g} exp E_y(i)` (theory §4.6).

    Args:
        groups: the group of every image, int64 `[N]`.
        totals: what each group adds up to.
    """

    groups: Tensor
    totals: GroupTotals

    def evidence(self) -> Tensor:
        """Return `E_y(g)` of every group that has images, nats, float64 `[B, G, H, W]`."""
        total = torch.stack([field for _, field in sorted(self.totals.log_totals.items())], 1)
        return total - self.log_counts().to(total)[:, None, None]

    def log_counts(self) -> Tensor:
        """Return the log of the number of images of every group that has some, `[G]`."""
        return self.totals.counts[self.totals.counts > 0].log()

    def rank(self, index: Tensor) -> Tensor:
        """Return which of the groups that have images those at places `[n]` belong to, `[n]`."""
        rank = (self.totals.counts > 0).long().cumsum(0) - 1
        return rank[self.groups[index.cpu()]].to(index.device)
