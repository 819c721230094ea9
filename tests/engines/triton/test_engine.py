"""The GPU engine under Triton's interpreter, or on the GPU where there is one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.engines import FusedEngine, Query, ReferenceEngine, TorchEngine
from scoremachines.engines.triton.products import (
    DIGITS,
    Products,
    patch_bytes,
    products_serve,
    query_bytes,
)
from scoremachines.testing import check_engine
from scoremachines.theory.positions import SOURCES
from scoremachines.theory.posterior import Posterior
from support.devices import DEVICE, runs_here
from support.images import images

gpu = pytest.mark.skipif(DEVICE == "cpu", reason="no NVIDIA GPU")
LEVELS = torch.tensor([0.9999, 0.01, 0.3], dtype=torch.float64)


def question(clean: Tensor, window: int, sources: str, levels: Tensor = LEVELS) -> Query:
    """Return noisy versions of the first training images, one for each noise level."""
    draw = torch.Generator().manual_seed(1)
    some = clean[torch.arange(len(levels)) % len(clean)].double()
    noise = torch.randn(some.shape, generator=draw, dtype=torch.float64)
    root, rest = (part[:, None, None, None] for part in (levels.sqrt(), (1 - levels).sqrt()))
    return Query((root * some + rest * noise).float(), levels, window, sources)


def judge(engine: FusedEngine, query: Query, clean: Tensor, bias: Tensor | None = None) -> None:
    """Compare mean, log-weight and evidence with the reference.

    As for the torch engine, ℓ is exact to some of its own last places, and an error of ℓ is an
    error of a weight, relatively.
    """
    exact = Query(query.noisy.double(), query.alpha_bar, query.window, query.sources)
    wide = None if bias is None else bias.double()
    index = torch.arange(len(clean))
    known = ReferenceEngine().posterior(exact, clean.double(), index, wide, 0)
    there = Query(query.noisy.to(DEVICE), query.alpha_bar, query.window, query.sources)
    moved = None if bias is None else bias.to(DEVICE)
    found = engine.posterior(there, clean.to(DEVICE), index.to(DEVICE), moved, 0)
    size = known.log_weight.abs() + math.log(clean[:, 0].numel()) + 10
    tolerance = 16 * torch.finfo(torch.float32).eps * size
    assert ((found.log_weight.cpu() - known.log_weight).abs() <= tolerance).all()
    assert ((found.mean.cpu() - known.mean).abs().amax(1) <= 2 * tolerance).all()
    assert found.mean.dtype == torch.float32
    evidence = ReferenceEngine().evidence(exact, clean.double())
    size = evidence.abs() + math.log(clean[0, 0].numel()) + 10
    error = engine.evidence(there, clean.to(DEVICE)).cpu() - evidence
    assert (error.abs() <= 16 * torch.finfo(torch.float32).eps * size).all()


def judge_alone(engine: FusedEngine, query: Query, clean: Tensor, bias: Tensor) -> None:
    """Compare every noisy image's answer in the batch with its answer alone, bit for bit."""
    query = replace(query, noisy=query.noisy.to(DEVICE))
    clean, bias, index = clean.to(DEVICE), bias.to(DEVICE), torch.arange(len(clean))
    found = engine.posterior(query, clean, index, bias, 0)
    evidence = engine.evidence(query, clean)
    for place in range(len(query.noisy)):
        its = slice(place, place + 1)
        alone = engine.posterior(query.part(its), clean, index, bias[its], 0)
        assert torch.equal(found.at(its).mean, alone.mean)
        assert torch.equal(found.at(its).log_weight, alone.log_weight)
        assert torch.equal(evidence[its], engine.evidence(query.part(its), clean))


@runs_here
@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("sources", SOURCES)
def test_all_sources_and_windows(sources: str, window: int) -> None:
    height, width = {1: (3, 4), 3: (4, 5), 5: (5, 6)}[window]
    clean = images(3, 2, height, width)
    bias = images(2, 3, height, width, seed=2) * 3 if window > 1 else None
    query = question(clean, window, sources, LEVELS[:2])
    judge(FusedEngine(), query, clean, bias)


@runs_here
@pytest.mark.parametrize("shape", [(3, 9, 11, 5), (1, 13, 6, 1), (4, 8, 9, 3), (2, 5, 5, 5)])
@pytest.mark.parametrize("sources", SOURCES)
def test_products(sources: str, shape: tuple[int, int, int, int]) -> None:
    """Tiles of pixels and of places that are not full, and patches of several lots and of one."""
    *sizes, window = shape
    clean = images(3, *sizes)
    query = question(clean, window, sources, torch.tensor([0.9, 0.0]).double())
    bias = images(2, 3, *sizes[1:], seed=2) * 3
    judge(FusedEngine(), query, clean, bias)
    judge(FusedEngine(), query, clean[:1])


