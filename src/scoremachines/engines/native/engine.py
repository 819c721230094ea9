"""The native engine: the same sums as the torch engine's, in C++ on all cores (folder `native/`).

As there, the patch distances of one displacement are a box filter of squared differences, and the
images of a block are innermost. Here they are the lanes of two vectors, and bytes stay packed, two
images to a word. Sums over a window take four additions a direction, and weights are added up as
they come, below a reference that follows the largest, so nothing is held for all pairs. A
log-weight `depth` below the reference is passed over: all of them together are less than `2⁻²³`
(float32) or `2⁻⁵²` (float64) of the total.

In float32, for windows from 5 on, products take the place of differences where there is noise
enough (theory §2.5), at half the arithmetic. Elsewhere the mean C (1−ᾱ)/ᾱ under the noise is taken
from every squared difference, which shifts all log-weights alike and leaves more digits where a
patch fits. Where the best sources are kept neither is done, so there the last digits may differ.

The instruction set is chosen when the package is loaded: AVX-512, AVX2, or what the compiler makes
of 16-byte vectors (SSE2, NEON). Results do not depend on the number of threads.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from scoremachines.data.training_set import pixel_values
from scoremachines.engines.base import Held, Plan, Pull, Query
from scoremachines.engines.full_image import Whole
from scoremachines.engines.memory import plan_native
from scoremachines.engines.native.ideal import Ideal
from scoremachines.engines.native.layout import framed_query, stored_images, table
from scoremachines.engines.tiled.gradient import from_sums
from scoremachines.engines.tiled.smoothing import Smoothing
from scoremachines.errors import InputError, whole
from scoremachines.theory.posterior import Posterior, Sources
from scoremachines.theory.runs import log_counts

try:
    from scoremachines.engines.native import _native  # type: ignore[attr-defined]
except ImportError:  # built without a compiler
    _native = None

__all__ = ["NativeEngine", "depth", "native_instructions", "needs_float64", "warn_if_missing"]


def native_instructions() -> list[str]:
    """Return the instruction sets that this build and processor share, the fastest first.

    Returns:
        Their names; empty if the package was built without a compiler.
    """
    return [] if _native is None else list(_native.instruction_sets())


@cache
def warn_if_missing() -> None:
    """Log one line, once a process, if the torch engine has to take the native one's place."""
    if not native_instructions():
        logging.getLogger("scoremachines").warning(
            "the torch engine takes over from the native one, which is many times faster: the "
            "package was built without a C++ compiler; install one, then scoremachines again"
        )


DOUBTFUL = 0.01
"""Rounding of a log-weight, nats, above which float64 is used inside."""


