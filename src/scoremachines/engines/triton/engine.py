"""The `cuda` engine: distances, softmax and mean without leaving the chip (theory §2).

There are two ways. Products of patches (`products.py`) are the fast one. Where there is so little
noise that they would lose digits, and where a pixel has one place to draw from, differences are
added up (`differences.py`). Neither divides its work by the batch, so a noisy image's result has
the same bits whatever stands beside it.
"""

from __future__ import annotations

import os
from dataclasses import replace

import torch
from torch import Tensor

from scoremachines.engines.base import Held, Plan, Pull, Query
from scoremachines.engines.memory import SCRATCH, shrunk, tile_values
from scoremachines.engines.tiled.engine import TorchEngine
from scoremachines.engines.triton.differences import Differences
from scoremachines.engines.triton.division import Division, Limits, divided
from scoremachines.engines.triton.products import (
    DIGITS,
    Products,
    patch_bytes,
    products_serve,
    query_bytes,
)
from scoremachines.errors import InputError
from scoremachines.theory.posterior import Posterior

__all__ = ["FusedEngine", "obstacle"]

ACCEPTED = "auto, torch; cuda with an NVIDIA GPU (compute capability 8.0 or more) and Triton"
CAPABILITY, TRITON = (8, 0), (3, 4)
CHANNELS = 4
"""Most channels of an image: a pixel's running mean is kept in registers."""
PATCHES = 0.5
"""Share of the memory for the patches that products take, and for their posteriors."""
WARPS = 2048
"""Between how many warps the work is divided: about twice what the largest GPUs hold at once."""


def obstacle() -> str | None:
    """Return what keeps the `cuda` engine from running here; None if nothing does."""
    try:
        import triton
    except ImportError:
        return "Triton is not installed; `pip install 'scoremachines[gpu]'` brings it"
    if tuple(int(part) for part in triton.__version__.split(".")[:2]) < TRITON:
        return f"Triton {triton.__version__} is too old"
    if _interpreted():
        return None
    if torch.version.cuda is None or not torch.cuda.is_available():
        return "torch finds no NVIDIA GPU"
    capability = torch.cuda.get_device_capability()
    if capability < CAPABILITY:
        return f"the GPU has compute capability {capability[0]}.{capability[1]}"
    return None