@runs_here
@pytest.mark.parametrize("sources", SOURCES)
def test_products_of_single_pixels(sources: str) -> None:
    clean = images(3, 2, 1, 1)
    judge(FusedEngine(), question(clean, 1, sources, LEVELS[1:]), clean)


@runs_here
@pytest.mark.parametrize("sources", SOURCES)
@pytest.mark.parametrize("window", [1, 3])
def test_images_may_lie_in_memory_as_they_like(sources: str, window: int) -> None:
    clean = images(3, 2, 5, 5)
    query = question(clean, window, sources, LEVELS[1:])
    last = query.noisy.contiguous(memory_format=torch.channels_last)
    turned = query.noisy.mT.contiguous().mT
    for noisy in (last, turned):
        strewn = clean.contiguous(memory_format=torch.channels_last)
        judge(FusedEngine(), Query(noisy, query.alpha_bar, window, sources), strewn)


@runs_here
@pytest.mark.parametrize("digits", [DIGITS, DIGITS / 4])
def test_products_lose_no_more_than_stated(digits: float) -> None:
    """Just within the limit, for patches that fit: 2⁻²³ of it from log-weights; x̂0 loses less."""
    clean = images(2, 3, 5, 6)
    ratio = digits / 27.01
    query = question(clean, 3, "valid", torch.tensor([ratio / (1 + ratio)]).double())
    assert products_serve(query, digits).all()
    exact = Query(query.noisy.double(), query.alpha_bar, 3, "valid")
    index = torch.arange(2)
    known = ReferenceEngine().posterior(exact, clean.double(), index, None, 0)
    there = Query(query.noisy.to(DEVICE), query.alpha_bar, 3, "valid")
    found = FusedEngine().posterior(there, clean.to(DEVICE), index.to(DEVICE), None, 0)
    lost = (found.log_weight.cpu() - known.log_weight).abs().max()
    assert lost <= 2**-23 * digits
    assert (found.mean.cpu() - known.mean).abs().max() <= 1e-4


@runs_here
def test_patches_are_written_out_in_pieces_that_fit() -> None:
    """The same for a noisy image whatever stands beside it; and as large as was estimated."""
    clean, bias = images(5, 2, 3, 4), images(3, 5, 3, 4, seed=2)
    query = question(clean, 3, "boundary", torch.tensor([0.9, 0.9999, 0.2]).double())
    engine = FusedEngine(2 * (query_bytes(query) + 2 * patch_bytes(query)) + 2)
    assert engine._piece(query) == (1, 2)
    judge(engine, query, clean, bias)
    judge_alone(engine, query, clean, bias)
    products = Products(Query(query.noisy.to(DEVICE), query.alpha_bar, 3, "boundary"))
    its = products._patches(clean.to(DEVICE), products.layout.place_at, clean=True)
    tensors = (its.halves, its.squares, its.values)
    assert 0.5 < sum(each.nbytes for each in tensors) / (5 * patch_bytes(query)) <= 1


@runs_here
def test_a_batch_may_need_both_engines() -> None:
    clean = images(2, 1, 3, 5)
    query = question(clean, 3, "circular", LEVELS.repeat(2))
    engine = FusedEngine()
    assert engine.served(query, evidence=False).tolist() == [False, True, True] * 2
    bias = images(6, 2, 3, 5, seed=2)
    judge(engine, query, clean, bias)
    judge_alone(engine, query, clean, bias)


@runs_here
@pytest.mark.parametrize("shape", [(1, 3, 29), (1, 29, 3)])
@pytest.mark.parametrize("sources", SOURCES)
def test_images_of_several_tiles(sources: str, shape: tuple[int, int, int]) -> None:
    clean = images(2, *shape)
    query = question(clean, 3, sources, LEVELS[2:])
    judge(FusedEngine(), query, clean)


@runs_here
def test_equal_images_share_and_constant_ones_count() -> None:
    """Twins weigh twice; where all pixels are equal every source is as good as another."""
    clean = images(1, 1, 3, 5).repeat(3, 1, 1, 1)
    engine, levels = FusedEngine(), LEVELS[2:]
    query = question(clean, 3, "valid", levels)
    judge(engine, query, clean)
    query = Query(query.noisy.to(DEVICE), levels, 3, "valid")
    index = torch.arange(3, device=DEVICE)
    three = engine.posterior(query, clean.to(DEVICE), index, None, 0)
    one = engine.posterior(query, clean[:1].to(DEVICE), index[:1], None, 0)
    torch.testing.assert_close(three.mean, one.mean, rtol=0, atol=1e-5)
    raised = one.log_weight + math.log(3)
    torch.testing.assert_close(three.log_weight, raised, rtol=1e-6, atol=1e-4)
    flat = torch.full((2, 1, 3, 5), -0.25)
    judge(engine, Query(flat[:1], LEVELS[:1], 3, "circular"), flat)


