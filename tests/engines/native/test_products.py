"""Products that take the place of differences in noise: within their rounding, image by image."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from scoremachines.engines import NativeEngine, Query
from scoremachines.engines.native.engine import native_instructions
from scoremachines.theory.positions import SOURCES
from scoremachines.theory.posterior import Posterior

pytestmark = pytest.mark.skipif(not native_instructions(), reason="built without a C++ compiler")
every_set = pytest.mark.parametrize("instructions", native_instructions())

ROUNDING = 2e-3
"""What products may lose of a log-weight, nats (`native/module.cpp`)."""
SIZE = 20


def training_images(channels: int, values: bool) -> Tensor:
    """Return smooth images, whose neighbouring patches are alike, as bytes or as values."""
    draw = torch.Generator().manual_seed(3)
    coarse = torch.rand(40, channels, 5, 5, generator=draw)
    pixels = (torch.nn.functional.interpolate(coarse, SIZE, mode="bicubic") * 255).clamp(0, 255)
    return pixels.round() / 127.5 - 1 if values else pixels.to(torch.uint8)


def level(window: int, channels: int, share: float) -> float:
    """Return ᾱ at which products would lose that share of `ROUNDING` by the engine's own rule."""
    largest = ROUNDING / (math.sqrt(2 * SIZE) * 2**-24)
    ratio = 2 * share * largest / (channels * window**2)
    return ratio / (1 + ratio)


def asked(images: Tensor, window: int, sources: str, levels: list[float]) -> Query:
    """Return a query about a training image under noise."""
    clean = images[7].double() / 127.5 - 1 if images.dtype == torch.uint8 else images[7].double()
    draw = torch.Generator().manual_seed(1)
    noise = torch.randn(len(levels), *clean.shape, generator=draw, dtype=torch.float64)
    at = torch.tensor(levels, dtype=torch.float64)
    root, rest = (part[:, None, None, None] for part in (at.sqrt(), (1 - at).sqrt()))
    return Query((root * clean + rest * noise).float(), at, window, sources)


def posterior(
    engine: NativeEngine, query: Query, images: Tensor, bias: Tensor | None
) -> Posterior:
    return engine.posterior(query, images, torch.arange(len(images)), bias, 0)


@every_set
@pytest.mark.parametrize("sources", [name for name in SOURCES if name != "aligned"])
@pytest.mark.parametrize(
    ("window", "channels", "values"), [(5, 3, False), (9, 1, True), (11, 2, False), (17, 3, True)]
)
def test_on_both_sides_of_the_rule_little_is_lost(
    instructions: str, sources: str, window: int, channels: int, values: bool
) -> None:
    images = training_images(channels, values)
    levels = [level(window, channels, share) for share in (1e-3, 0.3, 0.99, 1.01)]
    query = asked(images, window, sources, levels)
    precise = replace(query, noisy=query.noisy.double())
    draw = torch.Generator().manual_seed(2)
    bias = torch.randn(len(levels), len(images), SIZE, SIZE, generator=draw)
    engine = NativeEngine(threads=2, instructions=instructions)
    for pull in (None, bias):
        found = posterior(engine, query, images, pull)
        known = posterior(engine, precise, images, None if pull is None else pull.double())
        assert (found.mean - known.mean).abs().max() < 1e-4
        lost = (found.log_weight - known.log_weight).abs().amax((1, 2))
        assert (lost < ROUNDING).all()
        assert lost[0] < ROUNDING / 100, "what is lost falls with the noise"
    known = engine.evidence(precise, images)
    lost = (engine.evidence(query, images) - known).abs()
    assert (lost < ROUNDING / 4 + 4e-7 * known.abs()).all(), "an answer in float32 is rounded, too"


@every_set
def test_a_batch_of_both_ways_gives_each_image_what_it_gets_alone(instructions: str) -> None:
    images = training_images(3, False)
    query = asked(images, 7, "valid", [level(7, 3, share) for share in (2.0, 0.5, 3.0, 1e-4)])
    engine = NativeEngine(threads=2, instructions=instructions)
    together = posterior(engine, query, images, None)
    for b in range(4):
        alone = posterior(engine, query.part(slice(b, b + 1)), images, None)
        assert torch.equal(together.mean[b], alone.mean[0])
        assert torch.equal(together.log_weight[b], alone.log_weight[0])


@every_set
def test_tall_images_lose_no_more(instructions: str) -> None:
    """Windows slide over many rows, and every one rounds: the rule counts them."""
    draw = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (2, 1, 400, 6), generator=draw, dtype=torch.uint8)
    largest = ROUNDING / (math.sqrt(406) * 2**-24)
    ratio = 2 * 0.99 * largest / 25
    query = asked(images[[0] * 8], 5, "valid", [ratio / (1 + ratio)])
    engine = NativeEngine(threads=1, instructions=instructions)
    found = posterior(engine, query, images, None)
    known = posterior(engine, replace(query, noisy=query.noisy.double()), images, None)
    assert (found.log_weight - known.log_weight).abs().max() < ROUNDING
    assert (found.mean - known.mean).abs().max() < ROUNDING / 4
