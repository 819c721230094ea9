"""Posteriors merge: a commutative monoid (theory §2.1)."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from scoremachines.theory.posterior import Posterior, Sources

SHAPE = (2, 3, 5, 7)
BEST = 3


def part(log_weight: Tensor, values: Tensor, first: int) -> Posterior:
    """Return the posterior of sources with weights `[n, 2, 5, 7]` and values `[n, 2, 3, 5, 7]`."""
    share = log_weight.softmax(0)
    index = (first + torch.arange(len(log_weight))).view(1, -1, 1, 1).expand(2, -1, 5, 7)
    empty = Sources.empty(BEST, 2, 5, 7)
    sources = Sources(log_weight.movedim(0, 1), index, 2 * index).merge(empty).best(BEST)
    mean = (share[:, :, None] * values).sum(0)
    entropy = torch.special.entr(share).sum(0)
    return Posterior(log_weight.logsumexp(0), mean, entropy, sources)


@st.composite
def three(draw: st.DrawFn) -> tuple[list[Posterior], Posterior]:
    """Draw a set of sources, its posterior, and those of three parts of it."""
    sizes = [draw(st.integers(1, 5)) for _ in range(3)]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    spread = draw(st.sampled_from([0.0, 1.0, 50.0, 3000.0]))
    log_weight = (
        torch.randn(sum(sizes), 2, 5, 7, generator=generator, dtype=torch.float64) * spread
    )
    values = torch.rand(sum(sizes), *SHAPE, generator=generator, dtype=torch.float64) * 2 - 1
    starts = [0, sizes[0], sizes[0] + sizes[1]]
    cuts = zip(log_weight.split(sizes), values.split(sizes), starts, strict=True)
    return [part(*cut) for cut in cuts], part(log_weight, values, 0)


def same(first: Posterior, second: Posterior) -> None:
    torch.testing.assert_close(first.log_weight, second.log_weight, rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(first.mean, second.mean, rtol=0, atol=1e-10)
    torch.testing.assert_close(first.entropy, second.entropy, rtol=0, atol=1e-9)
    assert torch.equal(first.sources.image, second.sources.image)
    assert torch.equal(first.sources.position, second.sources.position)
    torch.testing.assert_close(first.weights, second.weights, rtol=0, atol=1e-10)


@given(three())
def test_parts_merge_to_the_whole_in_any_order(drawn: tuple[list[Posterior], Posterior]) -> None:
    (a, b, c), whole = drawn
    for merged in (a.merge(b).merge(c), a.merge(b.merge(c)), c.merge(a).merge(b)):
        same(merged, whole)
    same(Posterior.merge_all([b, c, a]), whole)


@given(three())
def test_nothing_is_the_unit(drawn: tuple[list[Posterior], Posterior]) -> None:
    _, whole = drawn
    empty = Posterior.empty(torch.zeros(SHAPE, dtype=torch.float64), BEST)
    same(whole.merge(empty), whole)
    same(empty.merge(whole), whole)
    both = empty.merge(empty)
    assert (both.log_weight == -torch.inf).all()
    assert (both.mean == 0).all()
    assert (both.sources.image == -1).all()


def test_a_common_offset_changes_no_share() -> None:
    log_weight = torch.randn(4, 2, 5, 7, dtype=torch.float64)
    whole = part(log_weight, torch.rand(4, *SHAPE, dtype=torch.float64), 0)
    moved = whole.shifted(torch.full((2, 5, 7), 1e6, dtype=torch.float64))
    torch.testing.assert_close(moved.weights, whole.weights, rtol=0, atol=1e-9)
    torch.testing.assert_close(moved.log_weight, whole.log_weight + 1e6)


def test_some_samples_and_all_again() -> None:
    whole = part(torch.randn(4, 2, 5, 7).double(), torch.rand(4, *SHAPE).double(), 0)
    same(Posterior.cat([whole.at(slice(0, 1)), whole.at(slice(1, 2))]), whole)
    assert whole.to(torch.float32).mean.dtype == torch.float32
    plain = Posterior(whole.log_weight, whole.mean)
    assert Posterior.cat([plain, plain]).entropy is None
    assert plain.merge(plain).sources is None


def test_equal_sources_are_ordered_by_image_then_position() -> None:
    weight = torch.zeros(1, 6, 1, 1, dtype=torch.float64)
    image = torch.tensor([3, 1, 3, 1, 2, 2]).view(1, 6, 1, 1)
    position = torch.tensor([5, 9, 4, 8, 1, 0]).view(1, 6, 1, 1)
    best = Sources(weight, image, position).best(4)
    assert best.image.flatten().tolist() == [1, 1, 2, 2]
    assert best.position.flatten().tolist() == [8, 9, 0, 1]


def test_merging_holds_one_part_at_a_time() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def parts() -> Iterator[Posterior]:
        for _ in range(20):
            mean = torch.zeros(1, 1, 2, 2)
            held.append(weakref.ref(mean))
            yield Posterior(torch.zeros(1, 2, 2, dtype=torch.float64), mean)
            del mean
            assert sum(each() is not None for each in held) <= 2

    Posterior.merge_all(parts())
    assert len(held) == 20
