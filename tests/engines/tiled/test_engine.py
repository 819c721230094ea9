"""The torch engine in float32, its lists against a full sort, and its blocks."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import scoremachines as sm
from scoremachines.engines import Plan, Query, ReferenceEngine, TorchEngine, make_engine
from scoremachines.theory.positions import PERIODIC, SOURCES, admissible, patches

LEVELS = st.floats(math.log(1e-4), math.log(1e4)).map(lambda snr: 1 / (1 + math.exp(-snr)))


def images(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=draw, dtype=torch.float64) * 2 - 1


@st.composite
def clear_questions(draw: st.DrawFn) -> tuple[Query, Tensor]:
    """Draw noisy training images in float32, so that some patches fit at every noise level."""
    channels, count = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    height, width = draw(st.integers(3, 9)), draw(st.integers(3, 9))
    fitting = [k for k in (1, 3, 5, 7) if k <= min(height, width)]
    window = draw(st.sampled_from([*fitting, None]))
    sources = draw(st.sampled_from(SOURCES if window else ("aligned", "circular")))
    clean = images(count, channels, height, width, seed=draw(st.integers(0, 999))).float()
    level = torch.tensor([draw(LEVELS), draw(LEVELS)], dtype=torch.float64)
    root, rest = (part[:, None, None, None] for part in (level.sqrt(), (1 - level).sqrt()))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    noise = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
    noisy = (root * clean[[0, -1]] + rest * noise).float()
    return Query(noisy, level, window, sources), clean


@settings(max_examples=60)
@given(clear_questions())
def test_single_precision_keeps_its_digits(question: tuple[Query, Tensor]) -> None:
    """An error of ℓ is an error of a weight, relatively.

    ℓ is a sum of squares over 2(1−ᾱ), so it is exact to a few of its own last places, 6e-8 |ℓ|.
    Where a patch fits, ℓ of the sources that matter is about C k²/2, at most a hundred; where none
    does (wrapped images at ᾱ near 1 have seams that no training patch has) the largest |ℓ| counts.
    """
    query, clean = question
    exact = Query(query.noisy.double(), query.alpha_bar, query.window, query.sources)
    index = torch.arange(len(clean))
    known = ReferenceEngine().posterior(exact, clean.double(), index, None, 2)
    found = TorchEngine().posterior(query, clean, index, None, 2)
    size = known.log_weight.abs() + math.log(clean[:, 0].numel()) + 10
    tolerance = 16 * torch.finfo(torch.float32).eps * size
    assert ((found.mean - known.mean).abs().amax(1) <= 2 * tolerance).all()
    assert ((found.log_weight - known.log_weight).abs() <= tolerance).all()
    assert ((found.entropy - known.entropy).abs() <= 40 * tolerance).all()
    assert found.mean.dtype == torch.float32


def sorted_sources(
    query: Query, clean: Tensor, bias: Tensor, sample: int, pixel: int
) -> list[tuple[float, int, int]]:
    """Return all of a pixel's sources, best first, equals by image and position."""
    height, width = clean.shape[-2:]
    allowed = admissible(height, width, query.window, query.sources)[pixel]
    level, periodic = float(query.alpha_bar[sample]), PERIODIC[query.sources]
    near = patches(query.noisy[sample : sample + 1], query.window, periodic)[0, pixel]
    far = patches(clean, query.window, periodic)
    listed = []
    for i, v in itertools.product(range(len(clean)), allowed.nonzero()[:, 0].tolist()):
        distance = float((near - level**0.5 * far[i, v]).square().sum())
        weight = -distance / (2 * (1 - level)) + float(bias[sample, i].flatten()[pixel])
        listed.append((weight - math.log(int(allowed.sum())), i, v))
    return sorted(listed, key=lambda source: (-round(source[0], 9), source[1], source[2]))


