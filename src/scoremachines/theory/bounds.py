"""Error bounds of a posterior with sources left out or drawn (theory §2.6, §2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Bounds"]


@dataclass(frozen=True)
class Bounds:
    """Bounds on what leaving sources out, and drawing them, did to a posterior.

    With Z and μ the weight and the mean of the sources that were evaluated, R a bound on the
    weight of those left out, e and h bounds on what chance did to μ in any channel and to log Z,
    the share left out and the error of the mean in any channel are at most

        s = R / (Z e^{−h} + R)                          |x̂0 − μ| ≤ e + (1 + max_c |μ_c| + e) s

    rounding apart. Where sources were drawn they hold with a stated probability (theory §2.7).

    Args:
        log_rest: log R, nats, float64 `[B, H, W]`; −∞ where nothing was left out.
        chance: e, in units of the images' [-1, 1], and h, nats, float64 `[B, 2, H, W]`; 0 where
            nothing was drawn.
    """

    log_rest: Tensor
    chance: Tensor

    @classmethod
    def none(cls, log_weight: Tensor) -> Bounds:
        """Return those of a posterior that is exact, given its log-weights `[B, H, W]`."""
        rest = torch.full_like(log_weight, -torch.inf, requires_grad=False)
        return cls(rest, torch.zeros_like(rest)[:, None].repeat(1, 2, 1, 1))

    @classmethod
    def cat(cls, parts: Sequence[Bounds]) -> Bounds:
        """Put those of different noisy images one after the other."""
        rest = torch.cat([part.log_rest for part in parts])
        return cls(rest, torch.cat([part.chance for part in parts]))

    def at(self, index: Tensor | slice) -> Bounds:
        """Return those of some of the noisy images."""
        return Bounds(self.log_rest[index], self.chance[index])

    def shifted(self, offset: Tensor) -> Bounds:
        """Return those of log-weights that are all larger by `offset`, nats `[B, H, W]`."""
        return replace(self, log_rest=self.log_rest + offset)

    def merge(self, other: Bounds, shares: tuple[Tensor, Tensor], apart: Tensor) -> Bounds:
        """Return those of the union of two disjoint subsets.

        Weights left out add up. With the shares π of both,

            e = π_a e_a + π_b e_b + π_a π_b (e^{h_a + h_b} − 1) (|μ_a − μ_b| + e_a + e_b)
            h = max(h_a, h_b)                                                     (theory §2.7)

        Args:
            other: bounds of the other subset.
            shares: of both in the total weight, in [0, 1], `[B, H, W]` each.
            apart: largest |μ_a − μ_b| of any channel, `[B, H, W]`.

        Returns:
            Bounds for the mean and the weight of both together.
        """
        (error, log_error), (error_b, log_error_b) = self.chance.unbind(1), other.chance.unbind(1)
        share, other_share = shares
        moved = share * other_share * torch.expm1(log_error + log_error_b)
        terms = share * error, other_share * error_b, moved * (apart + error + error_b)
        # A part that weighs nothing has no effect, however little is known of it.
        total = sum(torch.nan_to_num(term, nan=0.0, posinf=torch.inf) for term in terms)
        assert isinstance(total, Tensor)
        chance = torch.stack([total, torch.maximum(log_error, log_error_b)], 1)
        return Bounds(torch.logaddexp(self.log_rest, other.log_rest), chance)

    @property
    def log_error(self) -> Tensor:
        """What chance may have done to the log-weight, nats, at most; float64 `[B, H, W]`."""
        return self.chance[:, 1]

    def share_left_out(self, log_weight: Tensor) -> Tensor:
        """Return what share of the weight may have been left out.

        Args:
            log_weight: log Z, nats, float64 `[B, H, W]`.

        Returns:
            s, in [0, 1], float64 `[B, H, W]`.
        """
        apart = self.log_rest - log_weight.detach()
        apart = torch.nan_to_num(apart, nan=-torch.inf, neginf=-torch.inf)
        return torch.sigmoid(apart + self.log_error)

    def error_bound(self, log_weight: Tensor, mean: Tensor) -> Tensor:
        """Return the largest error of the mean at each pixel, in any channel.

        Args:
            log_weight: log Z, nats, float64 `[B, H, W]`.
            mean: μ, in [-1, 1], `[B, C, H, W]`.

        Returns:
            Float64 `[B, H, W]`; 0 where nothing was left out or drawn.
        """
        error, largest = self.chance[:, 0], mean.detach().abs().amax(1).double()
        return error + (1 + largest + error) * self.share_left_out(log_weight)
