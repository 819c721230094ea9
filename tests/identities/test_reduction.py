"""Statistics that merge: the same in any division of the training set, here and in processes."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scoremachines as sm
from scoremachines.calibration.information import ImageEntropy
from scoremachines.data.executors.processes import Processes
from scoremachines.data.nearest import Nearest
from scoremachines.data.reduction import (
    Block,
    Divided,
    Executor,
    Here,
    Pass,
    Reduction,
    reduce,
)
from scoremachines.engines import Query, make_engine
from scoremachines.errors import InputError
from scoremachines.explore.summaries import Distances
from scoremachines.machine.closed_forms import Displaced, Masked
from scoremachines.machine.composed import Composed, Seen
from scoremachines.machine.composed import Total as LogTotal
from scoremachines.machine.covariance import Centred, Scatter, Total
from scoremachines.metrics.copies import Copy
from scoremachines.metrics.matching import NearestAtPlacements, placement_families
from scoremachines.theory.posterior import Posterior

COUNT, SHAPE = 11, (3, 5, 7)


def training_set(*, same: bool = False) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.rand(COUNT, *SHAPE, generator=draw) * 2 - 1
    if same:  # ties, which the first place wins
        pixels[3:] = pixels[2]
    return sm.TrainingSet(pixels)


def statistics() -> dict[str, Reduction[Any]]:
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(2, *SHAPE, generator=draw) * 2 - 1
    query = Query(images, torch.tensor([0.3, 0.8], dtype=torch.float64), 3, "valid")
    (placements,) = placement_families([Copy()], 1, *SHAPE[1:])
    own = torch.tensor([4, 10])
    return {
        "nearest": Nearest(images.flatten(1)),
        "distances": Distances(images[0]),
        "whole": NearestAtPlacements(images, placements, own),
        "entropy": ImageEntropy(make_engine("torch"), query, own),
        "masked": Masked(images[0], 0.3, torch.eye(35)),
        "displaced": Displaced(images, 0.3),
        "evidence": LogTotal(Seen(images[0], 0.3, 3)),
        "composed": Composed(Seen(images[0], 0.3, 3), torch.zeros(5, 7)),
        "total": Total(),
        "centred": Centred(torch.zeros(105)),
        "scatter": Scatter(torch.zeros(105)),
    }


def fields(value: Any) -> list[torch.Tensor]:
    if isinstance(value, Posterior):
        return [value.log_weight, value.mean if value.entropy is None else value.entropy]
    if isinstance(value, torch.Tensor):
        return [value]
    return [part for each in value for part in fields(each)]


@pytest.mark.parametrize("same", [False, True])
@given(block=st.integers(1, COUNT + 2), divide=st.integers(1, COUNT - 1))
@settings(max_examples=15)
def test_any_division_gives_the_same(same: bool, block: int, divide: int) -> None:
    data, listed = training_set(same=same), statistics()
    if same:  # products round ties apart
        listed.pop("whole")
    whole = reduce(list(listed.values()), Pass(data, COUNT))
    found = reduce(list(listed.values()), Pass(data, block))
    parts = [torch.arange(divide), torch.arange(divide, COUNT)]
    values = [reduce(list(listed.values()), Pass(data, 4, members=part)) for part in parts]
    for name, statistic, *rest in zip(listed, listed.values(), whole, found, *values, strict=True):
        known, blocks, first, second = rest
        for other in (blocks, statistic.merge(first, second)):
            for a, b in zip(fields(known), fields(other), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5, msg=name)


def test_processes_give_the_same_bits(executors: list[Processes]) -> None:
    data, listed = training_set(), list(statistics().values())
    for processes in executors:
        here = reduce(listed, Pass(data, 2), Divided(processes.parts))
        there = reduce(listed, Pass(data, 2), processes)
        for one, other in zip(here, there, strict=True):
            for a, b in zip(fields(one), fields(other), strict=True):
                assert torch.equal(a, b)


def test_one_statistic_has_one_value() -> None:
    data = training_set()
    total = reduce(Total(), Pass(data, 3))
    torch.testing.assert_close(total, data.pixels.flatten(1).sum(0))
    for executor in (Here(), Divided(2), Processes(1)):
        assert isinstance(executor, Executor)
    assert isinstance(Total(), Reduction)


def test_what_cannot_be_reduced_is_refused() -> None:
    data = training_set()
    with pytest.raises(InputError, match="at least one image"):
        reduce(Total(), Pass(data, 3, members=torch.arange(0)))
    with pytest.raises(InputError, match="workers"):
        Processes(0)
    with pytest.raises(InputError, match="parts"):
        Divided(0)
    for executor in (3, "processes", {}, Processes):
        with pytest.raises(InputError, match=r"executor=.*such as Processes"):
            sm.ScoreMachine(data, 3, executor=executor)  # type: ignore[arg-type]
    unknown = lambda block: block.images.sum()  # noqa: E731
    statistic = Total()
    object.__setattr__(statistic, "of", unknown)
    with Processes(1) as processes, pytest.raises(InputError, match="can be pickled"):
        reduce(statistic, Pass(data, 3), processes)


@pytest.mark.parametrize("members", [None, torch.tensor([0, 1, 4, 5, 9])])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 20])
def test_parts_are_all_images_and_merge(count: int, members: torch.Tensor | None) -> None:
    data, listed = training_set(), list(statistics().values())
    blocks = Pass(data, 3, members=members)
    parts = blocks.parts(count)
    sizes = [sum(len(block.index) for block in part) for part in parts]
    assert len(parts) == min(count, sum(sizes))
    assert max(sizes) - min(sizes) <= 1
    read = torch.cat([block.index for part in parts for block in part])
    assert torch.equal(read, torch.arange(COUNT) if members is None else members)
    whole, found = reduce(listed, blocks), reduce(listed, blocks, Divided(count))
    for known, other in zip(whole, found, strict=True):
        for a, b in zip(fields(known), fields(other), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


class Dies(Total):
    """A statistic that ends the process which computes it."""

    def of(self, block: Block) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.mark.slow
def test_processes_serve_many_passes_and_are_begun_again() -> None:
    first, second = training_set(), training_set(same=True)
    with Processes(1) as processes:
        for data in (first, second, first):
            found = reduce(Total(), Pass(data, 2), processes)
            assert torch.equal(found, reduce(Total(), Pass(data, 2)))
        with pytest.raises(InputError, match=r"workers=1: they were killed 3 times"):
            reduce(Dies(), Pass(first, 2), processes)
        folder = processes._folder
        assert torch.equal(
            reduce(Total(), Pass(first, 11), processes), reduce(Total(), Pass(first, 11))
        )
        assert not folder.exists()
        folder = processes._folder
        assert folder.exists()
    assert not folder.exists()


def test_passes_over_two_training_sets_may_alternate(executors: list[Processes]) -> None:
    first, second = training_set(), training_set(same=True)
    for processes in executors:
        for data in (first, second, first):
            found = reduce(Total(), Pass(data, 1), processes)
            assert torch.equal(found, reduce(Total(), Pass(data, 1), Divided(processes.parts)))


def test_pixels_are_deleted_with_their_training_set(executors: list[Processes]) -> None:
    processes = executors[0]
    data = training_set()
    reduce(Total(), Pass(data, 3), processes)
    files = set(processes._folder.glob("*.npy"))
    reduce(Total(), Pass(data, 3), processes)
    assert set(processes._folder.glob("*.npy")) == files  # they are written once
    del data
    assert len(set(processes._folder.glob("*.npy"))) == len(files) - 1
