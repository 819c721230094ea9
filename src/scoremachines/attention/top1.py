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

from scoremachines.attention.base import AttentionContext, Specified
from scoremachines.attention.weights import OneHotWeights, WeightsByWindow
from scoremachines.engines.native.pairs import by_native_part, pair_sums
from scoremachines.theory.specs.attention import AttentionSpec

__all__ = ["CandidateEntropies", "Candidates", "LogEntropy", "PairEntropies", "Top1"]


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
    """Hard attention without a network; needs all images before it weighs any.

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
        tables = context.reduce(PairEntropies(context.window))
        close = CLOSE if by_native_part(context.noisy.device) else 0.0
        found = [Candidates.of(table, close) for table in tables]
        if any(candidates.doubtful for candidates in found):
            known = context.reduce(CandidateEntropies(context.window, found))
        else:
            known = [None] * len(found)
        pairs = zip(found, known, strict=True)
        partners = torch.stack([candidates.partner(entropy) for candidates, entropy in pairs])
        return [(context.window, OneHotWeights(partners))]


@dataclass(frozen=True)
class PairEntropies:
    """The statistic `H(softmax_i(E_u(i) + E_y(i)))` of all pairs (u, y), for each noisy image.

    Args:
        window: k, pixels; None for the whole image.
    """

    window: int | None

    def of(self, evidence: Tensor, index: Tensor) -> list[LogEntropy]:
        del index
        return [_all_pairs(field.double().flatten(1).T) for field in evidence]

    def merge(self, one: list[LogEntropy], other: list[LogEntropy]) -> list[LogEntropy]:
        for known, more in zip(one, other, strict=True):
            for some in _some_rows(len(known.best)):  # in place, for tables are large
                merged = known.rows(some).merge(more.rows(some))
                for field, part in zip(known.fields, merged.fields, strict=True):
                    field[some] = part
        return one


def _all_pairs(evidence: Tensor) -> LogEntropy:
    """Return the entropies of `E_u(i) + E_y(i)`, tables `[H·W, H·W]`, from `E` `[H·W, n]`."""
    if by_native_part(evidence.device):
        return LogEntropy(*pair_sums(evidence))
    pixels, count = evidence.shape
    table = LogEntropy(*(evidence.new_empty(pixels, pixels) for _ in range(3)))
    across = max(1, AT_ONCE // count)
    rows = max(1, across // pixels)
    for first in range(0, pixels, rows):
        # The pair (u, y) is the pair (y, u), so y need not start before u.
        for other in range(first, pixels, across):
            here = slice(first, first + rows), slice(other, other + across)
            entropy = LogEntropy.of(evidence[here[0], None] + evidence[None, here[1]])
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


@dataclass(frozen=True)
class Candidates:
    """The partners of each pixel whose entropies are least, or so near that it may be theirs.

    Args:
        pixel: u of each pair, int64 `[M]`.
        other: y of each pair, int64 `[M]`.
        pixels: H·W.
        doubtful: whether they must be computed anew to be distinguished.
    """

    pixel: Tensor
    other: Tensor
    pixels: int
    doubtful: bool

    @classmethod
    def of(cls, table: LogEntropy, close: float) -> Candidates:
        """Return those of a table of all pairs.

        Args:
            table: the entropies.
            close: how near to the least a log entropy may be, relatively.

        Returns:
            The candidates.
        """
        pixels, found = len(table.best), []
        for rows in _some_rows(pixels):
            value = table.rows(rows).value()
            value.diagonal(rows.start).fill_(torch.inf)
            least = value.amin(1, keepdim=True)
            near = value <= least + close * (1 + least.abs())
            # Infinite ones, of a single image, are exact: the first of equals.
            exact = (value == least) & least.isinf()
            near = near.logical_or_(exact & (exact.cumsum(1) == 1))
            found.append(near.nonzero() + torch.tensor([rows.start, 0], device=near.device))
        pixel, other = torch.cat(found).unbind(1)
        return cls(pixel, other, pixels, close > 0 and len(pixel) > pixels)

    def partner(self, entropy: LogEntropy | None) -> Tensor:
        """Return y*(u), of equals the first, `[H·W]`; entropies if they were doubtful."""
        other = self.other
        if entropy is not None:
            value = entropy.value()
            least = value.new_full((self.pixels,), torch.inf)
            beaten = value != least.scatter_reduce_(0, self.pixel, value, "amin")[self.pixel]
            other = other.masked_fill(beaten, self.pixels)
        first = other.new_full((self.pixels,), self.pixels)
        return first.scatter_reduce_(0, self.pixel, other, "amin")


@dataclass(frozen=True)
class CandidateEntropies:
    """The same statistic of some pairs alone, to all digits.

    Args:
        window: k, pixels; None for the whole image.
        candidates: the pairs of each noisy image.
    """

    window: int | None
    candidates: list[Candidates]

    def of(self, evidence: Tensor, index: Tensor) -> list[LogEntropy]:
        del index
        fields = (field.double().flatten(1).T for field in evidence)
        return [_some_pairs(*pair) for pair in zip(self.candidates, fields, strict=True)]

    def merge(self, one: list[LogEntropy], other: list[LogEntropy]) -> list[LogEntropy]:
        return [known.merge(more) for known, more in zip(one, other, strict=True)]


def _some_pairs(candidates: Candidates, evidence: Tensor) -> LogEntropy:
    rows = max(1, AT_ONCE // evidence.shape[1])
    parts = []
    for some in torch.arange(len(candidates.pixel), device=evidence.device).split(rows):
        pairs = evidence[candidates.pixel[some]] + evidence[candidates.other[some]]
        parts.append(LogEntropy.of(pairs).fields)
    return LogEntropy(*(torch.cat(field) for field in zip(*parts, strict=True)))
