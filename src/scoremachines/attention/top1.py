"""Hard attention: one partner of least entropy for each pixel (theory §4.3).

    y*(u) = argmin_{y≠u} H( softmax_i( E_u(i) + E_y(i) ) )

The entropy is gathered block by block. With `d_i ≥ 0` the gap of image i to the best one,

    H = log1p(R) + T/(1+R),    R = Σ_{i≠best} e^{−d_i},    T = Σ_{i≠best} d_i e^{−d_i}

has no cancellation, and R and T are kept as logarithms, so that two partners still differ
where both entropies are far below the smallest floating-point number.

The native part finds them to 12 digits. Pairs so near to the least are computed anew, so
that the partner, and which of two equals is the first, do not depend on who computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from scoremachines.attention.base import (
    AttentionContext,
    OneHotWeights,
    Specified,
    WeightsByWindow,
)
from scoremachines.engines.native.pairs import by_native_part, pair_sums
from scoremachines.theory.specs.attention import AttentionSpec

__all__ = ["LogEntropy", "Top1"]


@dataclass(frozen=True)
class LogEntropy:
    """The log entropy of softmax(L) over a set of images; sets merge (theory §4.3).

    With `d_i = max_j L_j − L_i`, nats,

        H = log1p(R) + T/(1+R),    R = Σ_{i≠best} e^{−d_i},    T = Σ_{i≠best} d_i e^{−d_i}

    Args:
        best: the largest L.
        rest: log R.
        gaps: log T.
    """

    best: Tensor
    rest: Tensor
    gaps: Tensor

    @property
    def fields(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three of them, in this order."""
        return self.best, self.rest, self.gaps

    def rows(self, some: slice) -> LogEntropy:
        """Return the same for some rows of a table."""
        return LogEntropy(*(field[some] for field in self.fields))

    @classmethod
    def of(cls, log_weight: Tensor) -> LogEntropy:
        """Summarise `L` over its last dimension."""
        best, at = log_weight.max(-1, keepdim=True)
        gap = best - log_weight
        # The best image is not among the rest. The next best is the reference of their sums, so
        # that these do not vanish however far below the best they all are.
        gap.scatter_(-1, at, torch.inf)
        least = gap.amin(-1, keepdim=True).nan_to_num(posinf=0)
        # exp is many times slower where it underflows; what is less counts for nothing.
        weight = (least - gap).clamp_(min=-700).exp_().scatter_(-1, at, 0)
        gap.scatter_(-1, at, 0)
        rest, gaps = weight.sum(-1).log(), weight.mul_(gap).sum(-1).log()
        return cls(best[..., 0], rest - least[..., 0], gaps - least[..., 0])

    def merge(self, other: LogEntropy) -> LogEntropy:
        """Return the summary of the union of two disjoint sets."""
        best = torch.maximum(self.best, other.best)
        first = self.best >= other.best
        rest, gaps = [], []
        for part, leads in ((self, first), (other, ~first)):
            gap = best - part.best
            # The best of the set that does not lead joins the rest, `gap` below the new best.
            weight = softplus(part.rest) - gap  # log (1+R) e^−gap
            rest.append(torch.where(leads, part.rest, weight))
            gaps.append(
                torch.where(leads, part.gaps, torch.logaddexp(part.gaps - gap, gap.log() + weight))
            )
        return LogEntropy(best, torch.logaddexp(*rest), torch.logaddexp(*gaps))

    def value(self) -> Tensor:
        """Return log H; −∞ for a single image."""
        log_one_more = softplus(self.rest)  # log(1+R)
        first = torch.where(self.rest < -30, self.rest, log_one_more.log())
        return torch.logaddexp(first, self.gaps - log_one_more)


class Top1(Specified):
    """Hard attention without a network; hears all images before it weighs any.

    `A_uy = 1` at `y*(u) = argmin_{y≠u} H(softmax_i(E_u(i) + E_y(i)))`, else 0 (theory §4.3).

    The partner is piecewise constant in φ, so gradients pass through its evidence (theory §4.9).
    """

    spec = AttentionSpec("top1")
    dense = True
    needs_all_evidence = True

    @torch.no_grad()
    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        if context.noisy[0, 0].numel() == 1:
            return []  # a single pixel has no partner
        if context.window is None:  # E_u(i) is the same for all u, and so are all entropies
            first = torch.zeros_like(context.noisy[:, 0].flatten(1), dtype=torch.int64)
            first[:, 0] = 1
            return [(None, OneHotWeights(first))]
        tables: list[LogEntropy | None] = [None] * len(context.noisy)
        for evidence in context.evidence(context.window):
            fields = (field.double().flatten(1).T for field in evidence)
            tables = [_with_block(*pair) for pair in zip(tables, fields, strict=True)]
        close = CLOSE if by_native_part(context.noisy.device) else 0.0
        found = [_Candidates(table, close) for table in tables if table is not None]
        if any(candidates.doubtful for candidates in found):
            for evidence in context.evidence(context.window):
                for candidates, field in zip(found, evidence, strict=True):
                    candidates.add(field.double().flatten(1).T)
        partners = torch.stack([candidates.partner() for candidates in found])
        return [(context.window, OneHotWeights(partners))]


