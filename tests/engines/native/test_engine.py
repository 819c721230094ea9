"""The native engine against the float64 reference, on every instruction set of the processor."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import scoremachines as sm
from scoremachines.engines import NativeEngine, Query, ReferenceEngine, TorchEngine
from scoremachines.engines.native.engine import native_instructions
from scoremachines.errors import InputError
from scoremachines.testing import check_engine
from scoremachines.theory.positions import SOURCES, admissible
from scoremachines.theory.posterior import Posterior, Sources

INSTRUCTIONS = native_instructions()
LEVELS = st.one_of(
    st.sampled_from([0.0, 1e-12, 1e-4, 0.5, 0.9999, 1 - 1e-9, 1.0]), st.floats(0.01, 0.99)
)
KINDS = ("random", "bytes", "constant", "twins", "stripes")

pytestmark = pytest.mark.skipif(not INSTRUCTIONS, reason="built without a C++ compiler")
every_set = pytest.mark.parametrize("instructions", INSTRUCTIONS)


def training_images(kind: str, count: int, shape: tuple[int, int, int], seed: int) -> Tensor:
    """Return images whose values are bytes exactly, so that both dtypes hold the same numbers."""
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    if kind == "constant":
        return torch.full_like(pixels, 200)
    if kind == "twins":  # every image twice: equal weights at different images
        return pixels[torch.arange(count) // 2]
    if kind == "stripes":  # every row the same: equal weights at different positions
        return pixels[:, :, :1].expand_as(pixels).contiguous()
    return pixels


@st.composite
def questions(draw: st.DrawFn) -> tuple[Query, Tensor, Tensor | None, int]:
    """Draw a query in float64, training images as bytes, Π_u(i) or None, and K."""
    channels, count = draw(st.integers(1, 4)), draw(st.integers(1, 37))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    fitting = [k for k in (1, 3, 5, 7, 9) if k <= min(height, width)]
    window = draw(st.sampled_from([*fitting, None]))
    sources = draw(st.sampled_from(SOURCES if window else ("aligned", "circular")))
    seed, kind = draw(st.integers(0, 999)), draw(st.sampled_from(KINDS))
    pixels = training_images(kind, count, (channels, height, width), seed)
    level = torch.tensor([draw(LEVELS), draw(LEVELS)], dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed + 1)
    noise = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
    root, rest = (part[:, None, None, None] for part in (level.sqrt(), (1 - level).sqrt()))
    noisy = root * values(pixels[[0, -1]]) + rest * noise
    bias = None
    if draw(st.booleans()):
        bias = torch.randn(2, count, height, width, generator=generator, dtype=torch.float64) * 9
    return Query(noisy, level, window, sources), pixels, bias, draw(st.integers(0, 7))


def values(pixels: Tensor) -> Tensor:
    return pixels.double() / 127.5 - 1


def single(query: Query) -> Query:
    return Query(query.noisy.float(), query.alpha_bar, query.window, query.sources)


def tolerance(query: Query, log_weight: Tensor, rounding: float) -> Tensor:
    """Return how far ℓ may be off where the largest is near `log_weight`, nats.

    ℓ = Σ d²/2σ² is exact to a few of its own last places, and each d to those of φ: the sum of
    d·δ/σ² is at most √(2ℓ n) δ/σ, with n the number of terms and δ the rounding of φ.
    """
    channels, height, width = query.noisy.shape[1:]
    terms = channels * (query.window**2 if query.window else height * width)
    sigma = query.variance.sqrt()[:, None, None, None].to(log_weight.device)
    size = 30 + log_weight.abs()
    size = size.view(len(sigma), -1, *size.shape[-2:])
    size = size + 4 * (size * terms).sqrt() / sigma
    if query.window is None and query.sources == "circular":  # Fourier transforms: φ² − 2φx + x²
        size = size + 4 * terms / sigma.square()
    return (rounding * size).view(log_weight.shape)


def assert_close(query: Query, found: Posterior, known: Posterior, rounding: float) -> None:
    """An error of ℓ is an error of a weight, relatively."""
    allowed = tolerance(query, known.log_weight, rounding)
    assert ((found.mean - known.mean).abs().amax(1) <= 2 * allowed).all()
    assert ((found.log_weight - known.log_weight).abs() <= allowed).all()
    if known.entropy is not None:
        assert ((found.entropy - known.entropy).abs() <= 40 * allowed).all()


@every_set
@settings(max_examples=60)
@given(questions())
def test_it_is_the_reference_in_double_precision(
    instructions: str, question: tuple[Query, Tensor, Tensor | None, int]
) -> None:
    query, pixels, bias, best = question
    engine, reference, index = NativeEngine(instructions=instructions), ReferenceEngine(), None
    index = 3 + 2 * torch.arange(len(pixels))
    known = reference.posterior(query, values(pixels), index, bias, best)
    evidence = reference.evidence(query, values(pixels))
    for images in (pixels, values(pixels)):
        found = engine.posterior(query, images, index, bias, best)
        assert_close(query, found, known, 1e-14)
        assert found.mean.dtype == torch.float64
        difference = (engine.evidence(query, images) - evidence).abs()
        assert (difference <= tolerance(query, evidence, 1e-14)).all()
        if best:
            weights = (found.sources.log_weight - known.sources.log_weight).nan_to_num(0.0)
            listed = known.sources.log_weight.clamp(min=-1e300)
            assert (weights.abs() <= 10 * tolerance(query, listed, 1e-14)).all()


@every_set
@settings(max_examples=40)
@given(questions())
def test_single_precision_keeps_its_digits(
    instructions: str, question: tuple[Query, Tensor, Tensor | None, int]
) -> None:
    query, pixels, bias, best = question
    engine, index = NativeEngine(instructions=instructions), torch.arange(len(pixels))
    noisy, few = single(query), None if bias is None else bias.float()
    exact = Query(noisy.noisy.double(), query.alpha_bar, query.window, query.sources)
    wide = None if few is None else few.double()
    known = ReferenceEngine().posterior(exact, values(pixels), index, wide, best)
    found = engine.posterior(noisy, pixels, index, few, best)
    assert_close(exact, found, known, 2e-6)
    assert found.mean.dtype == torch.float32
    evidence = ReferenceEngine().evidence(exact, values(pixels))
    difference = (engine.evidence(noisy, pixels) - evidence).abs()
    assert (difference <= tolerance(exact, evidence, 2e-6)).all()


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 8, 6), (2, 7, 5)])
def test_it_passes_the_check_of_every_engine(shape: tuple[int, int, int]) -> None:
    for instructions in INSTRUCTIONS:
        check_engine(NativeEngine(instructions=instructions), shape=shape, count=19)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 3, 5, 7])
@pytest.mark.parametrize("kind", ["twins", "stripes", "constant"])
def test_equal_patches_are_ordered_by_image_and_position(
    kind: str, window: int, channels: int
) -> None:
    pixels = training_images(kind, 20, (channels, 7, 9), 0)
    draw = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, channels, 7, 9, generator=draw, dtype=torch.float64)
    level = torch.tensor([0.3, 0.95], dtype=torch.float64)
    index = torch.arange(20)
    for sources in SOURCES:
        query = Query(noisy, level, window, sources)
        known = ReferenceEngine().posterior(query, values(pixels), index, None, 20 * 63).sources
        # The reference adds up in an order that depends on where a patch lies in memory.
        known = Sources(known.log_weight.round(decimals=9), known.image, known.position).best(9)
        for instructions in INSTRUCTIONS:
            engine = NativeEngine(instructions=instructions)
            found = engine.posterior(query, pixels, index, None, 9).sources
            assert torch.equal(found.image, known.image), (sources, instructions)
            assert torch.equal(found.position, known.position), (sources, instructions)


@pytest.mark.parametrize(
    "window",
    [3, 5, 7, 9, 21, *(pytest.param(k, marks=pytest.mark.slow) for k in (11, 13, 15, 17, 19, 23))],
)
def test_every_window_has_loops_that_add_up(window: int) -> None:
    """Beside the torch engine in double precision, for images that the window just fits into."""
    draw = torch.Generator().manual_seed(window)
    engines = [NativeEngine(instructions=each) for each in native_instructions()]
    level, index = torch.tensor([0.05, 0.9], dtype=torch.float64), torch.arange(12)
    for channels, sources in itertools.product((1, 3), SOURCES):
        pixels = training_images("random", 12, (channels, window, 26), window)
        noisy = values(pixels[:2]) + torch.randn(pixels[:2].shape, generator=draw).double()
        query = Query(noisy.float(), level, window, sources)
        exact = Query(query.noisy.double(), level, window, sources)
        known = TorchEngine().posterior(exact, values(pixels), index, None, 2)
        types = pixels, values(pixels).float()
        for engine, images, best in itertools.product(engines, types, (0, 2)):
            found = engine.posterior(query, images, index, None, best)
            assert_close(exact, replace(found, entropy=None), replace(known, entropy=None), 2e-6)


@every_set
@pytest.mark.parametrize("window", [3, 7, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_number_of_threads_gives_the_same_bits(
    instructions: str, window: int | None, dtype: torch.dtype
) -> None:
    pixels = training_images("random", 300, (3, 9, 11), 0)
    draw = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, 3, 9, 11, generator=draw, dtype=dtype)
    level, index = torch.tensor([0.3, 0.9], dtype=torch.float64), torch.arange(300)
    for sources in ("aligned", "circular") if window is None else SOURCES:
        query = Query(noisy, level, window, sources)
        answers = []
        for threads in (1, 2, 3, 5, 8):
            engine = NativeEngine(threads=threads, instructions=instructions)
            posterior = engine.posterior(query, pixels, index, None, 3)
            sources_found = posterior.sources
            answers.append(
                (
                    engine.posterior(query, pixels, index, None, 0).mean,
                    posterior.mean,
                    posterior.log_weight,
                    posterior.entropy,
                    sources_found.log_weight,
                    sources_found.image,
                    sources_found.position,
                    engine.evidence(query, pixels),
                )
            )
        for other in answers[1:]:
            assert all(map(torch.equal, answers[0], other))


@every_set
@pytest.mark.parametrize("sources", SOURCES)
@pytest.mark.parametrize("attention", ["none", "full"])
def test_a_sample_does_not_depend_on_its_neighbours(
    instructions: str, sources: str, attention: str
) -> None:
    pixels = training_images("random", 90, (3, 6, 8), 0)
    noisy = sm.starting_noise(0, range(5), (3, 6, 8))
    level = torch.tensor([0.9999, 0.5, 1e-4, 0.99, 0.2], dtype=torch.float64)
    engine = NativeEngine(instructions=instructions)
    machine = sm.ScoreMachine(sm.TrainingSet(pixels), 3, sources, attention, engine=engine)
    together = machine.posterior(noisy, level, best=2)
    for i in range(5):
        alone = machine.posterior(noisy[i : i + 1], level[i : i + 1], best=2)
        assert torch.equal(alone.mean[0], together.mean[i])
        assert torch.equal(alone.log_weight[0], together.log_weight[i])
        assert torch.equal(alone.sources.image[0], together.sources.image[i])


def test_a_single_pixel_is_known_in_closed_form() -> None:
    """Of one image of one pixel the posterior is that pixel, whatever the noise."""
    pixels = torch.tensor([[[[51]]]], dtype=torch.uint8)
    for instructions, sources in itertools.product(INSTRUCTIONS, SOURCES):
        query = Query(torch.full((1, 1, 1, 1), 3.0), torch.tensor([0.4]).double(), 1, sources)
        engine = NativeEngine(instructions=instructions)
        found = engine.posterior(query, pixels, torch.tensor([7]), None, 2)
        assert math.isclose(found.mean.item(), 51 / 127.5 - 1, abs_tol=1e-7)
        distance = (3.0 - 0.4**0.5 * (51 / 127.5 - 1)) ** 2
        assert math.isclose(found.log_weight.item(), -distance / 1.2, rel_tol=1e-5)
        assert found.sources.image.flatten().tolist() == [7, -1]
        assert found.entropy.item() <= 1e-30


def test_far_noise_finds_every_source_equally_likely() -> None:
    """As ᾱ → 0 the weights do not differ, and the mean is that of all admissible centres."""
    pixels = training_images("random", 50, (3, 7, 6), 0)
    query = Query(torch.zeros(1, 3, 7, 6), torch.tensor([1e-12]).double(), 3, "boundary")
    found = NativeEngine().posterior(query, pixels, torch.arange(50), None, 0)
    allowed = admissible(7, 6, 3, "boundary").double()
    mean = values(pixels).mean(0).flatten(1) @ (allowed / allowed.sum(1, keepdim=True)).T
    torch.testing.assert_close(found.mean[0].flatten(1).double(), mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"instructions": "mmx"}, "instructions='mmx'"), ({"threads": 0}, "threads=0")],
)
def test_choices_that_do_not_exist_are_refused(arguments: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        NativeEngine(**arguments)


def test_digits_that_single_precision_would_lose_are_kept_for_each_image_by_itself() -> None:
    """Beside wrapped images at ᾱ near 1 nothing fits at the seams, and |ℓ| is in the thousands."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 3, 12, 13), generator=draw, dtype=torch.uint8)
    noisy = torch.randn(2, 3, 12, 13, generator=draw)
    query = Query(noisy, torch.tensor([0.999, 0.3]).double(), 9, "valid")
    exact = Query(noisy.double(), query.alpha_bar, 9, "valid")
    index, bias = torch.arange(40), torch.randn(2, 40, 12, 13, generator=draw)
    for its in (None, bias):
        both = NativeEngine().posterior(query, pixels, index, its, 2)
        wide = None if its is None else its.double()
        known = NativeEngine().posterior(exact, pixels, index, wide, 2)
        assert both.mean.dtype == torch.float32
        assert (both.mean - known.mean)[0].abs().max() < 2e-7
        for b in range(2):
            few = None if its is None else its[b : b + 1]
            alone = NativeEngine().posterior(query.part(slice(b, b + 1)), pixels, index, few, 2)
            assert torch.equal(alone.mean[0], both.mean[b])
            assert torch.equal(alone.log_weight[0], both.log_weight[b])
