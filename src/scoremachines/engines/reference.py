"""The formulas of theory §2, written to be read: dense, float64, without a trick.

Every other engine is tested against this one. It holds `ℓ_u(i,v)` for all u, v and all images of
a block at once, so it is for small images.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import torch
from torch import Tensor

from scoremachines.engines.base import Held, Plan, Query
from scoremachines.engines.memory import shared_bytes, shrunk
from scoremachines.theory.positions import PERIODIC, admissible, patches
from scoremachines.theory.posterior import Posterior, Sources
from scoremachines.theory.smooth import Smooth

__all__ = ["ReferenceEngine"]

AT_ONCE = 2**20
"""Differences that are squared at once."""


class ReferenceEngine:
    """The oracle: the formulas of theory §2 as they stand, in float64.

        ℓ_u(i,v) = −‖φ[Ω_u] − √ᾱ x_i[Ω_v]‖² / (2(1−ᾱ))      E_u(i) = log mean_{v∈V(u)} exp ℓ_u(i,v)
        ω_u = softmax_{i,v}( ℓ_u(i,v) − log|V(u)| + Π_u(i) ) x̂0(u) = Σ_{i,v} ω_u(i,v) x_i(v)

    and, for sources with a width, ℓ_u(i,v) and answers in the place of x_i(v) as theory §2.9 has
    them. Autograd follows all of it, so its answers have gradients of any order in φ.

    Args:
        memory: bytes that the engine may use above the training set.
    """

    name = "reference"
    autograd = True
    smooths = True

    def __init__(self, memory: int = 2**30) -> None:
        self.memory = memory

    def plan(
        self,
        query: Query,
        count: int,
        *,
        evidence: bool,
        dense: bool,
        best: int,
        held: Held | None = None,
    ) -> Plan:
        bytes_of = partial(_bytes, query, evidence, dense, best)
        return shrunk(Plan(batch=1, block=min(count, 16)), self.memory, bytes_of, held)

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        log_likelihood = self._log_likelihood(query, images)
        sizes = self._allowed(query).double().sum(1).log()
        evidence = log_likelihood.logsumexp(-1) - sizes
        return evidence.unflatten(-1, query.noisy.shape[-2:]).to(query.noisy.dtype)

    def moments(self, query: Query, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return `E_u(i)` `[B, n, H, W]` and `m_u(i)` `[B, n, C, H, W]`, float64 (theory §2)."""
        log_likelihood = self._log_likelihood(query, images)
        size = query.noisy.shape[-2:]
        evidence = log_likelihood.logsumexp(-1) - self._allowed(query).double().sum(1).log()
        weight = log_likelihood.softmax(-1)  # [B, n, u, v]
        if query.smooth is None:
            values = images.double().flatten(-2).transpose(1, 2)  # [n, v, C]
            mean = (weight @ values).transpose(-2, -1)
        else:
            answers = self._smooth(query, images, query.smooth)[1]
            mean = torch.einsum("biuv,biuvc->bicu", weight, answers)
        return evidence.unflatten(-1, size), mean.unflatten(-1, size)

    def posterior(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        channels, height, width = query.noisy.shape[1:]
        log_counts = self._allowed(query).double().sum(1).log()
        log_weight = self._log_likelihood(query, images) - log_counts[:, None]
        if bias is not None:
            log_weight = log_weight + bias.double().flatten(-2)[..., None]
        log_weight = log_weight.transpose(1, 2).flatten(-2)  # [B, u, (i, v)]
        weight = log_weight.softmax(-1)
        if query.smooth is None:
            values = images.double().flatten(-2).transpose(1, 2).reshape(-1, channels)  # [(i,v),C]
            colour = (weight @ values).transpose(1, 2)
        else:
            answers = self._smooth(query, images, query.smooth)[1].transpose(1, 2).flatten(2, 3)
            colour = torch.einsum("buk,bukc->bcu", weight, answers)

        def image(field: Tensor) -> Tensor:
            return field.unflatten(-1, (height, width))

        posterior = Posterior(
            log_weight=image(log_weight.logsumexp(-1)),
            mean=image(colour).to(query.noisy.dtype),
        )
        if not best:
            return posterior
        log_weight, weight = log_weight.detach(), weight.detach()
        entropy = image(torch.special.entr(weight).sum(-1))
        pixels = height * width
        flat = torch.arange(log_weight.shape[-1], device=log_weight.device).expand(
            log_weight.shape
        )
        found = Sources(log_weight, index[flat // pixels], flat % pixels).best(best, dim=-1)
        absent = found.log_weight == -torch.inf
        fields = (
            found.log_weight,
            found.image.masked_fill(absent, -1),
            found.position.masked_fill(absent, -1),
        )
        sources = Sources(*(image(field.transpose(1, 2)) for field in fields))
        empty = Sources.empty(best, len(query.noisy), height, width, str(query.noisy.device))
        return Posterior(posterior.log_weight, posterior.mean, entropy, sources.merge(empty))

    def _allowed(self, query: Query) -> Tensor:
        height, width = query.noisy.shape[-2:]
        allowed = admissible(height, width, query.window, query.sources)
        return allowed.to(query.noisy.device)

    def _log_likelihood(self, query: Query, images: Tensor) -> Tensor:
        """Return `ℓ_u(i,v)`, −∞ where v is not in V(u), `[B, n, H·W (u), H·W (v)]`."""
        if query.smooth is not None:
            return self._smooth(query, images, query.smooth)[0]
        periodic = PERIODIC[query.sources]
        noisy = patches(query.noisy.double(), query.window, periodic)
        clean = patches(images.double(), query.window, periodic)
        shape = (len(noisy), len(clean), noisy.shape[1], clean.shape[1])
        distance = torch.empty(shape, dtype=torch.float64, device=noisy.device)
        some = max(1, AT_ONCE // clean[0].numel())  # pixels u, so that memory is bounded
        for b, i, u in product(range(shape[0]), range(shape[1]), range(0, shape[2], some)):
            pixels = slice(u, u + some)
            difference = noisy[b, pixels, None] - float(query.signal[b]) * clean[i]
            distance[b, i, pixels] = difference.square().sum(-1)
        variance = query.variance.to(noisy.device)[:, None, None, None]
        return (-distance / (2 * variance)).masked_fill(~self._allowed(query), -torch.inf)

    def _smooth(self, query: Query, images: Tensor, smooth: Smooth) -> tuple[Tensor, Tensor]:
        """Return the same of sources with a width, and what they answer (theory §2.9).

        ℓ_u(i,v) = log Σ_s exp ℓ_u(i,v,s),    a_u(i,v) = Σ_s softmax_s(ℓ_u(i,v,·)) a_u(i,v,s)
        ℓ_u(i,v,s) = level_s − ½ ‖ M_sᵀ (φ[Ω_u] − √ᾱ x'_s) ‖²
        a_u(i,v,s) = x'_s(c) + G_s (φ[Ω_u] − √ᾱ x'_s)                       [B, n, u, v, C]
        """
        periodic, allowed = PERIODIC[query.sources], self._allowed(query)
        noisy = patches(query.noisy.double(), query.window, periodic)
        clean = patches(images.double(), query.window, periodic)
        laws = smooth.laws(query.window, query.sources)
        shape = (len(noisy), len(clean), noisy.shape[1], clean.shape[1])
        likelihoods, answers = [], []
        for b, u in product(range(shape[0]), range(shape[2])):
            signal = float(query.signal[b])
            kernel = laws.kernel(int(laws.kinds[u]), smooth.width, signal**2, smooth.contrasts)
            each, centre = [], laws.answers(u, query.patches)
            for scale, narrow in enumerate(kernel.narrow):
                near = kernel.mean + narrow * (clean - kernel.mean)  # x'_s, [n, v, d]
                apart = noisy[b, u] - signal * near
                distance = (apart @ kernel.whiten(scale)).square().sum(-1)
                answer = near[..., centre] + apart @ kernel.gain(scale, centre).T
                each.append((kernel.level[scale] - distance / 2, answer))
            by_scale = torch.stack([log_likelihood for log_likelihood, _ in each])
            likelihoods.append(by_scale.logsumexp(0))
            weighed = [
                weight[..., None] * answer
                for weight, (_, answer) in zip(by_scale.softmax(0), each, strict=True)
            ]
            answers.append(torch.stack(weighed).sum(0))
        likelihood = torch.stack(likelihoods).unflatten(0, (shape[0], -1)).transpose(1, 2)
        answer = torch.stack(answers).unflatten(0, (shape[0], -1)).transpose(1, 2)
        return likelihood.masked_fill(~allowed, -torch.inf), answer


def _bytes(query: Query, evidence: bool, dense: bool, best: int, plan: Plan) -> int:
    """Return an upper estimate of the bytes in use while a plan is carried out."""
    channels, height, width = query.noisy.shape[1:]
    pixels = height * width
    patch = channels * (pixels if query.window is None else query.window**2)
    tables = plan.block * pixels**2 * (16 if best else 6)
    patches = 3 * (plan.block + 1) * pixels * patch
    total = 8 * (tables + patches + 3 * max(AT_ONCE, pixels * patch))
    if query.smooth is not None:
        total += 8 * (tables * query.answered + 3 * plan.block * pixels * patch + 6 * patch**2)
    return total + shared_bytes(query, plan, evidence, dense, best)
