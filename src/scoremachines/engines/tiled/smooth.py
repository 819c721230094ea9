"""Sources with a width by matrix products (theory §2.9).

Kinds of places are taken one after the other, each with its pixels of all noisy images of one
ᾱ, as many as make good products (`tiled.scaled`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from scoremachines.engines.base import Plan, Query
from scoremachines.engines.tiled.scaled import ROWS, Scaled, gathered, product
from scoremachines.theory.posterior import Posterior, Sources
from scoremachines.theory.smooth import KEPT, Smooth

__all__ = ["smooth_bytes", "smooth_moments", "smooth_plan", "smooth_posterior"]

PAIRS = 2**19
"""Pairs of a pixel and a source that are held at once; more where one pixel has more sources."""
SOURCES = 2**14
"""Sources of a block that one pixel has, about."""


@dataclass(frozen=True)
class Piece:
    """Some pixels of noisy images before all sources of their kind, of S scales.

    Args:
        at: the numbers of the noisy images, and the pixels u, int64 `[R]` each.
        places: V(u) in order, int64 `[V]`; None for u itself.
        scaled: the sources.
        own: a part of log-weights that is each pixel's, float64 `[R]`.
        log_weight: the rest of `ℓ_u(i,v,s) − log|V(u)|`, `[R, S, n·V]`.
        added: `G_s φ[Ω_u]`, float64 `[R, S, C]`.
    """

    at: tuple[Tensor, Tensor]
    places: Tensor | None
    scaled: Scaled
    own: Tensor
    log_weight: Tensor
    added: Tensor

    def biased(self, bias: Tensor) -> Tensor:
        """Return its log-weights with Π_u(i), `[B, n, H·W]`, added."""
        samples, pixels = self.at
        count, places, _ = self.scaled.shape
        shift = bias[samples, :, pixels].to(self.log_weight)  # [R, n]
        by_image = self.log_weight.unflatten(-1, (count, places))
        return (by_image + shift[:, None, :, None]).flatten(2)

    def mean(self, log_weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return `log Σ exp` `[R]` and answers `[R, C]` for log-weights, float64."""
        highest = log_weight.detach().amax((1, 2), keepdim=True)
        weight = (log_weight - highest).exp_()
        by_scale = weight.sum(2).double()  # [R, S]
        total = by_scale.sum(1)
        colour = product(weight.flatten(1), self.scaled.colours.flatten(0, 1)).double()
        added = (by_scale[..., None] * self.added).sum(1)
        found = self.own + highest[:, 0, 0].double() + total.log()
        return found, (colour + added) / total[:, None]

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return `E_u(i)`, `[R, n]`, and `m_u(i)`, `[R, n, C]`, float64."""
        count, places, _ = self.scaled.shape
        by_image = self.log_weight.unflatten(-1, (count, places)).transpose(1, 2)  # [R, n, S, V]
        evidence = by_image.flatten(2).logsumexp(-1).double()
        weight = by_image.flatten(2).softmax(-1).view_as(by_image)
        colours = self.scaled.colours.unflatten(1, (count, places)).transpose(0, 1)
        each = weight.flatten(2).transpose(0, 1), colours.flatten(1, 2)  # [n, R, S·V], [n, S·V, C]
        mean = torch.bmm(*each).transpose(0, 1).double()
        by_scale = weight.sum(-1).double()
        mean = mean + (by_scale[..., None] * self.added[:, None]).sum(2)
        return evidence + self.own[:, None], mean

    def sources(self, log_weight: Tensor, best: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the entropy `[R]`, and log-weight, number among the block's images, and place of
        the best sources, `[R, K]`, given log-weights; those of all scales are one source.
        """
        together = log_weight.detach().double().logsumexp(1)
        entropy = torch.special.entr(together.softmax(1)).sum(1)
        order = _best(together, best)
        count = self.scaled.shape[1]
        found = together.gather(1, order) + self.own[:, None]
        place = self.at[1][:, None].expand_as(order)
        if self.places is not None:
            place = self.places[order % count]
        return entropy, found, order // count, place


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
        evidence[piece.at], mean[piece.at] = piece.moments()
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
    total = images.new_zeros(batch, height * width, dtype=torch.float64)
    mean, entropy = total.new_zeros(*total.shape, channels), torch.zeros_like(total)
    weights = total.new_full((*total.shape, best), -torch.inf)
    image = torch.full_like(weights, -1, dtype=torch.int64)
    position = image.clone()
    for piece in _pieces(query, images, smooth):
        log_weight = piece.log_weight if bias is None else piece.biased(bias.flatten(2))
        total[piece.at], mean[piece.at] = piece.mean(log_weight)
        if best:
            entropy[piece.at], named, number, place = piece.sources(log_weight, best)
            rows = (*piece.at, slice(0, named.shape[1]))
            weights[rows], image[rows], position[rows] = named, index[number], place

    def field(values: Tensor) -> Tensor:
        return values.movedim(1, -1).unflatten(-1, (height, width))

    found = Posterior(field(total), field(mean).to(query.noisy.dtype))
    if not best:
        return found
    sources = Sources(*map(field, (weights, image, position)))
    return Posterior(found.log_weight, found.mean, field(entropy), sources)