def _with_block(known: LogEntropy | None, evidence: Tensor) -> LogEntropy:
    """Enter `E_u(i) + E_y(i)` of more images for all pairs (u, y), from `E` `[H·W, n]`.

    What is known already, `[H·W, H·W]`, is overwritten.
    """
    if by_native_part(evidence.device):
        entropy = LogEntropy(*pair_sums(evidence))
        if known is None:
            return entropy
        for some in _some_rows(len(evidence)):  # in place, for tables are large
            merged = known.rows(some).merge(entropy.rows(some))
            for field, part in zip(known.fields, merged.fields, strict=True):
                field[some] = part
        return known
    pixels, count = evidence.shape
    table = known or LogEntropy(*(evidence.new_empty(pixels, pixels) for _ in range(3)))
    across = max(1, AT_ONCE // count)
    rows = max(1, across // pixels)
    for first in range(0, pixels, rows):
        # The pair (u, y) is the pair (y, u), so y need not start before u.
        for other in range(first, pixels, across):
            here = slice(first, first + rows), slice(other, other + across)
            entropy = LogEntropy.of(evidence[here[0], None] + evidence[None, here[1]])
            if known is not None:
                entropy = LogEntropy(*(field[here] for field in known.fields)).merge(entropy)
            for field, part in zip(table.fields, entropy.fields, strict=True):
                field[here] = part
                field.T[here] = part
    return table


AT_ONCE = 2**16
"""Sums of evidence that are taken at once: as many as the cache holds."""
CLOSE = 1e-9
"""Log entropies of the native part that differ by less, relatively, are computed anew."""


def _some_rows(pixels: int) -> Iterator[slice]:
    """Yield the rows of a table of all pairs, some at a time."""
    rows = max(1, AT_ONCE // pixels)
    for first in range(0, pixels, rows):
        yield slice(first, first + rows)


class _Candidates:
    """The partners of each pixel whose entropies are least, or so near that it may be theirs.

    Args:
        table: of all pairs.
        close: how near to the least a log entropy may be so, relatively.
    """

    def __init__(self, table: LogEntropy, close: float) -> None:
        self.pixels = len(table.best)
        found = []
        for rows in _some_rows(self.pixels):
            value = table.rows(rows).value()
            if self.pixels > 1:
                value.diagonal(rows.start).fill_(torch.inf)
            least = value.amin(1, keepdim=True)
            near = value <= least + close * (1 + least.abs())
            # Infinite ones, of a single image, are exact: the first of equals.
            exact = (value == least) & least.isinf()
            near = near.logical_or_(exact & (exact.cumsum(1) == 1))
            found.append(near.nonzero() + torch.tensor([rows.start, 0], device=near.device))
        self.pixel, self.other = torch.cat(found).unbind(1)
        self.doubtful = close > 0 and len(self.pixel) > self.pixels
        self.entropy: LogEntropy | None = None

    def add(self, evidence: Tensor) -> None:
        """Add a block's evidence, `E` `[H·W, n]`, in the same order of its terms each time."""
        rows = max(1, AT_ONCE // evidence.shape[1])
        parts = []
        for some in torch.arange(len(self.pixel), device=evidence.device).split(rows):
            pairs = evidence[self.pixel[some]] + evidence[self.other[some]]
            parts.append(LogEntropy.of(pairs).fields)
        found = LogEntropy(*(torch.cat(field) for field in zip(*parts, strict=True)))
        self.entropy = found if self.entropy is None else self.entropy.merge(found)

    def partner(self) -> Tensor:
        """Return y*(u), of equals the first, `[H·W]`."""
        other = self.other
        if self.entropy is not None:
            other = other.masked_fill(self._beaten(self.entropy.value()), self.pixels)
        first = other.new_full((self.pixels,), self.pixels)
        return first.scatter_reduce_(0, self.pixel, other, "amin")

    def _beaten(self, value: Tensor) -> Tensor:
        """Return whether another candidate for the same pixel has a smaller value."""
        least = value.new_full((self.pixels,), torch.inf)
        return value != least.scatter_reduce_(0, self.pixel, value, "amin")[self.pixel]