def _interpreted() -> bool:
    """Return whether Triton runs its kernels on the CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


class FusedEngine:
    """Fused Triton kernels on an NVIDIA GPU, in float32.

    `x̂0(u) = Σ_{i,v} softmax_{i,v}(ℓ_u(i,v) + Π_u(i)) x_i(v)` in one pass (theory §2).

    The torch engine takes over, on the same device, where they do not apply: float64, the
    whole image as window, lists of best sources with the entropy, more than 4 channels, windows
    above 49 where a side has more than 64 pixels, and the backward pass of gradients.

    Args:
        memory: bytes that the engine may use above the training set.
        warps: between how many warps differences are divided, about.
        slots: training images whose differences a program takes at once; None for what makes a
            good tile.
        longest: rows and columns of the largest tile of differences, powers of two from 16 on.
        digits: largest C·k²·ᾱ/(1−ᾱ), shared out among the lots of 16 to 64 values that a patch is
            taken in, at which products give the posterior; they lose about 2⁻²³ of the whole,
            nats, from the log-weight of a patch that does not fit. For evidence, which attention
            adds up over pixels, a quarter of that. 0 leaves all to differences.

    Raises:
        InputError: no such GPU, or no Triton.
    """

    name = "cuda"

    def __init__(
        self,
        memory: int = 2**30,
        *,
        warps: int = WARPS,
        slots: int | None = None,
        longest: tuple[int, int] = (64, 32),
        digits: float = DIGITS,
    ) -> None:
        reason = obstacle()
        if reason is not None:
            raise InputError("engine", self.name, ACCEPTED, reason)
        self.memory, self.warps, self.slots, self.longest = memory, warps, slots, longest
        self.digits = digits
        self.torch = TorchEngine(memory)

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
        if best or self.division(query, count, evidence) is None:
            return self.torch.plan(
                query, count, evidence=evidence, dense=dense, best=best, held=held
            )
        useful = max(16, tile_values(query.noisy) // query.noisy[0, 0].numel())
        largest = Plan(min(len(query.noisy), 16), min(count, useful))
        return shrunk(
            largest, self.memory, lambda plan: self._bytes(query, plan, evidence, dense), held
        )

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        work = self.division(query, len(images), evidence=True)
        if work is None:
            return self.torch.evidence(query, images)
        parts, order = [], []
        for its, products in self._by_kind(query, self.digits / 4):
            some = _some(query, its)
            if products:
                parts.append(self._evidence_of_products(some, images))
            else:
                parts.append(Differences(some, work).evidence(images))
            order.append(its)
        return parts[0] if len(parts) == 1 else torch.cat(parts)[torch.cat(order).argsort()]

    def posterior(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        work = self.division(query, len(images), evidence=False)
        if best or work is None:
            return self.torch.posterior(query, images, index, bias, best)
        parts, order = [], []
        for its, products in self._by_kind(query, self.digits):
            some = _some(query, its)
            part = bias if bias is None or len(its) == len(bias) else bias[its]
            if products:
                parts.append(self._posterior_of_products(some, images, part))
            else:
                parts.append(Differences(some, work).posterior(images, part))
            order.append(its)
        if len(parts) == 1:
            return parts[0]
        return Posterior.cat(parts).at(torch.cat(order).argsort())

    def moments(self, query: Query, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.torch.moments(query, images)

    def gradient(self, query: Query, images: Tensor, pull: Pull) -> Tensor:
        return self.torch.gradient(query, images, pull)

    def _by_kind(self, query: Query, digits: float) -> list[tuple[Tensor, bool]]:
        """Return which noisy images are left to products, and which to differences."""
        if not (query.noisy.is_cuda or _interpreted()):
            reason = f"images are on {query.noisy.device}"
            raise InputError("engine", self.name, "auto, or native", reason)
        serve = products_serve(query, digits) & (self._piece(query)[1] > 0)
        kinds = ((serve.nonzero()[:, 0], True), ((~serve).nonzero()[:, 0], False))
        return [(its, products) for its, products in kinds if len(its)]

    def _piece(self, query: Query) -> tuple[int, int]:
        """Return of how many noisy and training images patches are written out at once.

        No training images are, at any noise, where differences are added up for all.
        """
        if query.sources == "aligned" or self.digits == 0:
            return 1, 0
        share, each = int(self.memory * PATCHES), query_bytes(query)
        noisy = max(1, share // 4 // each)
        return noisy, max(0, share - noisy * each) // patch_bytes(query)

    def _evidence_of_products(self, query: Query, images: Tensor) -> Tensor:
        """Return the evidence by products."""
        noisy, piece = self._piece(query)
        shape = (len(query.noisy), len(images), *images.shape[-2:])
        found = query.noisy.new_empty(shape)
        for its in _slices(len(query.noisy), noisy):
            products = Products(query.part(its))
            for some in _slices(len(images), piece):
                found[its, some] = products.evidence(images[some])
        return found

    def _posterior_of_products(
        self, query: Query, images: Tensor, bias: Tensor | None
    ) -> Posterior:
        """Return the posterior by products."""
        (noisy, piece), parts = self._piece(query), []
        for its in _slices(len(query.noisy), noisy):
            products = Products(query.part(its))
            found = (
                products.posterior(images[some], None if bias is None else bias[its, some])
                for some in _slices(len(images), piece)
            )
            parts.append(Posterior.merge_all(found))
        return Posterior.cat(parts)

    def division(self, query: Query, count: int, evidence: bool) -> Division | None:
        """Return how the work is divided.

        Args:
            query: the noisy images.
            count: number of training images.
            evidence: whether for `evidence`, else for `posterior`.

        Returns:
            The division; None for what the kernel is not made for.
        """
        channels = query.noisy.shape[1]
        if query.window is None or query.noisy.dtype != torch.float32 or channels > CHANNELS:
            return None
        limits = Limits(self.warps, 1 if evidence else None, self.slots, self.longest)
        return divided(query, count, limits)

    def _bytes(self, query: Query, plan: Plan, evidence: bool, dense: bool) -> int:
        """Return an upper estimate of the bytes in use while a plan is carried out."""
        channels, height, width = query.noisy.shape[1:]
        pixels = height * width
        total = SCRATCH + 24 * plan.batch * pixels * (channels + 4)
        work = self.division(query, plan.block, evidence=False)
        assert work is not None  # else the torch engine plans
        differences = 4 * pixels * work.parts * (plan.batch * (channels + 1) + channels + 4)
        differences += 4 * plan.block * channels * height * (4 * width + 64 + (query.window or 1))
        products = int(self.memory * PATCHES) if self._piece(query)[1] > 0 else 0
        total += max(differences, products)
        if evidence:
            work = self.division(query, plan.block, evidence=True)
            assert work is not None
            total += 4 * pixels * plan.block * plan.batch * (2 * work.move_parts + 14)
        if dense:
            total += 5 * plan.batch * pixels * pixels * 8
        return total


def _slices(length: int, step: int) -> list[slice]:
    """Return what divides so many into pieces of at most `step`."""
    return [slice(start, start + step) for start in range(0, length, step)]


def _some(query: Query, index: Tensor) -> Query:
    """Return the query for some of the noisy images."""
    if len(index) == len(query.noisy):
        return query
    return replace(query, noisy=query.noisy[index], alpha_bar=query.alpha_bar[index])
