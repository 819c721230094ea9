"""Calibration that asks about windows near the last choice only: the same k(t), for less."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import scoremachines as sm
from scoremachines.calibration import MEASURES, SEARCHES, Calibration, Curves, calibrate
from scoremachines.calibration.figure import calibration_figure
from scoremachines.calibration.search import make_search
from scoremachines.errors import InputError
from scoremachines.theory.locality import WindowSchedule


def images(count: int) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    return sm.TrainingSet(torch.rand(count, 1, 13, 15, generator=draw) * 2 - 1)


KNOWN = WindowSchedule((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (1, 3, 5, 9, 11, 9))


@pytest.mark.parametrize("measure", MEASURES)
def test_it_finds_what_evaluating_all_finds(measure: str, tmp_path: Path) -> None:
    data = images(5)
    network = sm.els(data, KNOWN)
    known, found = (
        calibrate(network, data, steps=10, seeds=3, measure=measure, search=search)
        for search in SEARCHES
    )
    assert found.windows == known.windows
    assert set(found.windows) == set(KNOWN.windows)
    asked = ~found.curves.chosen_by.isnan()
    assert asked.all(2).sum(1).float().mean() < 4, "of seven windows"
    for name in MEASURES:
        assert torch.equal(found.curves.values[name][asked], known.curves.values[name][asked])
    found.save(tmp_path / "near.json")
    again = Calibration.load(tmp_path / "near.json")
    assert again == found
    assert torch.equal(again.curves.chosen_by.isnan(), ~asked)
    assert again.curves.about["search"] == "near"
    assert again.by("error").windows
    calibration_figure({"near": again})


@given(st.data())
def test_the_choice_is_that_of_all_where_each_trajectory_has_one_peak(data: st.DataObject) -> None:
    count, steps, seeds = (data.draw(st.integers(1, most)) for most in (9, 6, 5))
    peaks = data.draw(
        st.lists(
            st.lists(st.integers(0, count - 1), min_size=seeds, max_size=seeds),
            min_size=steps,
            max_size=steps,
        )
    )
    search = make_search("near", count, "clean")
    for peak in peaks:
        away = torch.arange(count)[:, None] - torch.tensor(peak)[None, :]
        values = -away.abs().double()
        found = search(lambda position, values=values: {"clean": values[position]})
        rows = torch.full((1, count, seeds), torch.nan, dtype=torch.float64)
        for position, numbers in found.items():
            rows[0, position] = numbers["clean"]
        windows = tuple(range(1, 2 * count, 2))
        all_of_them = Curves(windows, {"clean": values[None]}, "clean")
        assert Curves(windows, {"clean": rows}, "clean").voted() == all_of_them.voted()
        assert sorted(found) == list(range(min(found), max(found) + 1))


def test_a_search_that_does_not_exist_is_refused() -> None:
    data = images(3)
    with pytest.raises(InputError, match=r"search='far' is not accepted\. Accepted: all, near"):
        calibrate(sm.els(data, 3), data, search="far", steps=2, seeds=1)


@pytest.mark.parametrize("hole", [(0, slice(None), slice(None)), (0, 0, 1)])
def test_curves_with_holes_are_refused(hole: tuple[object, ...]) -> None:
    """A step about which nothing was asked, and a candidate asked about by some trajectories."""
    values: Tensor = torch.zeros(2, 3, 2, dtype=torch.float64)
    values[hole] = torch.nan
    with pytest.raises(InputError, match="curves"):
        Curves((1, 3, 5), {"clean": values}, "clean")
