"""Squared differences added up over windows: the `cuda` engine's way where noise is little.

The program is in `kernels.py`; partial posteriors of the same pixels are merged here.
Training images go in wide: their columns go on cyclically on both sides, so that within the kernel
a displacement to the right is an offset and needs no remainder.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scoremachines.engines.base import Query
from scoremachines.engines.triton.division import Division
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.runs import log_counts

__all__ = ["Differences"]


class Differences:
    """Pairs of patches by displacement: `ℓ_u(i,v) = −ᾱ/(2(1−ᾱ)) Σ_o ‖φ(u+o)/√ᾱ − x_i(v+o)‖²`.

    Args:
        query: the noisy images.
        work: how their pairs with training images are divided between programs.
    """

    def __init__(self, query: Query, work: Division) -> None:
        self.query, self.work = query, work

    def evidence(self, images: Tensor) -> Tensor:
        """Return E_u(i) of training images, `[B, n, H, W]`."""
        batch, _, *size = self.query.noisy.shape
        move_parts = self.work.move_parts
        parts = self.query.noisy.new_empty(batch, move_parts, len(images), *size)
        self._run(images, None, parts, None)
        found = parts[:, 0]
        if move_parts > 1:  # each alone, or the last digit would depend on the others
            found = torch.stack([each.logsumexp(0) for each in parts])
        return found.sub_(self._log_counts().to(found))

    def posterior(self, images: Tensor, bias: Tensor | None) -> Posterior:
        """Return the posterior of training images at every pixel, given Π_u(i)."""
        batch, channels, *size = self.query.noisy.shape
        log_weight = self.query.noisy.new_empty(batch, self.work.parts, *size)
        means = self.query.noisy.new_empty(batch, self.work.parts, channels, *size)
        self._run(images, bias, log_weight, means)
        counts = self._log_counts()
        pairs = zip(log_weight, means, strict=True)
        return Posterior.cat([_merged(*pair, counts) for pair in pairs])

    def _run(
        self,
        images: Tensor,
        bias: Tensor | None,
        log_weight: Tensor,
        means: Tensor | None,
    ) -> None:
        """Let the kernel write `log_weight`, `[B, parts, …, H, W]`, and means, if requested."""
        from scoremachines.engines.triton.kernels import fused

        query, work, noisy = self.query, self.work, self.query.noisy
        assert query.window is not None
        radius, width = query.window // 2, noisy.shape[-1]
        wide = radius + 2 * width + work.tile[2]
        columns = torch.arange(-radius, wide - radius, device=noisy.device) % width
        signal = query.signal.to(noisy.device)[:, None, None, None]
        factor = -query.signal.square() / (2 * math.log(2) * query.variance)
        with torch.cuda.device_of(noisy):
            fused[(work.parts, len(noisy), work.tiles)](
                (noisy.double() / signal).float().contiguous(),
                images.index_select(-1, columns),
                None if bias is None else bias.contiguous(),
                factor.to(noisy),
                log_weight,
                log_weight if means is None else means,
                len(images),
                work.moves,
                work.image_parts,
                shape=tuple(noisy.shape[1:]),
                wide=wide,
                radius=radius,
                sources=query.sources,
                tile=work.tile,
                step=work.step,
                evidence=means is None,
                num_warps=work.warps,
                num_stages=1,
                enable_fp_fusion=True,
            )

    def _log_counts(self) -> Tensor:
        """Return log |V(u)|, float64 `[H, W]`."""
        noisy, window = self.query.noisy, self.query.window
        assert window is not None
        return log_counts(tuple(noisy.shape[-2:]), window, self.query.sources, noisy.device)


def _merged(log_weight: Tensor, means: Tensor, log_counts: Tensor) -> Posterior:
    """Return the posterior of all parts, `[parts, H, W]` and `[parts, C, H, W]`, as `[1, …]`."""
    largest = log_weight.amax(0)
    # Where nothing weighs anything, all shares are 0.
    share = (log_weight - largest.nan_to_num(neginf=0)).exp()
    total = share.sum(0)
    mean = torch.einsum("phw,pchw->chw", share / total.clamp(min=1), means)
    log_weight = largest.double() + total.clamp(min=1).double().log() - log_counts
    return Posterior(log_weight[None], mean[None])
