"""Sources with a width by matrix products (theory §2.9).

Kinds of places are taken one after the other, each with its pixels of all noisy images of one
ᾱ, as many as make good products (`tiled.scaled`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from scoremachines.engines.base import Query
from scoremachines.engines.tiled.scaled import ROWS, Scaled, gathered, product
from scoremachines.engines.tiled.smooth_image import image_posterior
from scoremachines.theory.posterior import Posterior, Sources
from scoremachines.theory.smooth import Smooth

Sums = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Of left, level, z, lengths and colours (`Scaled`): for each pixel `log Σ exp`, `[R]`, the share
of each scale in it, `[R, S]`, and the mean colour, `[R, C]`, float64."""
__all__ = ["PAIRS", "SOURCES", "TOGETHER", "Sums", "smooth_moments", "smooth_posterior"]

PAIRS = 2**19
"""Pairs of a pixel and a source that are held at once; more where one pixel has more sources."""
TOGETHER = 2**22
"""Pairs that are summed over at once where none is held."""
SOURCES = 2**14
"""Sources of a block that one pixel has, about."""


@dataclass(frozen=True)
class Sight:
    """Some pixels of noisy images before all sources of their kind.

    Args:
        at: the numbers of the noisy images, and the pixels u, int64 `[R]` each.
        places: V(u) in order, int64 `[V]`; None for u itself.
        scaled: the sources.
        seen: `φ[Ω_u]`, float64 `[R, d]`.
    """

    at: tuple[Tensor, Tensor]
    places: Tensor | None
    scaled: Scaled
    seen: Tensor

    @property
    def log_count(self) -> float:
        """`log|V(u)|`."""
        return math.log(self.scaled.shape[1])

    def summed(self, sums: Sums) -> tuple[Tensor, Tensor]:
        """Return `log Σ exp` `[R]` and answers `[R, C]`, float64, pairs never being held."""
        scaled = self.scaled
        own, left, level = scaled.factors(self.seen)
        each = left, level, scaled.projected, scaled.lengths, scaled.colours
        log_weight, share, colour = sums(*(part.contiguous() for part in each))
        added = (share[..., None] * scaled.added(self.seen)).sum(1)
        return own - self.log_count + log_weight, colour + added

    def piece(self) -> Piece:
        """Return their log-weights for all sources."""
        own, log_weight = self.scaled.log_likelihood(self.seen)
        added = self.scaled.added(self.seen)
        return Piece(self.at, self.places, self.scaled, own - self.log_count, log_weight, added)


@dataclass(frozen=True)
class Piece:
    """The log-weights of some pixels for all sources of their kind, of S scales.

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
    batch, _, height, width = query.noisy.shape
    evidence = images.new_empty(batch, height * width, len(images), dtype=torch.float64)
    mean = evidence.new_empty(*evidence.shape, query.answered)
    for sight in _sights(query, images, smooth, PAIRS):
        evidence[sight.at], mean[sight.at] = sight.piece().moments()
    size = (height, width)
    mean = mean.permute(0, 2, 3, 1).unflatten(-1, size).to(query.noisy.dtype)
    return evidence.transpose(1, 2).unflatten(-1, size), mean


def smooth_posterior(
    query: Query,
    images: Tensor,
    index: Tensor,
    bias: Tensor | None,
    best: int,
    smooth: Smooth,
    sums: Sums | None = None,
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
        sums: what sums over sources directly, where there is no Π, no sources are kept and no
            gradient is wanted; None to hold pairs.

    Returns:
        The posterior of every noisy image.
    """
    if query.window is None and query.sources == "aligned" and bias is None and not best:
        return image_posterior(query, images, smooth)
    batch, _, height, width = query.noisy.shape
    total = images.new_zeros(batch, height * width, dtype=torch.float64)
    mean, entropy = total.new_zeros(*total.shape, query.answered), torch.zeros_like(total)
    weights = total.new_full((*total.shape, best), -torch.inf)
    image = torch.full_like(weights, -1, dtype=torch.int64)
    position = image.clone()
    plain = not query.noisy.requires_grad and not query.patches
    direct = sums is not None and bias is None and not best and plain
    for sight in _sights(query, images, smooth, TOGETHER if direct else PAIRS):
        if sums is not None and direct:
            total[sight.at], mean[sight.at] = sight.summed(sums)
            continue
        piece = sight.piece()
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


def _sights(query: Query, images: Tensor, smooth: Smooth, pairs: int) -> Iterator[Sight]:
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
                scaled = Scaled.of(near, kernel, laws.answers(int(some[0]), query.patches), signal)
                held = max(ROWS, pairs // scaled.lengths.numel() // ROWS * ROWS)
                rows = torch.cartesian_prod(samples, some).to(device)
                for at in rows.split(held):
                    seen = noisy[at[:, :1], places_of[at[:, 1]]]
                    places = None if query.sources == "aligned" else every.to(device)
                    yield Sight((at[:, 0], at[:, 1]), places, scaled, seen)


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
