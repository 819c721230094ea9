"""The adaptive engine: what it leaves out is bounded, whatever the training set."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.engine import (
    AdaptiveEngine,
    NativeEngine,
    Query,
    ReferenceEngine,
    native_instructions,
)
from scoremachines.engine.adaptive import LARGEST
from scoremachines.engine.native import _native
from scoremachines.errors import InputError
from scoremachines.posterior import Posterior
from scoremachines.testing import check_engine

pytestmark = pytest.mark.skipif(not native_instructions(), reason="built without a compiler")

KINDS = ("random", "smooth", "twins", "needle", "flat")
LEVELS = (0.05, 0.5, 0.9, 0.99, 0.9999)


def training_images(kind: str, shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
    """Return bytes `[n, C, H, W]`, some of them made to mislead a bound."""
    images = torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)
    if kind == "smooth":  # codes say nearly everything
        rows = torch.linspace(0, 255, shape[2])[:, None] * torch.rand(
            (*shape[:2], 1, shape[3]), generator=draw
        )
        images = rows.to(torch.uint8)
    if kind == "twins":  # one image many times
        images[:] = images[:1]
    if kind == "needle":  # nothing fits but one image
        images[:-1] //= 8
    if kind == "flat":  # codes of all patches agree, and so do their boxes
        images[:] = 127
        images[-1, :, 0, 0] = 255
    return images


def question(number: int) -> tuple[AdaptiveEngine, Query, Tensor]:
    """Draw a training set, a noisy image of its last image, and a tolerance."""
    draw = torch.Generator().manual_seed(number)

    def pick(choices: tuple) -> object:
        return choices[int(torch.randint(0, len(choices), (1,), generator=draw))]

    size = (pick((3, 20, 41)), pick((1, 3)), pick((5, 6, 8)), pick((7, 9)))
    images = training_images(str(pick(KINDS)), size, draw)
    level = torch.tensor([pick(LEVELS)], dtype=torch.float64)
    noise = torch.randn(1, *size[1:], generator=draw)
    clean = images[-1:] / 127.5 - 1
    noisy = (level.sqrt() * clean + (1 - level).sqrt() * noise).float()
    query = Query(noisy, level, pick((1, 3, 5)), str(pick(("inside", "wrapped"))))
    engine = AdaptiveEngine(tolerance=pick((1e-1, 1e-2, 1e-3, 1e-4)), estimate=False)
    return engine, query, images


def exact(query: Query, images: Tensor, best: int = 0) -> Posterior:
    return NativeEngine(threads=1).posterior(
        Query(query.noisy.double(), query.alpha_bar, query.window, query.sources),
        (images / 127.5 - 1).double(),
        torch.arange(len(images)),
        None,
        best,
    )


def check_bounds(numbers: range) -> None:
    """The error is within the bound, and the bound within the tolerance, rounding apart."""
    bounded = 0
    for number in numbers:
        engine, query, images = question(number)
        found = engine.posterior(query, images, torch.arange(len(images)), None, 0)
        known = exact(query, images)
        # ℓ is exact to some of its last digits, and so is a weight, relatively.
        rounding = 2e-6 * (10 + known.log_weight.abs())
        error = (found.mean - known.mean).abs().amax(1)
        assert (error <= found.error_bound + rounding).all(), number
        assert (found.error_bound <= engine.tolerance).all(), number
        assert (found.log_weight <= known.log_weight + rounding).all(), number
        assert (
            known.log_weight <= torch.logaddexp(found.log_weight, found.log_rest) + rounding
        ).all()
        bounded += bool((found.error_bound > 0).any())
    assert bounded > len(numbers) // 5  # else nothing was tested


def test_the_bound_holds() -> None:
    check_bounds(range(400))


@pytest.mark.slow
def test_the_bound_holds_in_ten_thousand_checks() -> None:
    check_bounds(range(400, 10_400))


@pytest.mark.parametrize("estimate", [True, False])
def test_the_adaptive_engine_passes_the_checks_of_engines(estimate: bool) -> None:
    check_engine(AdaptiveEngine(tolerance=0.05, estimate=estimate, threads=1))


def test_a_needle_is_found() -> None:
    """One image among many fits; no bound, and no pilot that has not seen it, may hide it."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 40, (700, 3, 8, 9), generator=draw, dtype=torch.uint8)
    images[333] = torch.randint(200, 256, (3, 8, 9), generator=draw, dtype=torch.uint8)
    level = torch.tensor([0.98], dtype=torch.float64)
    noise = torch.randn(1, 3, 8, 9, generator=draw)
    noisy = level.sqrt() * (images[333:334] / 127.5 - 1) + (1 - level).sqrt() * noise
    query = Query(noisy.float(), level, 3, "wrapped")
    engine = AdaptiveEngine(threads=1, estimate=False)
    found = engine.posterior(query, images, torch.arange(700), None, 1)
    assert (found.log_rest > -math.inf).any()  # it did leave patches out
    assert (found.sources.image == 333).all()
    error = (found.mean - exact(query, images).mean).abs().amax(1)
    assert (error <= found.error_bound + 1e-4).all()


def test_sources_are_the_best_and_threads_change_nothing() -> None:
    for number in range(40):
        engine, query, images = question(number)
        index = torch.arange(len(images))
        found = engine.posterior(query, images, index, None, 3)
        known = exact(query, images, 3)
        clear = known.sources.log_weight.diff(dim=1).abs().amin(1) > 1e-3 * (
            1 + known.log_weight.abs()
        )
        same = (found.sources.image == known.sources.image).all(1)
        assert (same | ~clear).all(), number
        for threads in (2, 5):
            other = AdaptiveEngine(tolerance=engine.tolerance, threads=threads, estimate=False)
            again = other.posterior(query, images, index, None, 3)
            assert torch.equal(again.mean, found.mean)
            assert torch.equal(again.log_rest, found.log_rest)


