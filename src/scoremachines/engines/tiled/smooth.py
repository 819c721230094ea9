"""Sources with a width by matrix products (theory §2.9).

For each kind of place patches are scaled so that distances are Euclidean, `Mᵀ(φ − √ᾱ x')`, and
distances are made of products, in float64, where the expanded form keeps the digits that it needs.
What a source answers is `x'(c) − √ᾱ G x'`, the same for all pixels of a kind, and what is added,
`G φ[Ω_u]`, the same for all sources, with `G = √ᾱ h² Σ_c S⁻¹`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from scoremachines.engines.base import Plan, Query
from scoremachines.theory.positions import PERIODIC, patches
from scoremachines.theory.posterior import Posterior, Sources
from scoremachines.theory.smooth import Kernel, Smooth

__all__ = ["smooth_bytes", "smooth_moments", "smooth_posterior"]

PAIRS = 2**19
"""Pairs of a pixel and a source that are held at once; more where one pixel has more sources."""


@dataclass(frozen=True)
class Piece:
    """Some pixels of a noisy image before all sources of their kind.

    Args:
        at: the number of the noisy image, and the pixels u, int64 `[U]`.
        places: v of each pixel, int64 `[U, V]`, or `[1, V]` for all alike.
        log_weight: `ℓ_u(i,v) − log|V(u)|`, float64 `[U, n, V]`.
        colours: what sources answer, less what is added, `[U, n, V, C]`, or `[1, n, V, C]`.
        added: `[U, C]`.
    """

    at: tuple[int, Tensor]
    places: Tensor
    log_weight: Tensor
    colours: Tensor
    added: Tensor

    def mean(self, weight: Tensor) -> Tensor:
        """Return the answer with weights `[U, n, V]` that sum to 1, `[U, C]`."""
        if len(self.colours) == 1:
            return weight.flatten(1) @ self.colours[0].flatten(0, 1) + self.added
        return torch.einsum("unv,unvc->uc", weight, self.colours) + self.added

    def means(self, weight: Tensor) -> Tensor:
        """Return that of each image, with weights that sum to 1 in each, `[U, n, C]`."""
        if len(self.colours) == 1:
            found = torch.einsum("unv,nvc->unc", weight, self.colours[0])
        else:
            found = torch.einsum("unv,unvc->unc", weight, self.colours)
        return found + self.added[:, None]


def smooth_moments(query: Query, images: Tensor, smooth: Smooth) -> tuple[Tensor, Tensor]:
    """Return `E_u(i)` and `m_u(i)` (theory §2.9).

        E_u(i) = log mean_{v∈V(u)} exp ℓ_u(i,v)    m_u(i) = Σ_{v∈V(u)} softmax_v(ℓ_u(i,·)) a_u(i,v)

    Args:
        query: `B` noisy images.
        images: in [-1, 1], `[n, C, H, W]`.
        smooth: the width of sources, and their laws.

    Returns:
        Float64 `[B, n, H, W]`, and `[B, n, C, H, W]` in the query's dtype.
    """
    batch, channels, height, width = query.noisy.shape
    evidence = images.new_empty(batch, height * width, len(images), dtype=torch.float64)
    mean = evidence.new_empty(*evidence.shape, channels)
    for piece in _pieces(query, images, smooth):
        evidence[piece.at] = piece.log_weight.logsumexp(-1)
        mean[piece.at] = piece.means(piece.log_weight.softmax(-1))
    size = (height, width)
    mean = mean.permute(0, 2, 3, 1).unflatten(-1, size).to(query.noisy.dtype)
    return evidence.transpose(1, 2).unflatten(-1, size), mean


def smooth_posterior(
    query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int, smooth: Smooth
) -> Posterior:
    """Return the posterior of `images` (theory §2.9).

        x̂0(u) = Σ_{i,v} ω_u(i,v) a_u(i,v),    ω_u = softmax_{i,v} L_u(i,v)

    Args:
        query: `B` noisy images.
        images: in [-1, 1], `[n, C, H, W]`.
        index: their places in the training set, rising, int64 `[n]`.
        bias: Π_u(i), `[B, n, H, W]`; None for 0.
        best: how many sources to keep for every pixel.
        smooth: the width of sources, and their laws.

    Returns:
        The posterior of every noisy image.
    """
    batch, channels, height, width = query.noisy.shape
    total = images.new_empty(batch, height * width, dtype=torch.float64)
    mean, entropy = total.new_empty(*total.shape, channels), torch.empty_like(total)
    weights = total.new_full((*total.shape, best), -torch.inf)
    image = torch.full_like(weights, -1, dtype=torch.int64)
    position = image.clone()
    for piece in _pieces(query, images, smooth):
        log_weight = piece.log_weight
        if bias is not None:
            sample, pixels = piece.at
            log_weight = log_weight + bias[sample].flatten(1)[:, pixels].T.double()[..., None]
        weight = log_weight.flatten(1).softmax(-1).view_as(log_weight)
        total[piece.at], mean[piece.at] = log_weight.flatten(1).logsumexp(-1), piece.mean(weight)
        if best:
            entropy[piece.at] = torch.special.entr(weight.detach()).flatten(1).sum(-1)
            flat = log_weight.detach().flatten(1)
            order = _best(flat, best)
            rows = (*piece.at, slice(0, order.shape[1]))
            weights[rows] = flat.gather(1, order)
            image[rows] = index[order // log_weight.shape[-1]]
            places = piece.places.expand(len(order), -1)
            position[rows] = places.gather(1, order % log_weight.shape[-1])

    def field(values: Tensor) -> Tensor:
        return values.movedim(1, -1).unflatten(-1, (height, width))

    found = Posterior(field(total), field(mean).to(query.noisy.dtype))
    if not best:
        return found
    sources = Sources(*map(field, (weights, image, position)))
    return Posterior(found.log_weight, found.mean, field(entropy), sources)


def smooth_bytes(query: Query, plan: Plan, best: int, count: int) -> int:
    """Return an upper estimate of the bytes in use while a plan is carried out.

    Args:
        query: the noisy images.
        plan: how many of them, and of the training images, are taken at once.
        best: how many sources are kept.
        count: all training images, whose graph is held where a gradient is wanted.

    Returns:
        Bytes.
    """
    channels, height, width = query.noisy.shape[1:]
    pixels = height * width
    patch = channels * (pixels if query.window is None else query.window**2)
    places = 1 if query.sources == "aligned" else pixels
    pairs = max(PAIRS, plan.block * places)
    if query.noisy.requires_grad:
        pairs += plan.batch * pixels * places * count
    every = plan.block * pixels * (patch + 4 * channels)
    laws = 6 * patch**2 + (channels * pixels * patch if query.window is None else 0)
    taken = plan.block * places * 4 * patch
    answers = plan.batch * pixels * (channels + 3 + 3 * best + plan.block * (channels + 1))
    return 8 * (every + taken + 8 * pairs + laws + 2 * pixels * patch + answers)


@dataclass(frozen=True)
class Scaled:
    """The sources of one kind of place at one ᾱ.

    Args:
        signal: √ᾱ.
        mean: μ, `[d]`.
        whiten: M, `[d, d]`.
        gain: G, `[U, C, d]`, or `[1, C, d]` for all pixels alike.
        patches: `√ᾱ Mᵀ (x' − μ)`, `[n, V, d]`.
        lengths: their squared lengths, `[n, V]`.
        colours: `x'(c) − √ᾱ G x'`, `[U, n, V, C]`, or `[1, n, V, C]`.
    """

    signal: float
    mean: Tensor
    whiten: Tensor
    gain: Tensor
    patches: Tensor
    lengths: Tensor
    colours: Tensor

    @classmethod
    def of(cls, near: Tensor, kernels: list[Kernel], signal: float) -> Scaled:
        """Return them for patches `[n, V, d]`, and the kernels of all pixels, or of one."""
        gain = torch.stack([each.gain for each in kernels]).to(near)
        centre = torch.stack([each.centre for each in kernels]).to(near.device)
        whiten, mean = kernels[0].whiten.to(near), kernels[0].mean.to(near)
        apart = kernels[0].narrow * (near - mean)
        narrowed = mean + apart
        colours = narrowed[..., centre].permute(2, 0, 1, 3)
        colours = colours - signal * torch.einsum("nvd,ucd->unvc", narrowed, gain)
        scaled = (signal * apart) @ whiten
        return cls(signal, mean, whiten, gain, scaled, scaled.square().sum(-1), colours)

    def log_likelihood(self, seen: Tensor) -> Tensor:
        """Return `ℓ_u(i,v)` of what pixels see, `[U, d]`: `[U, n, V]`."""
        mine = (seen - self.signal * self.mean) @ self.whiten
        product = (mine @ self.patches.flatten(0, 1).T).view(len(seen), *self.lengths.shape)
        return product - (mine.square().sum(-1)[:, None, None] + self.lengths) / 2


def _pieces(query: Query, images: Tensor, smooth: Smooth) -> Iterator[Piece]:
    """Yield all pixels of all noisy images, each once."""
    laws, periodic = smooth.laws(query.window, query.sources), PERIODIC[query.sources]
    clean = patches(images.double(), query.window, periodic)  # [n, v, d]
    seen = [patches(noisy[None].double(), query.window, periodic)[0] for noisy in query.noisy]
    signals = query.signal.tolist()
    aligned, device = query.sources == "aligned", clean.device
    for kind, every in enumerate(laws.sources):
        pixels = (laws.kinds == kind).nonzero()[:, 0]
        near, places = clean[:, every.to(device)], every.to(device)[None]
        some = max(1, PAIRS // near[..., 0].numel())
        each_own = query.window is None and aligned  # places of their own in the same patch
        for signal in dict.fromkeys(signals):
            chosen = pixels if each_own else pixels[:1]
            kernels = [laws.kernel(int(u), smooth.width, signal**2) for u in chosen]
            scaled = Scaled.of(near, kernels, signal)
            for sample in (b for b, other in enumerate(signals) if other == signal):
                for at in pixels.to(device).split(some):
                    gain, colours = scaled.gain, scaled.colours
                    if each_own:
                        gain, colours = gain[at], colours[at]
                    yield Piece(
                        (sample, at),
                        at[:, None] if aligned else places,
                        scaled.log_likelihood(seen[sample][at]) - math.log(len(every)),
                        colours,
                        torch.einsum("ud,ucd->uc", seen[sample][at], gain.expand(len(at), -1, -1)),
                    )


def _best(log_weight: Tensor, count: int) -> Tensor:
    """Return where the largest stand, `[U, K]`; of equals, the first."""
    count = min(count, log_weight.shape[1])
    values, found = log_weight.topk(count, dim=1)
    found = found.sort(1).values
    order = log_weight.gather(1, found).argsort(dim=1, descending=True, stable=True)
    found = found.gather(1, order)
    tied = ((log_weight >= values[:, -1:]).sum(1) > count).nonzero()[:, 0]
    if len(tied):
        ordered = log_weight[tied].argsort(dim=1, descending=True, stable=True)
        found[tied] = ordered[:, :count]
    return found
