"""Checks that every engine, attention and machine must pass, ours and yours.

    from scoremachines.testing import check_engine
    check_engine(MyEngine())

Each check draws its cases from a seed, with no two axes of equal length, and raises
`AssertionError` naming the case that failed. None of them needs pytest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from scoremachines.attention import Attention, AttentionContext
from scoremachines.attention.base import reduce_here
from scoremachines.engines import Differentiable, Engine, Pull, Query, ReferenceEngine
from scoremachines.machine.conformance import check_machine as check_machine
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.theory.comparing import (
    check_close,
    check_same_posterior,
    check_same_sources,
)
from scoremachines.theory.positions import SOURCES
from scoremachines.theory.posterior import Posterior

__all__ = ["Case", "cases", "check_attention", "check_engine", "check_machine"]

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


@dataclass(frozen=True)
class Case:
    """A query and the training images that it is put to.

    Args:
        query: 2 noisy images.
        images: training images, `[n, C, H, W]`.
        bias: Π_u(i), `[2, n, H, W]`, or None.
        text: the case in words.
    """

    query: Query
    images: Tensor
    bias: Tensor | None
    text: str


def cases(
    dtype: torch.dtype = torch.float64,
    *,
    shape: tuple[int, int, int] = (3, 5, 7),
    count: int = 11,
    seed: int = 0,
    device: str = "cpu",
) -> Iterator[Case]:
    """Yield every kind of source at every odd window, from almost all noise to almost none.

    Args:
        dtype: of images and query.
        shape: (C, H, W), H and W at least 5.
        count: number of training images.
        seed: of all that is drawn.
        device: of images and query.

    Yields:
        The cases.
    """
    draw = torch.Generator().manual_seed(seed)
    images = torch.rand((count, *shape), generator=draw, dtype=torch.float64) * 2 - 1
    for sources, window, low in itertools.product(SOURCES, (1, 3, 5, None), (1e-4, 0.3, 0.9999)):
        if window is None and sources not in ("aligned", "circular"):
            continue
        alpha_bar = torch.tensor([low, 0.8 * low + 0.1], dtype=torch.float64)
        level = alpha_bar[:, None, None, None]
        noise = torch.randn((2, *shape), generator=draw, dtype=torch.float64)
        noisy = (level.sqrt() * images[:2] + (1 - level).sqrt() * noise).to(device, dtype)
        query = Query(noisy, alpha_bar, window, sources)
        bias = torch.randn(2, count, *shape[1:], generator=draw, dtype=torch.float64) * 3
        for drawn in (None, bias.to(device, dtype)):
            text = f"{sources=} {window=} ᾱ={alpha_bar.tolist()} bias={drawn is not None} {dtype}"
            yield Case(query, images.to(device, dtype), drawn, text)


def check_engine(
    engine: Engine,
    *,
    dtypes: tuple[torch.dtype, ...] = (torch.float64, torch.float32),
    best: int = 4,
    device: str = "cpu",
    shape: tuple[int, int, int] = (3, 5, 7),
    count: int = 11,
    seed: int = 0,
) -> None:
    """Compare an engine with the float64 reference, its gradient with automatic differentiation.

    Args:
        engine: the engine; one that leaves sources out may be off by as much as its bound. Its
            gradient and its moments are checked if it is `Differentiable`, or reads once.
        dtypes: of the queries; x̂0 must agree to 1e-9 in float64 and 1e-4 in float32.
        best: how many sources to name; in float64 they must be the same.
        device: where the engine runs.
        shape: (C, H, W) of the images.
        count: number of training images.
        seed: of the cases.

    Raises:
        AssertionError: the engine disagrees.
    """
    for dtype in dtypes:
        for known in _exact(dtype, shape, count, seed, device, best):
            _check_case(engine, known, TOLERANCE[dtype])


def _check_case(engine: Any, known: _Exact, tolerance: float) -> None:
    """Compare an engine with the reference on one case."""
    case, query, index = known.case, known.case.query, known.index
    moments = isinstance(engine, Differentiable) or getattr(engine, "reads_once", False)
    if case.bias is None:  # on which neither evidence nor moments depend
        _same_evidence(engine, known, tolerance, moments=moments)
    found = engine.posterior(query, case.images, index, case.bias, known.best)
    check_same_posterior(found, known.posterior, tolerance, case.text)
    if query.noisy.dtype == torch.float64:
        check_same_sources(found, known.posterior, case.text)
    plain = engine.posterior(query, case.images, index, case.bias, 0)
    bound = (plain.error_bound + found.error_bound)[:, None]
    check_close(plain.mean, found.mean, tolerance, f"{case.text}, without sources", bound)
    if isinstance(engine, Differentiable):
        pull, wanted = known.gradient
        # Covariances are multiplied by √ᾱ/(1−ᾱ), and what is rounded off them too.
        factor = (query.signal / query.variance).to(wanted)[:, None, None, None]
        scale = 1 + wanted.abs().amax((1, 2, 3), keepdim=True) + 0.01 * factor
        gradient = engine.gradient(query, case.images, pull)
        check_close(gradient / scale, wanted / scale, tolerance, f"{case.text}, gradient")


def _same_evidence(engine: Any, known: _Exact, tolerance: float, *, moments: bool) -> None:
    """Compare evidence, and moments where there are any, with the reference's (theory §2)."""
    case, (evidence, mean) = known.case, known.moments
    relative = 1 + evidence.abs()
    found = engine.evidence(case.query, case.images)
    check_close(found / relative, evidence / relative, tolerance, case.text)
    if moments:
        found, found_mean = engine.moments(case.query, case.images)
        check_close(found / relative, evidence / relative, tolerance, f"{case.text}, moments")
        # Log-likelihoods are rounded in proportion to their size, and weights with them.
        apart = (found_mean - mean) / relative[:, :, None]
        text = f"{case.text}, mean colours"
        check_close(apart, torch.zeros_like(apart), tolerance, text)


