"""Machines that see the whole image: the ideal score and the equivariant machine (theory §2.3).

With the whole image as window every pixel sees the same thing, so `ℓ(i, d)` depends on the image
and on one displacement `d = v − u` (always 0 for `"same"`, any cyclic shift for `"wrapped"`).
The distances to all cyclic shifts are one correlation, `‖φ‖² + ᾱ‖x‖² − 2√ᾱ (φ ⋆ x)(d)`, computed
with Fourier transforms in float64, which keeps the digits that the expanded form needs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.fft import irfft2, rfft2

from scoremachines.engine.protocol import Query
from scoremachines.posterior import Posterior, Sources

__all__ = ["whole_evidence", "whole_posterior"]


def whole_evidence(query: Query, images: Tensor) -> Tensor:
    """Return `E_u(i)`, the same at every pixel u, `[B, n, H, W]` in the query's dtype."""
    evidence = _log_weight(query, images).logsumexp((-2, -1))
    return evidence[..., None, None].expand(-1, -1, *images.shape[-2:]).to(query.noisy.dtype)


def whole_posterior(
    query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
) -> Posterior:
    """Return the posterior of `images`; arguments as in `Engine.posterior`."""
    log_weight = _log_weight(query, images)  # [B, n, shift_row, shift_column]
    evidence = log_weight.logsumexp((-2, -1), keepdim=True)
    within = (log_weight - evidence).exp()
    total = evidence if bias is None else evidence + bias.double()  # [B, n, 1 or H, 1 or W]
    share = total.softmax(1)
    values = _shifted_means(within, images)
    mean = torch.einsum("bnhw,bnchw->bchw", share.expand(-1, -1, *images.shape[-2:]), values)
    shape = (len(query.noisy), *images.shape[-2:])
    posterior = Posterior(total.logsumexp(1).expand(shape), mean.to(query.noisy.dtype))
    if not best:
        return posterior
    inner = torch.special.entr(within).sum((-2, -1))[..., None, None]
    entropy = torch.special.entr(share).sum(1) + (share * inner).sum(1)
    sources = _best_sources(log_weight, bias, index, best, shape)
    return Posterior(posterior.log_weight, posterior.mean, entropy.expand(shape), sources)


def _log_weight(query: Query, images: Tensor) -> Tensor:
    """Return `ℓ(i, d) − log |V|`, float64, `[B, n, 1, 1]` or `[B, n, H, W]`."""
    noisy, clean = query.noisy.double(), images.double()
    signal = query.signal.to(noisy.device)[:, None, None, None]
    variance = query.variance.to(noisy.device)[:, None, None, None]
    if query.sources == "same":
        # One query at a time: its result must not depend on its neighbours' rounding.
        rows = [
            (phi - root * clean).square().sum((1, 2, 3))
            for phi, root in zip(noisy, signal, strict=True)
        ]
        return -torch.stack(rows)[..., None, None] / (2 * variance)
    spectrum = rfft2(noisy).conj()[:, None] * rfft2(clean)[None]
    product = irfft2(spectrum.sum(2), s=images.shape[-2:])
    norms = noisy.square().sum((1, 2, 3))[:, None] + signal[:, 0, 0].square() * clean.square().sum(
        (1, 2, 3)
    )
    distance = (norms[..., None, None] - 2 * signal * product).clamp(min=0)
    return -distance / (2 * variance) - math.log(product[0, 0].numel())


def _shifted_means(within: Tensor, images: Tensor) -> Tensor:
    """Return `m_u(i) = Σ_d q(d|i) x_i(u+d)`, float64 `[B, n, C, H, W]`."""
    if within.shape[-1] * within.shape[-2] == 1:
        return images.double().expand(len(within), *images.shape)
    spectrum = rfft2(within).conj()[:, :, None] * rfft2(images.double())
    return irfft2(spectrum, s=images.shape[-2:])


def _best_sources(
    log_weight: Tensor, bias: Tensor | None, index: Tensor, best: int, shape: tuple[int, ...]
) -> Sources:
    """Keep the best `best` of every image, then, with the pixel's bias, the best of those."""
    batch, height, width = shape
    count, shifts = log_weight.shape[1], log_weight[0, 0].numel()
    flat = log_weight.flatten(2)
    weight, shift = flat.sort(dim=-1, descending=True, stable=True)
    kept = min(best, shifts)
    weight, shift = weight[..., :kept], shift[..., :kept]  # [B, n, kept]
    pixel = torch.arange(height * width, device=flat.device)
    raised = weight[..., None].expand(-1, -1, -1, height * width)
    if bias is not None:
        raised = raised + bias.double().flatten(2)[:, :, None]
    row = (pixel // width + (shift // width)[..., None]) % height
    column = (pixel % width + (shift % width)[..., None]) % width
    position = pixel.expand_as(raised) if shifts == 1 else row * width + column
    image = index[:, None, None].expand(count, kept, height * width).expand_as(raised)
    candidates = Sources(raised.flatten(1, 2), image.flatten(1, 2), position.flatten(1, 2))
    chosen = candidates.best(best)
    fields = (chosen.log_weight, chosen.image, chosen.position)
    sources = Sources(*(field.unflatten(-1, (height, width)) for field in fields))
    return sources.merge(Sources.empty(best, batch, height, width, str(flat.device)))