@pytest.mark.parametrize("kind", ["random", "twins", "stripes"])
@pytest.mark.parametrize("sources", SOURCES)
@pytest.mark.parametrize("engine", ["reference", "torch"])
def test_the_best_sources_are_those_of_a_full_sort(engine: str, sources: str, kind: str) -> None:
    clean = images(5, 2, 4, 6)
    if kind == "twins":  # every image twice: equal weights at different images
        clean = clean[[0, 1, 0, 2, 1]]
    if kind == "stripes":  # every row the same: equal weights at different positions
        clean = clean[:, :, :1].expand_as(clean).contiguous()
    level = torch.tensor([0.3, 0.95], dtype=torch.float64)
    query = Query(images(2, 2, 4, 6, seed=1) * 1.5, level, 3, sources)
    bias = torch.zeros(2, 5, 4, 6, dtype=torch.float64)
    if kind == "random":
        bias = images(2, 5, 4, 6, seed=2) * 3
    found = make_engine(engine).posterior(query, clean, torch.arange(5), bias, 7).sources
    for sample, pixel in itertools.product(range(2), range(24)):
        known = sorted_sources(query, clean, bias, sample, pixel)[:7]
        lists = [
            field[sample].flatten(1)[:, pixel].tolist()
            for field in (found.log_weight, found.image, found.position)
        ]
        listed = list(zip(*lists, strict=True))
        present = [source for source in listed if source[1] >= 0]
        assert [source[1:] for source in present] == [source[1:] for source in known]
        for (weight, *_), (expected, *_) in zip(present, known, strict=True):
            assert math.isclose(weight, expected, rel_tol=1e-10, abs_tol=1e-10)
        for absent in listed[len(known) :]:
            assert absent == (-math.inf, -1, -1)


def test_whole_images_name_each_pixels_own_place() -> None:
    """ES against a full sort, where no two weights are equal."""
    clean, level = images(5, 2, 3, 4), torch.tensor([0.3, 0.95], dtype=torch.float64)
    query = Query(images(2, 2, 3, 4, seed=1) * 1.5, level, None, "circular")
    bias = images(2, 5, 3, 4, seed=2) * 3
    found = TorchEngine().posterior(query, clean, torch.arange(5), bias, 7).sources
    for sample, pixel in itertools.product(range(2), range(12)):
        known = sorted_sources(query, clean, bias, sample, pixel)[:7]
        image, position = (
            field[sample].flatten(1)[:, pixel].tolist() for field in (found.image, found.position)
        )
        assert list(zip(image, position, strict=True)) == [source[1:] for source in known]


@pytest.mark.parametrize("attention", ["none", "tiled", "identity"])
def test_any_block_any_engine_the_same_answer(attention: str) -> None:
    clean, noisy = images(13, 3, 5, 7), images(3, 3, 5, 7, seed=1) * 1.5

    class Cut(TorchEngine):
        def __init__(self, batch: int, block: int) -> None:
            super().__init__()
            self.cut = Plan(batch, block)

        def plan(self, query: Query, count: int, **wants: object) -> Plan:
            return self.cut

    known = sm.bbels(sm.TrainingSet(clean), 3, attention=attention, engine="reference")
    known = known.posterior(noisy, 0.6, best=3)
    for batch, block in ((1, 1), (2, 4), (3, 13), (1, 12)):
        machine = sm.bbels(sm.TrainingSet(clean), 3, attention=attention, engine=Cut(batch, block))
        found = machine.posterior(noisy, 0.6, best=3)
        torch.testing.assert_close(found.mean, known.mean, rtol=0, atol=1e-9)
        torch.testing.assert_close(found.entropy, known.entropy, rtol=0, atol=1e-9)
        assert torch.equal(found.sources.image, known.sources.image)
        assert torch.equal(found.sources.position, known.sources.position)


def test_bytes_are_the_numbers_that_they_stand_for() -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (7, 3, 5, 7), generator=draw, dtype=torch.uint8)
    noisy = images(2, 3, 5, 7, seed=1)
    known = sm.els(sm.TrainingSet(pixels / 127.5 - 1.0), 3).denoise(noisy.float(), 0.7)
    found = sm.els(sm.TrainingSet(pixels), 3).denoise(noisy.float(), 0.7)
    torch.testing.assert_close(found, known, rtol=0, atol=1e-5)