@lru_cache(maxsize=8)
def _exact(
    dtype: torch.dtype, shape: tuple[int, int, int], count: int, seed: int, device: str, best: int
) -> list[_Exact]:
    """Return all cases; kept, so that engines checked in turn share the reference's answers."""
    index = torch.arange(count, device=device) + 5
    drawn = cases(dtype, shape=shape, count=count, seed=seed, device=device)
    return [_Exact(case, index, best) for case in drawn]


@dataclass(frozen=True, eq=False)
class _Exact:
    """A case and the answers of the float64 reference, each computed when it is first needed."""

    case: Case
    index: Tensor
    best: int

    @cached_property
    def query(self) -> Query:
        query = self.case.query
        return replace(query, noisy=query.noisy.double())

    @cached_property
    def images(self) -> Tensor:
        return self.case.images.double()

    @cached_property
    def bias(self) -> Tensor | None:
        return None if self.case.bias is None else self.case.bias.double()

    @cached_property
    def posterior(self) -> Posterior:
        return ReferenceEngine().posterior(
            self.query, self.images, self.index, self.bias, self.best
        )

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        return ReferenceEngine().moments(self.query, self.images)

    @cached_property
    def gradient(self) -> tuple[Pull, Tensor]:
        """A pull, and `∂/∂φ Σ ⟨g, x̂0⟩` by automatic differentiation (theory §2.8)."""
        noisy = self.query.noisy.clone().requires_grad_()
        exact, bias = replace(self.query, noisy=noisy), self.bias
        direction = self.case.query.noisy.flip(1).cos()
        if exact.window is None and bias is not None:
            bias = bias[..., :1, :1].expand_as(bias)  # a level that is the same at every pixel
        with torch.enable_grad():
            posterior = ReferenceEngine().posterior(exact, self.images, self.index, bias, 0)
            (wanted,) = torch.autograd.grad(posterior.mean, noisy, direction.double())
        log_weight = posterior.log_weight.detach()[:, None]
        level = log_weight - (torch.zeros_like(log_weight) if bias is None else bias)
        offset = -(direction * posterior.mean.detach()).sum(1, keepdim=True).double()
        return Pull(direction, level, torch.ones_like(level), offset.expand_as(level)), wanted


def check_attention(attention: Attention, *, seed: int = 0) -> None:
    """Check that an attention fits the form of theory §4.

    Π_u must not contain E_u, must be linear in the evidence, must not depend on the other images
    of a batch, and a machine with it must pass `check_machine`.

    Args:
        attention: the attention.
        seed: of the noisy images.

    Raises:
        AssertionError: it does not.
    """
    draw = torch.Generator().manual_seed(seed)
    noisy = torch.randn(2, 3, 5, 7, generator=draw, dtype=torch.float64)
    alpha_bar = torch.tensor([0.3, 0.7], dtype=torch.float64)
    evidence = torch.randn(2, 11, 5, 7, generator=draw, dtype=torch.float64) - 20

    def context(some: slice) -> AttentionContext:
        return AttentionContext(
            noisy[some],
            alpha_bar[some],
            alpha_bar[some],
            3,
            True,
            reduce_here(evidence[some]),
        )

    both = attention.attention_weights(context(slice(0, 2)))
    for number, (window, rows) in enumerate(both):
        total = rows.apply(evidence)
        text = f"{attention.name} at window {window}"
        check_close(rows.apply(2 * evidence), 2 * total, 1e-9, f"{text}: linear in the evidence")
        changed = evidence.clone()
        changed[:, :, 2, 3] += 5
        check_close(rows.apply(changed)[:, :, 2, 3], total[:, :, 2, 3], 1e-9, f"{text}: y ≠ u")
        alone = attention.attention_weights(context(slice(1, 2)))[number][1].apply(evidence[1:])
        check_close(alone, total[1:], 0.0, f"{text}: alone and in a batch")
    images = torch.rand(11, 3, 5, 7, generator=draw, dtype=torch.float64) * 2 - 1
    check_machine(lambda data: ScoreMachine(data, 3, "circular", attention), images)