class NativeEngine:
    """Exact, on the CPU: `ℓ = 2λ⟨q, x⟩ − λ‖x‖² − λ‖q‖²`, `q = φ/√ᾱ`, `λ = ᾱ/(2(1−ᾱ))` (§2.5).

    Args:
        memory: bytes that the engine may use above the training set.
        threads: how many threads; None for as many as torch uses (`torch.set_num_threads`).
        instructions: one of `native_instructions()`; None for the fastest.

    Raises:
        InputError: the package was built without its native part, or an argument is none of these.
    """

    name = "native"
    accepts_uint8 = True
    reads_once = True
    threaded = True
    smooths = True

    def __init__(
        self, memory: int = 2**30, threads: int | None = None, instructions: str | None = None
    ) -> None:
        sets = native_instructions()
        if not sets:
            reason = "the package was built without a C++ compiler"
            raise InputError("engine", "native", "torch", reason)
        if instructions is not None and instructions not in sets:
            raise InputError("instructions", instructions, ", ".join(sets))
        if threads is not None:
            threads = whole("threads", threads, 1)
        self.memory, self.threads, self.instructions = memory, threads, instructions

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
        if query.smooth is not None:
            return self._smoothing().plan(query, count, evidence, dense, best, held)
        if needs_float64(query).any():
            query = replace(query, noisy=query.noisy.double())
        return plan_native(
            self.memory, self.thread_count, query, count, evidence, dense, best, held
        )

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        if query.smooth is not None:
            return self._smoothing().evidence(query, images)
        if query.window is None:
            return self._whole(query, images).evidence()
        log_counts = _log_counts(query)
        within = depth(query, log_counts, 1)
        evidence = torch.from_numpy(
            _native.evidence(**self.arguments(query, images), depth=within)
        )
        return evidence.sub_(log_counts.to(evidence.dtype))

    def posterior(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        if query.smooth is not None:
            return self._smoothing().posterior(query, images, index, bias, best)
        if query.window is None:
            return self._whole(query, images).posteriors(bias, index, best)
        precise = needs_float64(query)
        if precise.any():
            return self._posterior_of_each(query, images, index, bias, best, precise)
        log_counts = _log_counts(query)
        found = _native.posterior(
            **self.arguments(query, images),
            bias=None if bias is None else bias.contiguous().numpy(),
            index=index.contiguous().numpy(),
            best=best,
            depth=depth(query, log_counts, len(images)),
        )
        log_weight, mean, entropy, *lists = map(torch.from_numpy, found)
        if not best:
            return Posterior(log_weight - log_counts, mean)
        sources = Sources(*lists)
        return Posterior(log_weight, mean, entropy, sources).shifted(-log_counts[None])

    def moments(self, query: Query, images: Tensor) -> tuple[Tensor, Tensor]:
        if query.smooth is not None:
            return self._smoothing().moments(query, images)
        if query.window is None:
            return self._whole(query, images).moments()
        precise = needs_float64(query)
        if precise.any():
            parts = [self.moments(part, images) for part in _each(query, precise)]
            evidence, mean = (torch.cat(fields) for fields in zip(*parts, strict=True))
            return evidence, mean.to(query.noisy.dtype)
        log_counts = _log_counts(query)
        found = _native.moments(**self.arguments(query, images), depth=depth(query, log_counts, 1))
        evidence, mean = map(torch.from_numpy, found)
        return evidence.sub_(log_counts), mean

    def gradient(self, query: Query, images: Tensor, pull: Pull) -> Tensor:
        if query.window is None:
            return self._whole(query, images).gradient(pull)
        precise = needs_float64(query)
        if precise.any():
            parts = []
            for b, part in enumerate(_each(query, precise)):
                its_pull = pull.part(slice(b, b + 1)).to(part.noisy.dtype)
                parts.append(self.gradient(part, images, its_pull))
            return torch.cat([part.to(query.noisy.dtype) for part in parts])
        log_counts = _log_counts(query)
        fields = {"level": pull.level + log_counts, "gain": pull.gain, "offset": pull.offset}
        sums = _native.gradient(
            **self.arguments(query, images),
            direction=pull.direction.contiguous().numpy(),
            **{name: field.contiguous().numpy() for name, field in fields.items()},
            depth=depth(query, log_counts, len(images)),
        )
        return from_sums(query, torch.from_numpy(sums))

    def _posterior_of_each(
        self,
        query: Query,
        images: Tensor,
        index: Tensor,
        bias: Tensor | None,
        best: int,
        precise: Tensor,
    ) -> Posterior:
        """Return the posterior of each noisy image by itself, in float64 where `precise`."""
        parts = []
        for b, part in enumerate(_each(query, precise)):
            its_bias = bias if bias is None else bias[b : b + 1].to(part.noisy.dtype)
            parts.append(self.posterior(part, images, index, its_bias, best))
        return Posterior.cat([part.to(query.noisy.dtype) for part in parts])

    def _whole(self, query: Query, images: Tensor) -> Whole:
        if query.sources == "aligned":
            return Ideal(query, images, self.running())
        return Whole(query, pixel_values(images, torch.float64))

    def _smoothing(self) -> Smoothing:
        """Return what answers where sources have a width: products and sums in one go."""

        def sums(*parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            found = _native.smooth(*(each.numpy() for each in parts), **self.running())
            log_weight, share, colour = map(torch.from_numpy, found)
            return log_weight, share, colour

        return Smoothing(self.memory, sums)

    def running(self) -> dict[str, object]:
        """Return threads and instruction set as arguments of the native part."""
        return {"threads": self.thread_count, "instructions": self.instructions or ""}

    @property
    def thread_count(self) -> int:
        """How many threads work at once."""
        return self.threads or torch.get_num_threads()

    def arguments(self, query: Query, images: Tensor) -> dict[str, object]:
        """Return the common arguments of the native functions."""
        assert query.window is not None
        height, width = images.shape[-2:]
        return {
            "noisy": framed_query(query),
            "scale": (-(query.signal**2) / (2 * query.variance)).numpy(),
            "images": stored_images(images, query).numpy(),
            "rows": table(height, query.window, query.sources),
            "columns": table(width, query.window, query.sources),
            "window": query.window,
            "wrapped": query.sources == "circular",
            **self.running(),
        }


def _each(query: Query, precise: Tensor) -> list[Query]:
    """Return a query for each noisy image, in float64 where `precise`."""
    parts = []
    for b, doubled in enumerate(precise.tolist()):
        part = query.part(slice(b, b + 1))
        parts.append(replace(part, noisy=part.noisy.double()) if doubled else part)
    return parts


def _log_counts(query: Query) -> Tensor:
    """Return log |V(u)|, float64 `[H, W]`."""
    size, window = tuple(query.noisy.shape[-2:]), query.window or 1
    return log_counts(size, window, query.sources, query.noisy.device)


def depth(query: Query, log_counts: Tensor, images: int) -> float:
    """Return `depth = −log ε + log max_u |V(u)| + log N`, nats: what is below is rounded off."""
    rounding = -math.log(torch.finfo(query.noisy.dtype).eps)
    return rounding + float(log_counts.max()) + math.log(images)


def needs_float64(query: Query) -> Tensor:
    """Return for which noisy images single precision may lose digits of x̂0 that matter, `[B]`.

    `ℓ = −ᾱ/(2(1−ᾱ)) Σ (φ/√ᾱ − x)²` over C k² squares, each of order 1 where nothing fits,
    as at the seams of wrapped images. Its rounding is a relative error of every weight.
    """
    if query.noisy.dtype == torch.float64:
        return torch.zeros(len(query.noisy), dtype=torch.bool)
    squares = query.noisy.shape[1] * (query.window or 1) ** 2
    scale = query.signal**2 / (2 * query.variance)
    return scale * squares * torch.finfo(query.noisy.dtype).eps > DOUBTFUL
