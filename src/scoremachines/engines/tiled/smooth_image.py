"""Whole images at their own place as sources with a width: all pixels at once (theory §2.9)."""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.engines.base import Query
from scoremachines.engines.tiled.scaled import Scaled, product
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.smooth import Smooth

__all__ = ["image_posterior"]

NOTHING = torch.empty(0, dtype=torch.int64)


def image_posterior(query: Query, images: Tensor, smooth: Smooth) -> Posterior:
    """Return the posterior of `images`, whose weights all pixels share (theory §2.9).

        x̂0 = μ + V Σ_s [ n_s (1 − √ᾱ r_s) Vᵀ m_s + π_s r_s y ],    r_s = √ᾱ s² h² λ P_s

    with `m_s = Σ_i ω(i,s) (x_i − μ)`, `π_s = Σ_i ω(i,s)` and `y = Vᵀ(φ − √ᾱ μ)`.

    Args:
        query: `B` noisy images; the window is the whole image, and sources are aligned.
        images: in [-1, 1], `[n, C, H, W]`.
        smooth: the width of sources, and their laws.

    Returns:
        The posterior of every noisy image.
    """
    laws, signals = smooth.laws(None, "aligned"), query.signal.tolist()
    flat, seen = images.flatten(1), query.noisy.double().flatten(1)
    total = seen.new_zeros(len(seen))
    answer = torch.zeros_like(seen)
    for signal in dict.fromkeys(signals):
        same = [b for b, other in enumerate(signals) if other == signal]
        at = torch.tensor(same).to(seen.device)
        kernel = laws.kernel(0, smooth.width, signal**2, smooth.contrasts)
        scaled = Scaled.of(flat[:, None], kernel, NOTHING, signal)
        own, log_weight = scaled.log_likelihood(seen[at])  # [R, S, n]
        together = log_weight.flatten(1).double()
        total = total.index_put((at,), own + together.logsumexp(1))
        weight = together.softmax(1).view_as(log_weight)
        apart = flat.to(scaled.projected) - kernel.mean.to(scaled.projected)
        axes, narrow = kernel.axes.to(seen), kernel.narrow.to(seen)
        response = kernel.response.to(seen)
        mine = product(seen[at] - signal * kernel.mean.to(seen), axes)
        found = torch.zeros_like(mine)
        for s, share in enumerate(weight.unbind(1)):
            mean = product(product(share.to(apart), apart).double(), axes)
            found = found + narrow[s] * (1 - signal * response[s]) * mean
            found = found + share.sum(1, keepdim=True) * response[s] * mine
        answer = answer.index_put((at,), kernel.mean.to(seen) + product(found, axes.T))
    log_weight = total[:, None, None].expand(-1, *query.noisy.shape[2:])
    return Posterior(log_weight, answer.view_as(query.noisy).to(query.noisy.dtype))
