"""The `cuda` engine: distances, softmax and mean without leaving the chip (theory §2).

Patch distances are products of patches (`products.py`). Where there is so little noise that these
would lose digits, and where a pixel has one place to draw from, the torch engine computes on the
same device. Neither divides its work by the batch, so a noisy image's result has the same bits
whatever stands beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from scoremachines.engines.base import Held, Plan, Pull, Query
from scoremachines.engines.memory import SCRATCH, shrunk, tile_values
from scoremachines.engines.tiled.engine import TorchEngine
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
"""Most channels of an image: its colours are a part of 16 values."""
PATCHES = 0.5
"""Share of the memory for the patches that products take, and for their posteriors."""


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

    The torch engine takes over, on the same device, where they do not apply: too little noise,
    sources "aligned", float64, the whole image as window, lists of best sources with the entropy,
    more than 4 channels, patches that do not fit into the memory, and the backward pass of
    gradients.

    Args:
        memory: bytes that the engine may use above the training set.
        digits: largest C·k²·ᾱ/(1−ᾱ), shared out among the K-tiles of 16 to 64 values that a patch
            is taken in, at which products give the posterior; they lose about 2⁻²³ of the whole,
            nats, from the log-weight of a patch that does not fit. For evidence, which attention
            adds up over pixels, a quarter of that. 0 leaves all to the torch engine.

    Raises:
        InputError: no such GPU, or no Triton.
    """

    name = "cuda"

    def __init__(self, memory: int = 2**30, *, digits: float = DIGITS) -> None:
        reason = obstacle()
        if reason is not None:
            raise InputError("engine", self.name, ACCEPTED, reason)
        self.memory, self.digits = memory, digits
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
        served = self.served(query, evidence) if best == 0 else torch.tensor([False])
        plans = []
        if not served.all():
            wants: dict[str, Any] = {"evidence": evidence, "dense": dense, "best": best}
            plans.append(self.torch.plan(query, count, **wants, held=held))
        if served.any():
            useful = max(16, tile_values(query.noisy) // query.noisy[0, 0].numel())
            largest = Plan(min(len(query.noisy), 16), min(count, useful))
            plans.append(
                shrunk(
                    largest,
                    self.memory,
                    lambda plan: self._bytes(query, plan, evidence, dense),
                    held,
                )
            )
        return Plan(min(plan.batch for plan in plans), min(plan.block for plan in plans))

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        parts, order = [], []
        for its, some, products in self._by_kind(query, self.served(query, evidence=True)):
            engine = self._evidence_of_products if products else self.torch.evidence
            parts.append(engine(some, images))
            order.append(its)
        return parts[0] if len(parts) == 1 else torch.cat(parts)[torch.cat(order).argsort()]

    def posterior(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        if best:
            return self.torch.posterior(query, images, index, bias, best)
        parts, order = [], []
        for its, some, products in self._by_kind(query, self.served(query, evidence=False)):
            part = bias if bias is None or len(its) == len(bias) else bias[its]
            if products:
                parts.append(self._posterior_of_products(some, images, part))
            else:
                parts.append(self.torch.posterior(some, images, index, part, 0))
            order.append(its)
        if len(parts) == 1:
            return parts[0]
        return Posterior.cat(parts).at(torch.cat(order).argsort())

    def moments(self, query: Query, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.torch.moments(query, images)

    def gradient(self, query: Query, images: Tensor, pull: Pull) -> Tensor:
        return self.torch.gradient(query, images, pull)

    def served(self, query: Query, evidence: bool) -> Tensor:
        """Return which noisy images the kernels are made for, bool `[B]`.

        Args:
            query: the noisy images.
            evidence: whether for `evidence`, else for `posterior`.

        Returns:
            Whether products serve each; the torch engine computes for the others.
        """
        batch, channels = query.noisy.shape[:2]
        fits = query.window is not None and query.sources != "aligned" and channels <= CHANNELS
        if not fits or query.noisy.dtype != torch.float32 or self._piece(query)[1] == 0:
            return torch.zeros(batch, dtype=torch.bool)
        return products_serve(query, self.digits / 4 if evidence else self.digits)

    def _by_kind(self, query: Query, served: Tensor) -> Iterator[tuple[Tensor, Query, bool]]:
        """Yield places of noisy images, these, and whether products serve them."""
        if not (query.noisy.is_cuda or _interpreted()):
            reason = f"images are on {query.noisy.device}"
            raise InputError("engine", self.name, "auto, or native", reason)
        for products in (True, False):
            its = (served == products).nonzero()[:, 0]
            if len(its):
                yield its, _some(query, its), products

    def _piece(self, query: Query) -> tuple[int, int]:
        """Return of how many noisy and training images patches are written out at once."""
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

    def _bytes(self, query: Query, plan: Plan, evidence: bool, dense: bool) -> int:
        """Return an upper estimate of the bytes in use while a plan is carried out."""
        channels, height, width = query.noisy.shape[1:]
        pixels = height * width
        total = SCRATCH + 24 * plan.batch * pixels * (channels + 4) + int(self.memory * PATCHES)
        if evidence:
            total += 64 * pixels * plan.block * plan.batch
        if dense:
            total += 4 * plan.batch * pixels * pixels * 8
        return total


def _slices(length: int, step: int) -> list[slice]:
    """Return what divides so many into pieces of at most `step`."""
    return [slice(start, start + step) for start in range(0, length, step)]


def _some(query: Query, index: Tensor) -> Query:
    """Return the query for some of the noisy images."""
    if len(index) == len(query.noisy):
        return query
    return replace(query, noisy=query.noisy[index], alpha_bar=query.alpha_bar[index])