def smooth_plan(query: Query, count: int, smooth: Smooth) -> Plan:
    """Return how much to take at once where memory does not matter.

    Args:
        query: all the noisy images.
        count: number of training images.
        smooth: the width of sources, and their laws.

    Returns:
        The plan.
    """
    places = 1 if query.sources == "aligned" else query.noisy[0, 0].numel()
    block = max(1, SOURCES // (places * len(smooth.contrasts.scales)))
    return Plan(min(len(query.noisy), 256), min(count, block))


def smooth_bytes(query: Query, plan: Plan, best: int, count: int, smooth: Smooth) -> int:
    """Return an upper estimate of the bytes in use while a plan is carried out.

    Args:
        query: the noisy images.
        plan: how many of them, and of the training images, are taken at once.
        best: how many sources are kept.
        count: all training images, whose graph is held where a gradient is wanted.
        smooth: the width of sources, and their laws.

    Returns:
        Bytes.
    """
    channels, height, width = query.noisy.shape[1:]
    pixels, scales = height * width, len(smooth.contrasts.scales)
    patch = channels * (pixels if query.window is None else query.window**2)
    places = 1 if query.sources == "aligned" else pixels
    sources = plan.block * places
    pairs = max(PAIRS, ROWS * sources * scales)
    if query.noisy.requires_grad:
        pairs += plan.batch * pixels * places * count * scales
    every = (plan.block + 2 * plan.batch) * channels * pixels
    rows = min(plan.batch * pixels, max(1, pairs // (sources * scales))) * patch * (3 + scales)
    taken = sources * (5 * patch + scales * (3 * channels + 6))
    kinds = pixels if query.window and query.sources != "valid" else 1
    laws = 6 * patch**2 + min(kinds * patch**2, KEPT // 8) + 2 * pixels * patch
    answers = plan.batch * pixels * (channels + 3 + 3 * best)
    return 8 * (every + rows + taken + 7 * pairs + laws + answers)


def _pieces(query: Query, images: Tensor, smooth: Smooth) -> Iterator[Piece]:
    """Yield all pixels that are wanted of all noisy images, each once."""
    laws = smooth.laws(query.window, query.sources)
    device, signals = images.device, query.signal.tolist()
    clean = pad(images.flatten(1).T, (0, 0, 0, 1)).contiguous()
    noisy = pad(query.noisy.double().flatten(1), (0, 1))
    places_of = laws.places.to(device)
    wanted = torch.arange(len(laws.kinds)) if query.pixels is None else query.pixels.cpu()
    each_own = query.window is None and query.sources == "aligned"  # of one patch, all colours
    for kind, every in enumerate(laws.sources):
        pixels = wanted[laws.kinds[wanted] == kind]
        if not len(pixels):
            continue
        near = gathered(clean, places_of[every.to(device)])
        for signal in dict.fromkeys(signals):
            samples = torch.tensor([b for b, other in enumerate(signals) if other == signal])
            kernel = laws.kernel(kind, smooth.width, signal**2, smooth.contrasts)
            for some in pixels.split(1 if each_own else len(pixels)):
                scaled = Scaled.of(near, kernel, laws.centres[some[0]], signal)
                held = max(ROWS, PAIRS // scaled.lengths.numel() // ROWS * ROWS)
                rows = torch.cartesian_prod(samples, some).to(device)
                for at in rows.split(held):
                    seen = noisy[at[:, :1], places_of[at[:, 1]]]
                    own, log_weight = scaled.log_likelihood(seen)
                    own = own - math.log(len(every))
                    places = None if query.sources == "aligned" else every.to(device)
                    where = at[:, 0], at[:, 1]
                    yield Piece(where, places, scaled, own, log_weight, scaled.added(seen))


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
