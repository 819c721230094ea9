"""Attention over groups of images, with group-level evidence (theory §4.6).

    Π_u(i) = Σ_{y≠u} A_uy E_y(g(i)),    E_y(g) = log mean_{i: g(i)=g} exp E_y(i)

A message of a few numbers cannot identify one of N images, but it can identify a group of them.
With one image a group this is the attention of theory §4.1; with one group, none at all.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from scoremachines.attention.base import (
    Attention,
    AttentionContext,
    Specified,
    WeightsByWindow,
    spec_of,
)
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError

__all__ = ["ByGroup", "Groups", "grouping"]


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


class Groups:
    """The evidence of groups, accumulated over blocks of the training set.

    `E_y(g) = log mean_{i: g(i)=g} exp E_y(i)`, nats, `[B, G, H, W]` (theory §4.6).

    Args:
        groups: the group of every image, int64 `[N]`.
    """

    def __init__(self, groups: Tensor) -> None:
        self.groups = groups
        self.totals: dict[int, Tensor] = {}
        self.counts = torch.zeros(int(groups.max()) + 1, dtype=torch.float64)

    def add(self, evidence: Tensor, index: Tensor) -> None:
        """Add a block's evidence: `E_y(i)` `[B, n, H, W]` of the images at places `[n]`."""
        chosen = self.groups[index.cpu()].to(evidence.device)
        evidence = evidence.double()
        for group in chosen.unique().tolist():
            here = evidence[:, chosen == group].logsumexp(1)
            known = self.totals.get(group)
            self.totals[group] = here if known is None else torch.logaddexp(known, here)
        self.counts += torch.bincount(chosen.cpu(), minlength=len(self.counts))

    def evidence(self) -> Tensor:
        """Return `E_y(g)` of every group that has images, nats, float64 `[B, G, H, W]`."""
        total = torch.stack([self.totals[group] for group in sorted(self.totals)], 1)
        return total - self.log_counts().to(total)[:, None, None]

    def log_counts(self) -> Tensor:
        """Return the log of the number of images of every group that has some, `[G]`."""
        return self.counts[self.counts > 0].log()

    def rank(self, index: Tensor) -> Tensor:
        """Return which of the groups that have images those at places `[n]` belong to, `[n]`."""
        rank = (self.counts > 0).long().cumsum(0) - 1
        return rank[self.groups[index.cpu()]].to(index.device)

    def of(self, index: Tensor) -> Tensor:
        """Return `E_y(g(i))` of the images at places `[n]`, float64 `[B, n, H, W]`."""
        return self.evidence()[:, self.rank(index)]
