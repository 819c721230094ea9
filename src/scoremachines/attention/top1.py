"""Hard attention: every pixel listens to its single most informative partner (theory §4.3).

    y*(u) = argmin_{y≠u} H( softmax_i( E_u(i) + E_y(i) ) )

The entropy is gathered block by block. With `d_i ≥ 0` the gap of image i to the best one,

    H = log1p(R) + T/(1+R),    R = Σ_{i≠best} e^{−d_i},    T = Σ_{i≠best} d_i e^{−d_i}

has no cancellation, and R and T are kept as logarithms, so that two partners can still be told
apart where both entropies are far below the smallest floating-point number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from scoremachines.attention.base import Gathered, Scene, Weighing

__all__ = ["LogEntropy", "Top1"]


@dataclass(frozen=True)
class LogEntropy:
    """The log entropy of softmax(L) over a set of images; sets merge (theory §4.3).

    Args:
        best: the largest L.
        rest: log R.
        gaps: log T.
    """

    best: Tensor
    rest: Tensor
    gaps: Tensor

    @classmethod
    def of(cls, log_weight: Tensor) -> LogEntropy:
        """Summarise `L` over its last dimension."""
        best, at = log_weight.max(-1, keepdim=True)
        gap = best - log_weight
        # The best image is not among the rest. The next best is the reference of their sums, so
        # that these do not vanish however far below the best they all are.
        gap.scatter_(-1, at, torch.inf)
        least = gap.amin(-1, keepdim=True).nan_to_num(posinf=0)
        weight = (least - gap).exp()
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


class Top1:
    """Hard attention without a network; needs a second pass over the training set."""

    name = "top1"
    pairwise = True

    def weighings(self, scene: Scene) -> list[tuple[int | None, Weighing]]:
        total: list[LogEntropy] = []
        for evidence in scene.evidence(scene.window):
            block = [_pairs(field.double().flatten(1).T) for field in evidence]
            pairs = zip(total, block, strict=True)
            total = [known.merge(new) for known, new in pairs] if total else block
        return [(scene.window, Gathered(torch.stack([_partner(each) for each in total])))]


def _pairs(evidence: Tensor) -> LogEntropy:
    """Summarise `E_u(i) + E_y(i)` over i for all pairs (u, y), from `E` `[H·W, n]`."""
    pixels = len(evidence)
    tables = [evidence.new_empty(pixels, pixels) for _ in range(3)]
    rows = max(1, 2**18 // evidence.numel())
    for first in range(0, pixels, rows):
        # The pair (u, y) is the pair (y, u), so y need not start before u.
        some = evidence[first : first + rows, None] + evidence[None, first:]
        entropy = LogEntropy.of(some)
        for table, part in zip(tables, (entropy.best, entropy.rest, entropy.gaps), strict=True):
            table[first : first + rows, first:] = part
            table[first:, first : first + rows] = part.T
    return LogEntropy(*tables)


def _partner(entropy: LogEntropy) -> Tensor:
    """Return y*(u), of equals the first, `[H·W]`."""
    value = entropy.value()
    if len(value) > 1:
        value.fill_diagonal_(torch.inf)
    return value.min(-1).indices
