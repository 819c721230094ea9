"""The adaptive engine: what it says of its error holds, whatever the training set."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.engines import AdaptiveEngine, NativeEngine, Query, native_instructions
from scoremachines.errors import InputError
from scoremachines.testing import check_engine
from scoremachines.theory.posterior import Posterior

pytestmark = pytest.mark.skipif(not native_instructions(), reason="built without a compiler")


def exact(query: Query, images: Tensor) -> Posterior:
    return NativeEngine(threads=1).posterior(
        Query(query.noisy.double(), query.alpha_bar, query.window, query.sources),
        (images / 127.5 - 1).double(),
        torch.arange(len(images)),
        None,
        0,
    )


def noised(images: Tensor, levels: list[float], draw: torch.Generator) -> Tensor:
    """Return one image a level under noise, float32."""
    level = torch.tensor(levels)[:, None, None, None]
    noise = torch.randn(len(levels), *images.shape[1:], generator=draw)
    return level.sqrt() * (images[: len(levels)] / 127.5 - 1) + (1 - level).sqrt() * noise


def blocks(count: int, draw: torch.Generator) -> Tensor:
    """Return images of squares of one colour, bytes `[count, 3, 12, 12]`: many patches fit."""
    images = torch.randint(0, 256, (count, 3, 4, 4), generator=draw, dtype=torch.uint8)
    return images.repeat_interleave(3, 2).repeat_interleave(3, 3).contiguous()


def test_the_adaptive_engine_passes_the_checks_of_engines() -> None:
    check_engine(AdaptiveEngine(tolerance=0.05, threads=1))


def test_a_needle_is_found() -> None:
    """One image among many fits; no pilot that has not seen it may hide it."""
    draw = torch.Generator().manual_seed(0)
    images = blocks(1100, draw) // 8
    images[333] = blocks(1, draw)[0] // 8 + 220
    index = torch.arange(1100)
    assert 333 not in index[:: 1100 // 256]  # those that a pilot asks
    drew = 0
    for level in (0.002, 0.02, 0.1, 0.2):
        query = Query(
            noised(images[333:], [level], draw), torch.tensor([level]).double(), 7, "circular"
        )
        found = AdaptiveEngine(tolerance=0.3, threads=1).posterior(query, images, index, None, 0)
        error = (found.mean - exact(query, images).mean).abs().amax(1)
        assert (error <= found.error_bound + 1e-4).all()
        assert (found.error_bound <= 0.3).all()
        drew += bool(found.error_bound.any())
    assert drew >= 2  # which pairs are drawn depends on how many lanes the processor has


def test_a_machine_reports_its_bound() -> None:
    draw = torch.Generator().manual_seed(1)
    images = blocks(1500, draw)
    noisy, level = noised(images, [0.05, 0.1], draw), torch.tensor([0.05, 0.1])
    data = sm.TrainingSet(images)
    machine = sm.ScoreMachine(data, 7, "circular", engine=AdaptiveEngine(tolerance=0.3))
    found = machine.posterior(noisy, level)
    known = sm.ScoreMachine(data, 7, "circular", engine="native").posterior(noisy, level)
    assert 0 < float(found.error_bound.max()) <= 0.3
    assert ((found.mean - known.mean).abs().amax(1) <= found.error_bound + 1e-5).all()
    assert not known.error_bound.any()
    alone = machine.posterior(noisy[1:], level[1:])
    assert torch.equal(alone.mean, found.mean[1:])


def test_an_answer_that_needs_float64_changes_none_beside_it() -> None:
    draw = torch.Generator().manual_seed(2)
    images, index = blocks(1500, draw), torch.arange(1500)
    levels = torch.tensor([0.05, 0.9999]).double()
    noisy = noised(images, levels.tolist(), draw).float()
    engine = AdaptiveEngine(tolerance=0.3, threads=1)
    both = engine.posterior(Query(noisy, levels, 7, "circular"), images, index, None, 0)
    assert float(both.error_bound[0].max()) > 0  # it did draw
    assert not both.error_bound[1].any()
    for b in range(2):
        query = Query(noisy[b : b + 1], levels[b : b + 1], 7, "circular")
        alone = engine.posterior(query, images, index, None, 0)
        assert torch.equal(alone.mean[0], both.mean[b])


def test_it_answers_exactly_where_it_cannot_bound() -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(9, 3, 11, 9, generator=draw) * 2 - 1
    level = torch.tensor([0.9], dtype=torch.float64)
    bias = torch.zeros(1, 9, 11, 9)
    index, noisy = torch.arange(9), images[:1] + 0.1
    engine = AdaptiveEngine(threads=1)
    for window, sources, given in (
        (7, "valid", None),
        (3, "boundary", None),
        (3, "aligned", None),
        (None, "circular", None),
        (3, "valid", bias),
    ):
        query = Query(noisy, level, window, sources)
        found = engine.posterior(query, images, index, given, 0)
        known = NativeEngine(threads=1).posterior(query, images, index, given, 0)
        assert torch.equal(found.mean, known.mean)
        assert torch.equal(found.log_weight, known.log_weight)
        assert (found.error_bound == 0).all()


@pytest.mark.parametrize("tolerance", [0, -1.0, 2.0, math.nan, True])
def test_a_tolerance_that_is_none(tolerance: float) -> None:
    with pytest.raises(InputError, match="tolerance"):
        AdaptiveEngine(tolerance=tolerance)