@runs_here
def test_log_weights_of_a_million_and_noise_at_both_ends() -> None:
    """Far from every training image at ᾱ near 1, and at ᾱ = 0 and 1, which are clamped."""
    clean = images(2, 1, 3, 5)
    far = Query(torch.full((1, 1, 3, 5), 9.0), torch.tensor([0.9999]).double(), 3, "valid")
    engine = FusedEngine()
    judge(engine, far, clean)
    assert -ReferenceEngine().evidence(far, clean).min() > 1e6
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    query = Query(clean.to(DEVICE), ends, 3, "circular")
    found = engine.posterior(query, clean.to(DEVICE), torch.arange(2), None, 0)
    torch.testing.assert_close(found.mean[1].cpu(), clean[1], rtol=0, atol=1e-6)
    overall = clean.mean((0, 2, 3))[:, None, None].expand_as(clean[0])
    torch.testing.assert_close(found.mean[0].cpu(), overall, rtol=0, atol=1e-5)


@runs_here
def test_what_bias_shuts_out_weighs_nothing() -> None:
    clean = images(3, 1, 3, 5)
    query = question(clean, 3, "valid", LEVELS[2:])
    bias = torch.zeros(1, 3, 3, 5)
    bias[:, 1:] = -torch.inf
    query = Query(query.noisy.to(DEVICE), query.alpha_bar, 3, "valid")
    engine, index = FusedEngine(), torch.arange(3, device=DEVICE)
    found = engine.posterior(query, clean.to(DEVICE), index, bias.to(DEVICE), 0)
    alone = engine.posterior(query, clean[:1].to(DEVICE), index[:1], None, 0)
    torch.testing.assert_close(found.mean, alone.mean, rtol=0, atol=1e-6)
    bias[:] = -torch.inf
    found = engine.posterior(query, clean.to(DEVICE), index, bias.to(DEVICE), 0)
    assert (found.log_weight == -torch.inf).all()
    assert (Posterior.merge(found, alone).mean == alone.mean).all()


@runs_here
def test_a_machine_answers_the_same_alone_and_in_a_batch() -> None:
    data = sm.TrainingSet(images(5, 1, 3, 5).double())
    engine = FusedEngine()
    machine = sm.els(data, 3, attention="identity", engine=engine).to(DEVICE)
    known = sm.els(data, 3, attention="identity", engine="reference")
    noisy = images(3, 1, 3, 5, seed=1)
    found = machine.posterior(noisy.to(DEVICE), 0.4, best=0)
    alone = machine.posterior(noisy[1:2].to(DEVICE), 0.4)
    assert torch.equal(found.mean[1:2], alone.mean)
    expected = known.denoise(noisy.double(), 0.4).float()
    torch.testing.assert_close(found.mean.cpu(), expected, rtol=0, atol=1e-5)
    best = machine.posterior(noisy.to(DEVICE), 0.4, best=2)  # lists come from the torch engine
    torch.testing.assert_close(best.mean, found.mean, rtol=0, atol=1e-5)


@runs_here
@pytest.mark.slow
def test_the_shipped_checks() -> None:
    engine = FusedEngine()
    check_engine(engine, dtypes=(torch.float32,), shape=(1, 5, 6), count=3, device=DEVICE)


@gpu
@pytest.mark.slow
def test_the_shipped_checks_on_the_gpu() -> None:
    check_engine(FusedEngine(), device="cuda", shape=(3, 7, 9))


@runs_here
def test_what_the_kernel_is_not_made_for_goes_to_the_torch_engine() -> None:
    engine, other, index = FusedEngine(), TorchEngine(), torch.arange(2, device=DEVICE)
    clean = images(2, 5, 4, 6).to(DEVICE)
    many = Query(clean * 0.7, torch.tensor([0.5, 0.8]).double(), 3, "valid")
    few = Query(many.noisy[:, :2], many.alpha_bar, 3, "boundary")
    double = Query(few.noisy.double(), many.alpha_bar, 3, "aligned")
    whole = Query(few.noisy, many.alpha_bar, None, "circular")
    for query, best in ((many, 0), (few, 3), (double, 0), (whole, 0)):
        some = clean[:, : query.noisy.shape[1]].to(query.noisy.dtype)
        found = engine.posterior(query, some, index, None, best)
        known = other.posterior(query, some, index, None, best)
        assert torch.equal(found.mean, known.mean)
        demand = {"evidence": False, "dense": False, "best": best}
        assert engine.plan(query, 2, **demand) == other.plan(query, 2, **demand)
        if query is not few:
            assert torch.equal(engine.evidence(query, some), other.evidence(query, some))
