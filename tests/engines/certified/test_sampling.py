"""Threshold sampling: what is drawn keeps all sums in expectation, and its bounds hold."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from scoremachines.engines import AdaptiveEngine, NativeEngine, Query, native_instructions
from scoremachines.engines.certified import sampling as drawing
from scoremachines.engines.certified.sampling import (
    _of_some,
    chance,
    threshold_sampled,
    threshold_sampled_bytes,
    thresholds,
)
from scoremachines.errors import InputError
from scoremachines.testing import cases
from scoremachines.theory.bounds import Bounds
from scoremachines.theory.posterior import Moments, Posterior

pytestmark = pytest.mark.skipif(not native_instructions(), reason="built without a compiler")

LEVELS = (0.05, 0.3, 0.7, 0.95)


def question(
    number: int, count: int = 60, dtype: torch.dtype = torch.float32
) -> tuple[Query, Tensor]:
    """Draw smooth training images, bytes, and a noisy one of them."""
    draw = torch.Generator().manual_seed(number)

    def pick(choices: tuple) -> object:
        return choices[int(torch.randint(0, len(choices), (1,), generator=draw))]

    size = (pick((1, 3)), pick((5, 8)), pick((7, 9)))
    steps = torch.rand(count, size[0], size[1], 1, generator=draw)
    images = (
        (steps + torch.rand(count, size[0], 1, size[2], generator=draw)).mul(127).to(torch.uint8)
    )
    level = torch.tensor([pick(LEVELS)], dtype=torch.float64)
    noise = torch.randn(1, *size, generator=draw)
    noisy = level.sqrt() * (images[-1:] / 127.5 - 1) + (1 - level).sqrt() * noise
    sources = str(pick(("valid", "circular", "boundary")))
    return Query(noisy.to(dtype), level, pick((1, 3, 5)), sources), images


def exact(query: Query, images: Tensor) -> Posterior:
    asked = Query(query.noisy.double(), query.alpha_bar, query.window, query.sources)
    values = (images / 127.5 - 1).double()
    return NativeEngine(threads=1).posterior(asked, values, torch.arange(len(images)), None, 0)


def moments(
    query: Query, images: Tensor, level: Tensor, seed: int = 0, threads: int = 1
) -> Moments:
    engine = NativeEngine(threads=threads)
    return drawing.moments(engine, query, images, torch.arange(len(images)), level, seed)


def everywhere(query: Query, level: float) -> Tensor:
    return torch.full(query.noisy[:, 0].shape, level, dtype=torch.float64)


@pytest.mark.parametrize("instructions", native_instructions())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_all_pairs_are_drawn_moments_are_those_of_the_posterior(
    dtype: torch.dtype, instructions: str
) -> None:
    engine = NativeEngine(threads=2, instructions=instructions)
    for case in cases(dtype):
        query, images = case.query, case.images
        if query.window is None or case.bias is not None:
            continue
        index = torch.arange(len(images))
        known = engine.posterior(query, images, index, None, 0)
        level = torch.full_like(known.log_weight, -torch.inf)
        found = drawing.moments(engine, query, images, index, level, 1)
        tolerance = 1e-4 if dtype == torch.float32 else 1e-9
        scale = 1 + known.log_weight.abs()
        torch.testing.assert_close(
            found.log_weight / scale, known.log_weight / scale, rtol=0, atol=tolerance
        )
        torch.testing.assert_close(found.mean, known.mean, rtol=0, atol=tolerance)
        assert (found.variance > -tolerance).all()
        assert not chance(found, level, 1e-3).any()  # nothing was left to it


def test_second_moments_are_those_of_squares() -> None:
    """One pixel, one source each: x² of two images, weighed by hand."""
    images = torch.tensor([0.5, -0.25], dtype=torch.float64).reshape(2, 1, 1, 1)
    level = torch.tensor([0.5], dtype=torch.float64)
    query = Query(torch.full((1, 1, 1, 1), 0.1, dtype=torch.float64), level, 1, "circular")
    found = moments(query, images, everywhere(query, -math.inf))
    apart = 0.1 / math.sqrt(0.5) - images.flatten()
    share = (-0.5 * apart.square()).softmax(0)
    expected = float((share * images.flatten().square()).sum())
    assert float(found.square) == pytest.approx(expected, abs=1e-12)


def test_sums_keep_their_expectation() -> None:
    """Over many draws the mean of Σ w and of Σ w x is within five of its standard errors."""
    for number in range(4):
        query, images = question(number)
        known = exact(query, images)
        level = known.log_weight - 2.0  # a few pairs in a hundred
        totals, colours = [], []
        for seed in range(400):
            found = moments(query, images, level, seed)
            weight = (found.log_weight - known.log_weight).exp()
            totals.append(weight)
            colours.append(weight[:, None] * found.mean)
        for draws, value in ((totals, torch.ones(1)), (colours, known.mean)):
            stack = torch.stack(draws).double()
            error = (stack.mean(0) - value).abs()
            standard = stack.std(0) / math.sqrt(len(stack))
            assert (standard > 0).float().mean() > 0.9
            assert (error < 5 * standard + 1e-5).all(), number


def check_bounds(numbers: range) -> None:
    """Thresholds of every size: the errors are within what chance may do."""
    worst = 0.0
    for number in numbers:
        query, images = question(number)
        known = exact(query, images)
        level = (
            known.log_weight
            - 1
            - 9
            * torch.rand(known.log_weight.shape, generator=torch.Generator().manual_seed(number))
        )
        found = moments(query, images, level, number)
        error, log_error = chance(found, level, 1e-3).unbind(1)
        rounding = 2e-6 * (10 + known.log_weight.abs())
        off = (found.mean - known.mean).abs().amax(1)
        assert (off <= error + rounding).all(), number
        assert ((found.log_weight - known.log_weight).abs() <= log_error + rounding).all(), number
        worst = max(worst, float((off / error).max()))
    assert worst > 0.1  # bounds are of the size of what they bound


def test_the_bounds_hold() -> None:
    check_bounds(range(300))


@pytest.mark.slow
def test_the_bounds_hold_in_ten_thousand_checks() -> None:
    check_bounds(range(300, 10_300))


def test_thresholds_are_the_largest_within_an_error() -> None:
    for number in range(10):
        query, images = question(number)
        known = moments(query, images, everywhere(query, -math.inf))
        level = thresholds(known, 0.02, 1e-5)
        assert (chance(known, level, 1e-5)[:, 0] <= 0.02).all()
        assert (chance(known, level + 0.01, 1e-5)[:, 0] > 0.02).all()


def test_the_same_question_draws_the_same_pairs_on_any_threads_and_in_any_parts() -> None:
    query, images = question(3, count=700)
    level = exact(query, images).log_weight - 4
    found = moments(query, images, level, 7)
    for threads in (2, 5, 8):
        again = moments(query, images, level, 7, threads)
        assert torch.equal(found.mean, again.mean)
        assert torch.equal(found.log_weight, again.log_weight)
    other = moments(query, images, level, 8)
    assert not torch.equal(found.mean, other.mean)


def test_rows_that_draw_nothing_are_left_out() -> None:
    query, images = question(2)
    level = exact(query, images).log_weight - 4
    whole = moments(query, images, level, 7)
    some = level.clone()
    some[:, 1:4] = torch.inf
    some[:, 0, 2] = torch.inf
    part = moments(query, images, some, 7)
    drawn = some < torch.inf
    torch.testing.assert_close(
        part.log_weight[drawn], whole.log_weight[drawn], rtol=1e-6, atol=1e-6
    )
    assert (part.log_weight[~drawn] == -torch.inf).all()
    nothing = moments(query, images, torch.full_like(level, torch.inf))
    assert (nothing.log_weight == -torch.inf).all()


def test_runs_are_cut_to_the_pixels_wanted() -> None:
    table = torch.tensor([[0, 0, 5], [3, 1, 4]]).numpy()
    wanted = torch.tensor([True, False, True, True, False]).numpy()
    # The second run: pixels 3, 4, 0, 1 draw from rows 1 to 4.
    expected = [[0, 0, 1], [2, 2, 2], [3, 1, 1], [5, 3, 1]]
    assert _of_some(table, wanted).tolist() == expected


def many(number: int, count: int = 3000) -> tuple[Query, Tensor]:
    """Draw enough random images for a pilot, and a noisy image of one of them."""
    draw = torch.Generator().manual_seed(number)
    images = torch.randint(0, 256, (count, 3, 4, 4), generator=draw, dtype=torch.uint8)
    images = images.repeat_interleave(3, 2).repeat_interleave(3, 3).contiguous()
    level = torch.tensor([LEVELS[number % len(LEVELS)]], dtype=torch.float64)
    noise = torch.randn(1, 3, 12, 12, generator=draw)
    noisy = level.sqrt() * (images[-1:] / 127.5 - 1) + (1 - level).sqrt() * noise
    return Query(noisy, level, 7, "circular"), images


def test_an_answer_is_within_its_tolerance_and_its_bound() -> None:
    engine, drew = NativeEngine(threads=2), 0
    for number in range(8):
        query, images = many(number)
        index = torch.arange(len(images))
        found = threshold_sampled(engine, query, images, index, 0.05, worth=1.0)
        if found is None:
            continue
        drew += 1
        known = exact(query, images)
        error = (found.mean - known.mean).abs().amax(1)
        assert (found.error_bound <= 0.05).all()
        assert (error <= found.error_bound + 1e-4).all()
        assert ((found.log_weight - known.log_weight).abs() <= found.bounds.log_error + 1e-3).all()
        again = threshold_sampled(engine, query, images, index, 0.05, worth=1.0)
        assert again is not None
        assert torch.equal(found.mean, again.mean)
    assert drew >= 4


def test_few_images_and_pairs_that_nearly_all_count_are_left_to_the_exact_engine() -> None:
    query, images = many(0)
    engine, index = NativeEngine(threads=1), torch.arange(len(images))
    assert threshold_sampled(engine, query, images[:200], index[:200], 0.05, worth=1.0) is None
    assert threshold_sampled(engine, query, images, index, 1e-6) is None


def test_the_adaptive_engine_answers_each_noisy_image_by_itself() -> None:
    """What a noisy image is told does not depend on those beside it, nor on lists of sources."""
    pairs = [many(number) for number in (0, 1)]
    images = pairs[0][1]
    index = torch.arange(len(images))
    engine = AdaptiveEngine(tolerance=0.3, threads=1)
    both = Query(
        torch.cat([query.noisy for query, _ in pairs]),
        torch.cat([query.alpha_bar for query, _ in pairs]),
        7,
        "circular",
    )
    found = engine.posterior(both, images, index, None, 0)
    assert float(found.error_bound.max()) > 0  # it did draw
    for b, (query, _) in enumerate(pairs):
        alone = engine.posterior(query, images, index, None, 0)
        assert torch.equal(alone.mean[0], found.mean[b])
    listed = engine.posterior(both, images, index, None, 2)
    assert not listed.error_bound.any()
    plan = engine.plan(both, 50_000, evidence=False, dense=False, best=0)
    assert plan.block == 50_000
    small = AdaptiveEngine(memory=2**24, threads=1)
    assert threshold_sampled_bytes(both, 10**7, 1) > small.memory
    assert small.plan(both, 10**7, evidence=False, dense=False, best=0).block < 10**7


def test_bounds_of_parts_merge() -> None:
    for number in range(40):
        query, images = question(number, count=90)
        cut = 30 + number
        parts = []
        for some in (slice(0, cut), slice(cut, 90)):
            level = exact(query, images[some]).log_weight - 5
            found = moments(query, images[some], level, number)
            doubt = chance(found, level, 1e-3)
            bounds = Bounds(torch.full_like(level, -torch.inf), doubt)
            parts.append(Posterior(found.log_weight, found.mean, bounds=bounds))
        whole, known = parts[0].merge(parts[1]), exact(query, images)
        rounding = 2e-6 * (10 + known.log_weight.abs())
        error = (whole.mean - known.mean).abs().amax(1)
        assert (error <= whole.error_bound + rounding).all()
        apart = (whole.log_weight - known.log_weight).abs()
        assert (apart <= whole.bounds.log_error + rounding).all()
        alone = parts[0].merge(Posterior.empty(query.noisy))
        torch.testing.assert_close(alone.error_bound, parts[0].error_bound)


def test_pixels_whose_draw_found_too_little_have_no_bound() -> None:
    found = Moments(
        torch.full((1, 1, 1), -torch.inf), torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    )
    assert torch.isinf(chance(found, torch.zeros(1, 1, 1), 1e-3)).all()


def test_a_threshold_that_is_no_number_is_refused() -> None:
    query, images = question(0)
    with pytest.raises(ValueError, match="threshold: numbers"):
        moments(query, images, everywhere(query, math.nan))
    with pytest.raises(InputError, match="tolerance"):
        AdaptiveEngine(tolerance=0.0)
