"""Engines against the float64 reference, and the reference against loops written out."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch.nn.functional import conv2d

from scoremachines.engines import Query, ReferenceEngine, TorchEngine, make_engine
from scoremachines.errors import InputError
from scoremachines.testing import check_engine
from scoremachines.theory.positions import PERIODIC, SOURCES, admissible
from scoremachines.theory.runs import box_sum, runs, source_counts

LEVELS = st.floats(math.log(1e-4), math.log(1e4)).map(lambda snr: 1 / (1 + math.exp(-snr)))


def test_the_torch_engine_conforms() -> None:
    check_engine(TorchEngine())


def test_the_check_catches_a_wrong_engine() -> None:
    class Wrong(TorchEngine):
        def evidence(self, query: Query, images: torch.Tensor) -> torch.Tensor:
            return super().evidence(query, images) + 1e-3

    with pytest.raises(AssertionError, match="off by"):
        check_engine(Wrong(), dtypes=(torch.float64,))


@st.composite
def queries(draw: st.DrawFn) -> tuple[Query, torch.Tensor, torch.Tensor | None]:
    channels, count = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    height, width = draw(st.integers(3, 9)), draw(st.integers(3, 9))
    window = draw(st.sampled_from([k for k in (1, 3, 5, 7) if k <= min(height, width)] + [None]))
    sources = draw(st.sampled_from(SOURCES if window else ("aligned", "circular")))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1

    images = uniform(count, channels, height, width)
    kind = draw(st.sampled_from(["random", "duplicates", "constant"]))
    if kind == "duplicates":
        images = images[:1].expand_as(images).contiguous()
    if kind == "constant":
        images = torch.full_like(images, 0.25)
    alpha_bar = torch.tensor([draw(LEVELS), draw(LEVELS)], dtype=torch.float64)
    level = alpha_bar[:, None, None, None]
    noise = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
    noisy = level.sqrt() * uniform(2, channels, height, width) + (1 - level).sqrt() * noise
    bias = 4 * uniform(2, count, height, width) if draw(st.booleans()) else None
    return Query(noisy, alpha_bar, window, sources), images, bias


@examples(max_examples=60)
@given(queries())
def test_the_torch_engine_equals_the_reference(case) -> None:
    query, images, bias = case
    index = torch.arange(len(images)) * 2
    known = ReferenceEngine().posterior(query, images, index, bias, 3)
    found = TorchEngine().posterior(query, images, index, bias, 3)
    torch.testing.assert_close(found.mean, known.mean, rtol=0, atol=1e-8)
    torch.testing.assert_close(found.log_weight, known.log_weight, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.entropy, known.entropy, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.weights, known.weights, rtol=0, atol=1e-6)
    evidence = ReferenceEngine().evidence(query, images)
    torch.testing.assert_close(
        TorchEngine().evidence(query, images), evidence, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("sources", SOURCES)
def test_the_reference_equals_loops_written_out(sources: str) -> None:
    draw = torch.Generator().manual_seed(3)
    height, width, window, level = 4, 5, 3, 0.6
    images = torch.rand(3, 2, height, width, generator=draw, dtype=torch.float64) * 2 - 1
    noisy = torch.randn(1, 2, height, width, generator=draw, dtype=torch.float64)
    query = Query(noisy, torch.tensor([level], dtype=torch.float64), window, sources)
    found = ReferenceEngine().posterior(query, images, torch.arange(3), None, 1)

    def at(image, row: int, column: int, periodic: bool) -> torch.Tensor:
        if periodic:
            return image[:, row % height, column % width]
        if 0 <= row < height and 0 <= column < width:
            return image[:, row, column]
        return torch.zeros(2, dtype=torch.float64)

    def overlap(row: int, column: int) -> tuple[bool, ...]:
        moves = itertools.product((-1, 0, 1), repeat=2)
        return tuple(0 <= row + i < height and 0 <= column + j < width for i, j in moves)

    for u in itertools.product(range(height), range(width)):
        terms = []
        for i, v in itertools.product(range(3), itertools.product(range(height), range(width))):
            inside = all(overlap(*v))
            allowed = {
                "aligned": u == v,
                "valid": inside,
                "circular": True,
                "boundary": overlap(*u) == overlap(*v),
            }[sources]
            if allowed:
                distance = 0.0
                for row, column in itertools.product((-1, 0, 1), repeat=2):
                    phi = at(noisy[0], u[0] + row, u[1] + column, PERIODIC[sources])
                    x = at(images[i], v[0] + row, v[1] + column, sources == "circular")
                    distance += float((phi - level**0.5 * x).square().sum())
                terms.append((-distance / (2 * (1 - level)), images[i][:, v[0], v[1]]))
        weights = torch.tensor([term[0] for term in terms], dtype=torch.float64)
        mean = sum(w * x for w, (_, x) in zip(weights.softmax(0), terms, strict=True))
        torch.testing.assert_close(found.mean[0, :, u[0], u[1]], mean, rtol=0, atol=1e-12)
        expected = weights.logsumexp(0) - math.log(len(terms) / 3)
        torch.testing.assert_close(found.log_weight[0, u[0], u[1]], expected, rtol=0, atol=1e-10)


@examples(max_examples=60)
@given(
    st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 5, 7]), st.sampled_from(SOURCES)
)
@example(7, 5, 5, "boundary")
def test_runs_visit_every_admissible_pair_once(
    height: int, width: int, window: int, sources: str
) -> None:
    if window > min(height, width):
        return
    visits = torch.zeros(height * width, height * width, dtype=torch.int64)
    for row in runs(height, window, sources):
        for column in runs(width, window, sources):
            for i, j in itertools.product(range(row.length), range(column.length)):
                u = (row.query + i) % height * width + (column.query + j) % width
                visits[u, (row.source + i) * width + column.source + j] += 1
    assert torch.equal(visits, admissible(height, width, window, sources).long())
    rows = source_counts(height, window, sources)
    counts = (rows[:, None] * source_counts(width, window, sources)).flatten()
    assert torch.equal(visits.sum(1).double(), counts)


@pytest.mark.parametrize("window", [1, 3, 5, 7, 9, 17])
def test_box_sums_equal_a_convolution(window: int) -> None:
    values = torch.rand(19, 23, 2, dtype=torch.float64)
    known = conv2d(
        values.permute(2, 0, 1)[:, None], torch.ones(1, 1, window, window, dtype=torch.float64)
    )
    spare = (torch.empty_like(values).flatten(), torch.empty_like(values).flatten())
    found = box_sum(box_sum(values.clone(), window, 0, spare), window, 1, spare)
    torch.testing.assert_close(found.permute(2, 0, 1), known[:, 0])


def test_equal_sources_are_named_by_image_then_position() -> None:
    images = torch.zeros(6, 1, 3, 5)
    query = Query(torch.zeros(1, 1, 3, 5), torch.tensor([0.5]).double(), 1, "circular")
    for engine in (ReferenceEngine(), TorchEngine()):
        sources = engine.posterior(query, images, torch.arange(6), None, 4).sources
        assert sources is not None
        assert (sources.image == 0).all()
        assert (sources.position == torch.arange(4)[None, :, None, None]).all()


def test_unknown_engines_and_budgets_are_refused() -> None:
    with pytest.raises(InputError, match="engine='fast'"):
        make_engine("fast")
    with pytest.raises(InputError, match="memory=0"):
        make_engine("torch", 0)