def test_bounds_of_two_parts_merge() -> None:
    """Weights left out add up, so a part that weighs nothing spoils no bound."""
    engine, query, images = question(5)
    halves = [
        engine.posterior(query, images[some], torch.arange(len(images))[some], None, 0)
        for some in (slice(0, 2), slice(2, None))
    ]
    merged = halves[0].merge(halves[1])
    error = (merged.mean - exact(query, images).mean).abs().amax(1)
    assert (error <= merged.error_bound + 1e-4).all()
    assert torch.equal(merged.log_rest, halves[1].merge(halves[0]).log_rest)
    nothing = Posterior.empty(query.noisy).merge(halves[1])
    torch.testing.assert_close(nothing.error_bound, halves[1].error_bound)
    plain = ReferenceEngine().posterior(
        Query(query.noisy.double(), query.alpha_bar, query.window, query.sources),
        (images / 127.5 - 1).double(),
        torch.arange(len(images)),
        None,
        0,
    )
    assert (plain.error_bound == 0).all()
    assert (Posterior.cat([plain, plain]).error_bound == 0).all()


def test_a_machine_reports_its_bound() -> None:
    images = sm.photographs(16).pixels
    data = sm.TrainingSet(images)
    noisy = sm.starting_noise(0, range(2), data.shape) * 0.05 + images[[3, 8]].float()
    if images.dtype == torch.uint8:
        noisy = noisy / 127.5 - 1
    engine = AdaptiveEngine(tolerance=0.02, estimate=False, threads=1)
    machine = sm.els(data, 3, engine=engine)
    level = torch.tensor([0.995, 0.99], dtype=torch.float64)
    found = machine.posterior(noisy, level)
    known = sm.els(data, 3, engine="native").posterior(noisy, level)
    assert 0 < float(found.error_bound.max()) <= 0.02
    assert ((found.mean - known.mean).abs().amax(1) <= found.error_bound + 1e-5).all()
    alone = machine.posterior(noisy[1:], level[1:])
    assert torch.equal(alone.mean, found.mean[1:])


def test_it_answers_exactly_where_it_cannot_bound() -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(9, 3, 11, 9, generator=draw) * 2 - 1
    level = torch.tensor([0.9], dtype=torch.float64)
    bias = torch.zeros(1, 9, 11, 9)
    index, noisy = torch.arange(9), images[:1] + 0.1
    engine = AdaptiveEngine(estimate=False, threads=1)
    assert LARGEST < 3 * 7**2
    for window, sources, given in (
        (7, "inside", None),
        (3, "broken", None),
        (3, "same", None),
        (None, "wrapped", None),
        (3, "inside", bias),
    ):
        found = engine.posterior(Query(noisy, level, window, sources), images, index, given, 0)
        assert (found.log_rest == -math.inf).all()
        assert (found.error_bound == 0).all()


@pytest.mark.parametrize("tolerance", [0, -1.0, 2.0, math.nan, True])
def test_a_tolerance_that_is_none(tolerance: float) -> None:
    with pytest.raises(InputError, match="tolerance"):
        AdaptiveEngine(tolerance=tolerance)


def arguments() -> tuple[dict[str, object], dict[str, object]]:
    """Return what the native part is told to grow a tree, and to search it."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, 1, 7, 9), generator=draw, dtype=torch.uint8).numpy()
    shared = {"images": images, "basis": np.eye(9, 8), "window": 3, "wrapped": False, "threads": 1}
    order, boxes = _native.tree(**shared, doubles=False)
    search = {
        "order": order,
        "boxes": boxes,
        "noisy": np.zeros((2, 1, 9, 11), np.float32),
        "scale": np.full(2, -3.0),
        "threshold": np.zeros((2, 7, 9)),
        "index": np.arange(5),
        "best": 2,
        "depth": 30.0,
    }
    return shared, search


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("images", np.zeros((5, 7, 9), np.uint8)),
        ("images", np.full((5, 1, 7, 9), np.nan, np.float32)),
        ("basis", np.eye(9, 7)),
        ("window", 4),
        ("window", 9),
        ("threads", 0),
        ("order", np.full(175, 175, np.uint32)),
        ("order", np.zeros(3, np.uint32)),
        ("boxes", np.zeros((1, 2, 9, 16), np.float32)[:, :1]),
        ("noisy", np.zeros((2, 1, 7, 9), np.float32)),
        ("noisy", np.zeros((0, 1, 9, 11), np.float32)),
        ("scale", np.array([1.0, -1.0])),
        ("scale", np.array([np.nan, -1.0])),
        ("threshold", np.zeros((1, 7, 9))),
        ("index", np.arange(4)),
        ("best", -1),
        ("depth", 0.0),
    ],
)
def test_wrong_arguments_of_the_native_part_are_refused(name: str, wrong: object) -> None:
    shared, search = arguments()
    given = shared | search
    assert len(_native.search(**given)) == 8
    with pytest.raises(ValueError, match=name):
        _native.search(**(given | {name: wrong}))
    if name in shared:
        with pytest.raises(ValueError, match=name):
            _native.tree(**(shared | {name: wrong}), doubles=False)


def test_numbers_that_are_none_do_no_harm() -> None:
    """NaN where numbers are asked for gives no answer worth having, but does not crash."""
    shared, search = arguments()
    for name in ("boxes", "noisy", "threshold"):
        spoilt = np.full_like(search[name], np.nan)
        assert len(_native.search(**(shared | search | {name: spoilt}))) == 8
