"""Patches as queries and keys: the `cuda` engine's way through noise (theory §2.5).

The kernels are in `product_kernels.py`. Here patches are written out for them, those of a
noisy image and those of some training images, and the programs' partial posteriors are merged. The
work is divided by the training images and never by the batch, so a noisy image's result has the
same bits whatever stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from scoremachines.engines.base import Query
from scoremachines.engines.triton.product_layout import (
    COLUMNS,
    LIFT,
    PIXELS,
    PLACES,
    WARPS,
    layout,
    padded_values,
)
from scoremachines.theory.positions import PERIODIC
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.runs import log_counts

__all__ = ["DIGITS", "Products", "patch_bytes", "products_serve", "query_bytes"]

DIGITS = 64_000
"""Largest C·k²·ᾱ/(1−ᾱ) a K-tile at which products give the posterior, by default."""
PROGRAMS = 1024
"""Between how many programs the work is divided, about: a few rounds of the largest GPUs."""


def products_serve(query: Query, digits: float) -> Tensor:
    """Return for which noisy images products keep enough digits, bool `[B]`.

    They do where `C k² r`, `r = ᾱ/(1−ᾱ)`, is at most `digits` times the number of K-tiles of a
    patch, and colours of `φ/√ᾱ` and of training images are about 1 in size. Log-weights lose
    about 2⁻²³ of it, nats, where nothing fits, and the less the better a patch fits. What halves
    lose of single values is lost in any case, so `ᾱ/(1−ᾱ)` is at most `digits / 16`, too.
    """
    assert query.window is not None
    values = query.noisy.shape[1] * query.window**2
    dims, taken = padded_values(values)
    ratio = query.signal.square() / query.variance
    return (values * ratio <= digits * (dims // taken)) & (ratio <= digits / 16)


def patch_bytes(query: Query) -> int:
    """Return an upper estimate of the bytes for the patches of one training image."""
    assert query.window is not None
    channels, height, width = query.noisy.shape[1:]
    reach, places = query.window - 1, height * width
    if query.sources == "valid":
        places = (height - reach) * (width - reach)
    dims, taken = padded_values(channels * query.window**2)
    framed = 12 * channels * (height + reach) * (width + reach)
    return places * (4 * (dims + dims // taken) + 36) + framed


def query_bytes(query: Query) -> int:
    """Return an upper estimate of the bytes for one noisy image and its partial posteriors."""
    assert query.window is not None
    channels, height, width = query.noisy.shape[1:]
    pixels, reach = height * width, query.window - 1
    dims, taken = padded_values(channels * query.window**2)
    partial = 8 * (COLUMNS + 1) * pixels * (PROGRAMS // -(-pixels // PIXELS) + 1)
    patches = 4 * pixels * (dims + dims // taken)
    return patches + 12 * channels * (height + reach) * (width + reach) + partial


def _parts(pixels: int, places: int) -> int:
    """Return into how many parts all places are divided, each a tile or more."""
    return max(1, min(places // PLACES, PROGRAMS // -(-pixels // PIXELS)))


@dataclass(frozen=True)
class Patches:
    """Patches of images, times a scale.

    Args:
        halves: half precision, `[n, V, 2, dims]`.
        squares: the squared lengths of their K-tiles, `[n, V, K-tiles]`.
        values: colours in two halves, and 1, half precision, `[n, V, COLUMNS]`; or None.
        scale: powers of two, float64 `[n]`.
    """

    halves: Tensor
    squares: Tensor
    values: Tensor | None
    scale: Tensor

    @property
    def places(self) -> int:
        """Number of patches."""
        return self.squares.shape[:2].numel()


class Products:
    """Pairs of patches by products: `ℓ_u(i,v) = −ᾱ/(2(1−ᾱ)) ‖φ[Ω_u]/√ᾱ − x_i[Ω_v]‖²` (§2.5).

    Args:
        query: noisy images that `products_serve`.
    """

    def __init__(self, query: Query) -> None:
        assert query.window is not None
        shape, device = query.noisy.shape[1:], query.noisy.device
        self.query = query
        self.layout = layout(tuple(shape), query.window, query.sources, device)
        noisy = query.noisy.double() / query.signal.to(device)[:, None, None, None]
        self.noisy = self._patches(noisy.float(), self.layout.pixel_at, clean=False)
        self.factor = (-query.signal.square() / (2 * math.log(2) * query.variance)).to(device)

    def evidence(self, images: Tensor) -> Tensor:
        """Return E_u(i) of training images, `[B, n, H, W]`."""
        clean = self._patches(images, self.layout.place_at, clean=True)
        count, pixels = len(images), len(self.layout.order)
        found = self.query.noisy.new_empty(len(self.query.noisy), count, pixels)
        self._attend(clean, None, min(count, _parts(pixels, clean.places)), None, found)
        return torch.stack([self._finished(each) for each in found]).to(found)

    def posterior(self, images: Tensor, bias: Tensor | None) -> Posterior:
        """Return the posterior of training images at every pixel, given Π_u(i)."""
        clean = self._patches(images, self.layout.place_at, clean=True)
        batch, pixels = len(self.query.noisy), len(self.layout.order)
        parts = _parts(pixels, clean.places)
        largest = self.query.noisy.new_empty(batch, parts, pixels)
        sums = self.query.noisy.new_empty(batch, parts, pixels, COLUMNS)
        if bias is not None:
            bias = bias.flatten(2)
            if self.layout.kinds is not None:
                bias = bias[:, :, self.layout.order]
            bias = bias.contiguous()
        self._attend(clean, bias, parts, largest, sums)
        scale = clean.scale[0].float()
        pairs = zip(largest, sums, strict=True)
        return Posterior.cat([self._merged(*pair, scale) for pair in pairs])

    def _patches(self, images: Tensor, at: Tensor, *, clean: bool) -> Patches:
        """Return patches; training images have one scale, and each noisy image has its own."""
        from scoremachines.engines.triton.product_kernels import unroll

        window = self.query.window
        assert window is not None
        largest = images.abs().amax() if clean else images.abs().amax((1, 2, 3))
        exponent = torch.frexp(largest).exponent.expand(len(images))
        scale = torch.ldexp(torch.ones_like(exponent, dtype=torch.float64), -exponent)
        mode = "circular" if PERIODIC[self.query.sources] else "constant"
        wide = pad(images, (window // 2,) * 4, mode=mode).contiguous()
        number, dims, taken = len(at), len(self.layout.taps), self.layout.taken
        rows, tile = len(images) * number, (2048 // taken, taken)
        halves = images.new_empty(len(images), number, 2, dims, dtype=torch.float16)
        values = halves.new_empty(len(images), number, COLUMNS) if clean else None
        squares = images.new_empty(len(images), number, dims // taken)
        with torch.cuda.device_of(images):
            unroll[(-(-rows // tile[0]),)](
                wide,
                scale.float(),
                at,
                self.layout.taps,
                halves,
                squares,
                values,
                rows,
                number,
                shape=tuple(wide.shape[1:]),
                radius=window // 2,
                dims=dims,
                tile=tile,
            )
        return Patches(halves, squares, values, scale)

    def _attend(
        self,
        clean: Patches,
        bias: Tensor | None,
        parts: int,
        largest: Tensor | None,
        sums: Tensor,
    ) -> None:
        """Let the kernel write `sums`, and, for a posterior, `largest`, of parts of the places."""
        from scoremachines.engines.triton.product_kernels import attend

        its, evidence = self.layout, largest is None
        count, number = clean.squares.shape[:2]
        ranges = its.ranges
        if bias is None and not evidence and its.kinds is None:  # all images are one
            ranges, count, number = ranges * count, 1, count * number
        scales = clean.scale[0], self.noisy.scale
        on = (-2 / (scales[0] * scales[1]), 1 / scales[0] ** 2, 1 / scales[1] ** 2)
        factors = torch.stack([self.factor * each for each in on], 1).float()
        with torch.cuda.device_of(sums):
            attend[(len(its.ranges), parts, len(sums))](
                self.noisy.halves,
                self.noisy.squares,
                clean.halves,
                clean.squares,
                clean.values,
                bias,
                factors,
                ranges,
                its.kinds,
                sums if evidence else largest,
                sums,
                count,
                number,
                len(its.order),
                dims=len(its.taps),
                taken=its.taken,
                tile=(PIXELS, PLACES),
                evidence=evidence,
                num_warps=WARPS,
                num_stages=2,
            )

    def _merged(self, largest: Tensor, sums: Tensor, scale: Tensor) -> Posterior:
        """Return the posterior of all parts, `[parts, H·W]` and `[parts, H·W, COLUMNS]`."""
        shape = self.query.noisy.shape[1:]
        most = largest.amax(0)
        sums = (sums * (largest - most).exp2()[..., None]).sum(0)
        total = sums[:, 8]
        colours = sums[:, : shape[0]] + sums[:, 4 : 4 + shape[0]]
        colours = colours / (total.clamp(min=1) * scale)[:, None]
        log_weight = self._finished(most.double() + total.double().log2() - LIFT)
        mean = self._in_place(colours.T.contiguous()).view(1, *shape)
        return Posterior(log_weight[None], mean)

    def _finished(self, log_weight: Tensor) -> Tensor:
        """Return log-weights `[…, H, W]` of average patches, nats, from sums, of base 2."""
        nats = log_weight.double() * math.log(2)
        size, window, sources = self.query.noisy.shape[-2:], self.query.window, self.query.sources
        assert window is not None
        counts = log_counts(tuple(size), window, sources, nats.device)
        return self._in_place(nats).unflatten(-1, size) - counts

    def _in_place(self, found: Tensor) -> Tensor:
        """Return what was found of pixels in the order of tiles, in their own order."""
        if self.layout.kinds is None:
            return found
        return torch.empty_like(found).index_copy_(-1, self.layout.order, found)
