"""Machines that see the whole image: the ideal score and the equivariant machine (theory §2.3).

With the whole image as window every pixel sees the same thing, so `ℓ(i, d)` depends on the image
and on one displacement `d = v − u` (always 0 for `"aligned"`, any cyclic shift for `"circular"`).
The distances to all cyclic shifts are one correlation, `‖φ‖² + ᾱ‖x‖² − 2√ᾱ (φ ⋆ x)(d)`, computed
with Fourier transforms in float64, which keeps the digits that the expanded form needs.

One noisy image is treated at a time, so its result has the same bits whatever else is in the
batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.fft import irfft2, rfft2

from scoremachines.engines.base import Pull, Query
from scoremachines.theory.posterior import Posterior, Sources

__all__ = ["NOTHING", "Whole", "whole_evidence", "whole_posterior"]

NOTHING = 1e-30
"""A share of a posterior that is less than any rounding."""


def whole_evidence(query: Query, images: Tensor) -> Tensor:
    """Return `E(i) = log mean_d exp(−‖φ − √ᾱ T_d x_i‖² / (2(1−ᾱ)))`, `[B, n, H, W]` (§2.3)."""
    return Whole(query, images).evidence()


def whole_posterior(
    query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
) -> Posterior:
    """Return the posterior of `images`; arguments as in `Engine.posterior`.

    `x̂0(u) = Σ_{i,d} ω_u(i,d) x_i(u+d)`, `ω_u = softmax_{i,d}(ℓ(i,d) + Π_u(i))` (theory §2.3).
    """
    return Whole(query, images).posteriors(bias, index, best)


class Whole:
    """A block of training images before the noisy images of a query, all in float64.

    `ℓ(i,d) = −‖φ − √ᾱ T_d x_i‖² / (2(1−ᾱ))`, T_d a cyclic shift, or none (theory §2.3).
    """

    def __init__(self, query: Query, images: Tensor) -> None:
        self.query, self.images = query, images.double()
        self.wrapped = query.sources == "circular"
        if self.wrapped:
            self.spectra = rfft2(self.images)
            self.norms = self.images.square().sum((1, 2, 3))

    def evidence(self) -> Tensor:
        """Return `E_u(i)` of all noisy images, `[B, n, H, W]` in the query's dtype."""
        noisy = self.query.noisy
        samples = range(len(noisy))
        evidence = torch.stack([self.log_weight(b).logsumexp((-2, -1)) for b in samples])
        pixels = evidence[..., None, None].expand(-1, -1, *noisy.shape[-2:])
        return pixels.to(noisy.dtype).contiguous()

    def posteriors(self, bias: Tensor | None, index: Tensor, best: int) -> Posterior:
        """Return the posterior of all noisy images, given Π_u(i) `[B, n, H, W]`."""
        biases = [None] * len(self.query.noisy) if bias is None else bias.unbind()
        pairs = enumerate(biases)
        return Posterior.cat([self.posterior(b, its_bias, index, best) for b, its_bias in pairs])

    def log_weight(self, sample: int) -> Tensor:
        """Return `ℓ(i, d) − log |V|`, `[n, 1, 1]` or `[n, H, W]`."""
        noisy = self.query.noisy[sample].double()
        signal, variance = float(self.query.signal[sample]), float(self.query.variance[sample])
        if not self.wrapped:
            distance = (noisy - signal * self.images).square().sum((1, 2, 3))
            return -distance[:, None, None] / (2 * variance)
        product = irfft2((rfft2(noisy).conj() * self.spectra).sum(1), s=noisy.shape[-2:])
        norms = noisy.square().sum() + signal**2 * self.norms
        distance = (norms[:, None, None] - 2 * signal * product).clamp(min=0)
        return -distance / (2 * variance) - math.log(product[0].numel())

    def posterior(self, sample: int, bias: Tensor | None, index: Tensor, best: int) -> Posterior:
        """Return the posterior of one noisy image, given Π_u(i) `[n, H, W]`, as `[1, …]`."""
        size = self.query.noisy.shape[-2:]
        bias = None if bias is None else bias.double()
        log_weight = self.log_weight(sample)
        evidence = log_weight.logsumexp((-2, -1), keepdim=True)
        within = (log_weight - evidence).exp()
        total = evidence if bias is None else evidence + bias  # [n, 1 or H, 1 or W]
        share = total.softmax(0)
        mean = self.mean(share, within)[None].to(self.query.noisy.dtype)
        weight = total.logsumexp(0).expand(1, *size)
        if not best:
            return Posterior(weight, mean)
        inner = torch.special.entr(within).sum((-2, -1), keepdim=True)
        entropy = (torch.special.entr(share) + share * inner).sum(0).expand(1, *size)
        return Posterior(weight, mean, entropy, self._sources(log_weight, bias, index, best))

    def mean(self, share: Tensor, within: Tensor) -> Tensor:
        """Return `Σ_i w_u(i) m_u(i)`, `[C, H, W]`, given w_u(i) and q(d|i)."""
        return (share[:, None] * self._means(within)).sum(0)

    def _means(self, within: Tensor) -> Tensor:
        """Return `m_u(i) = Σ_d q(d|i) x_i(u+d)`, `[n, C, H, W]`."""
        if not self.wrapped:
            return self.images
        return irfft2(rfft2(within).conj()[:, None] * self.spectra, s=self.images.shape[-2:])

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return `E_u(i)`, float64 `[B, n, H, W]`, and `m_u(i)`, `[B, n, C, H, W]`."""
        noisy = self.query.noisy
        evidence, means = [], []
        for sample in range(len(noisy)):
            log_weight = self.log_weight(sample)
            evidence.append(log_weight.logsumexp((-2, -1), keepdim=True))
            means.append(self._means((log_weight - evidence[-1]).exp()).to(noisy.dtype))
        return torch.stack(evidence).expand(-1, -1, *noisy.shape[-2:]), torch.stack(means)

    def gradient(self, pull: Pull) -> Tensor:
        """Return the gradient of all noisy images for a pull on them, `[B, C, H, W]`."""
        return torch.cat([self._gradient(b, pull) for b in range(len(self.query.noisy))])

    def _gradient(self, sample: int, pull: Pull) -> Tensor:
        level = pull.level[sample, :, :1, :1].double()
        weight = (self.log_weight(sample) - level).exp()  # of an image and a displacement
        offset = pull.offset[sample].sum((-2, -1), keepdim=True)
        weight *= self._along(pull.direction[sample], pull.gain[sample], weight) + offset
        signal, variance = float(self.query.signal[sample]), float(self.query.variance[sample])
        pulled = self._moved(weight) - self.query.noisy[sample].double() / signal * weight.sum()
        return (pulled * (signal / variance))[None].to(self.query.noisy.dtype)

    def _along(self, direction: Tensor, gain: Tensor, weight: Tensor) -> Tensor:
        """Return `Σ_u gain_u(i) ⟨g(u), x_i(u+d)⟩`, `[n, 1, 1]` or `[n, H, W]`.

        Where the weight is below `NOTHING`, anything finite.
        """
        pulled = direction.double() * gain.double()[:, None]  # [n or 1, C, H, W]
        if not self.wrapped:
            return (pulled * self.images).sum((1, 2, 3))[:, None, None]
        return irfft2((rfft2(pulled).conj() * self.spectra).sum(1), s=direction.shape[-2:])

    def _moved(self, weight: Tensor) -> Tensor:
        """Return `Σ_i Σ_d weight(i, d) x_i(y+d)`, `[C, H, W]`."""
        if not self.wrapped:
            return torch.einsum("n,nchw->chw", weight[:, 0, 0], self.images)
        return self._means(weight).sum(0)

    def _sources(
        self, log_weight: Tensor, bias: Tensor | None, index: Tensor, best: int
    ) -> Sources:
        """Return the best: they are among the K best of the K images that reach highest.

        Equal weights of one image are ordered by displacement here.
        """
        height, width = self.query.noisy.shape[-2:]
        pixel = torch.arange(height * width, device=index.device)
        weight, move = log_weight.flatten(1).sort(dim=-1, descending=True, stable=True)
        weight, move = weight[:, :best], move[:, :best]
        reach = weight[:, :1] if bias is None else weight[:, :1] + bias.flatten(1)
        order = reach.argsort(dim=0, descending=True, stable=True)[:best]
        order = order.expand(-1, height * width)
        raised, move = weight[order], move[order]  # [image, pixel, move]
        if bias is not None:
            raised = raised + bias.flatten(1).gather(0, order)[..., None]
        row = (pixel[:, None] // width + move // width) % height
        column = (pixel[:, None] % width + move % width) % width
        found = Sources(raised, index[order][..., None].expand_as(move), row * width + column)
        found = found.map(lambda field: field.movedim(-1, 1).flatten(0, 1)).best(best, dim=0)
        found = found.map(lambda field: field.unflatten(-1, (height, width))[None])
        return found.merge(Sources.empty(best, 1, height, width, str(index.device)))
