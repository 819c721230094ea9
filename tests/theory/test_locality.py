"""k(t) and ᾱ(t): functions of time, read from texts, tables and mappings."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scoremachines.errors import InputError
from scoremachines.theory.locality import WindowSchedule, check_window, parse_window, windows_of
from scoremachines.theory.schedule import TableSchedule, noise_schedule

KNOTS = st.dictionaries(st.floats(0, 1), st.sampled_from([1, 3, 7, 17]), min_size=1, max_size=5)


@given(KNOTS, st.floats(0, 1))
def test_the_nearest_knot_counts_and_of_two_the_noisier(knots: dict[float, int], t: float) -> None:
    schedule = WindowSchedule.from_mapping(knots)
    distance = min(abs(knot - t) for knot in knots)
    nearest = max(knot for knot in knots if abs(knot - t) == distance)
    assert schedule(t) == knots[nearest]
    assert set(windows_of(schedule)) == set(knots.values())


@given(KNOTS)
def test_a_schedule_written_down_reads_the_same(knots: dict[float, int]) -> None:
    schedule = WindowSchedule.from_mapping(knots)
    assert parse_window(str(schedule)) == schedule
    assert parse_window(knots) == schedule
    assert parse_window(schedule) is schedule


def test_windows_as_they_are_written() -> None:
    assert parse_window("7") == parse_window(7) == parse_window(" 7 ") == 7
    assert parse_window("image") is None
    assert parse_window(None) is None
    assert windows_of(None) == ()
    assert windows_of(5) == (5,)
    assert str(parse_window("1:17, 0:3,0.5:7")) == "0:3,0.5:7,1:17"
    assert parse_window("0:3,1:5")(0.5) == 5


@pytest.mark.parametrize(
    "window",
    [4, 0, -3, True, 3.0, "four", "3:", "0:3,1", "0:3,0:5", "0:4", "2:3", {}, {0.5: 2}, {-0.1: 3}],
)
def test_what_is_no_window(window: object) -> None:
    with pytest.raises(InputError, match="window="):
        parse_window(window)


def test_windows_larger_than_the_image() -> None:
    check_window(5, (5, 7))
    with pytest.raises(InputError, match="larger than the image, 5×7"):
        check_window(7, (5, 7))


@given(st.sets(st.integers(1, 10**6 - 1), min_size=1, max_size=9))
def test_a_table_is_met_at_its_steps_and_log_snr_is_linear_between(levels: set[int]) -> None:
    table = [level / 10**6 for level in sorted(levels, reverse=True)]
    schedule = TableSchedule(table)
    steps = torch.arange(len(table))
    known = torch.tensor(table, dtype=torch.float64)
    torch.testing.assert_close(schedule.at_step(steps), known, rtol=1e-9, atol=0)
    times = (steps + 1) / len(table)
    torch.testing.assert_close(schedule.alpha_bar(times), known, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(schedule.time(known), times.double(), rtol=0, atol=1e-6)
    for n, (high, low) in enumerate(itertools.pairwise(table)):
        snr = [math.log(level / (1 - level)) for level in (high, low)]
        middle = 1 / (1 + math.exp(-(snr[0] + snr[1]) / 2))
        assert math.isclose(float(schedule.at_step(n + 0.5)), middle, rel_tol=1e-9)
    again = noise_schedule(schedule.setting)
    assert torch.equal(again.at_step(steps), schedule.at_step(steps))
    assert float(schedule.alpha_bar(0)) == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize("table", [[], [0.5, 0.5], [0.1, 0.2], [1.5, 0.5], [0.5, -0.1], [[0.5]]])
def test_what_is_no_table(table: list[object]) -> None:
    with pytest.raises(InputError, match="alphas_cumprod="):
        noise_schedule(table)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_time_and_level_are_inverse(name: str) -> None:
    schedule = noise_schedule(name)
    assert noise_schedule(schedule.setting).name == name
    levels = torch.tensor([1e-4, 0.1, 0.5, 0.9, 1 - 1e-4], dtype=torch.float64)
    again = schedule.alpha_bar(schedule.time(levels))
    reachable = levels.clamp(min=float(schedule.alpha_bar(1.0)))
    torch.testing.assert_close(again, reachable, rtol=0, atol=1e-9)
    assert float(schedule.time(0.0)) == 1
    assert float(schedule.time(1.0)) < 1e-6
