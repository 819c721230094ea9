"""k(t) predicted without a network: limits, order, and what information is."""

from __future__ import annotations

from math import log
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import scoremachines as sm
from scoremachines.calibration import RULES, Calibration, predict_windows
from scoremachines.calibration.information import image_information, noised_images
from scoremachines.engines import Plan, Query, ReferenceEngine, TorchEngine
from scoremachines.errors import InputError
from scoremachines.theory.positions import SOURCES
from scoremachines.theory.schedule import noise_schedule


def images(count: int, seed: int = 0, size: tuple[int, int, int] = (2, 7, 9)) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(count, *size, generator=draw, dtype=torch.float64) * 2 - 1


class Small(TorchEngine):
    """An engine that takes so many noisy and training images at once."""

    def __init__(self, *plan: int) -> None:
        super().__init__()
        self.taken = Plan(*plan)

    def plan(self, query: Query, count: int, **demand: object) -> Plan:
        return self.taken


@pytest.mark.parametrize("sources", SOURCES)
def test_windows_grow_with_the_noise(sources: str) -> None:
    found = predict_windows(sm.TrainingSet(images(12)), sources=sources, steps=6, draws=4)
    assert list(found.windows) == sorted(found.windows)
    assert found.windows[0] < found.windows[-1] == 7
    information = found.curves.values["information"]
    assert information.shape == (6, 4, 4)
    assert (information > -1e-9).all()
    assert (information < log(12) + 1e-9).all()
    mean = information.mean(2)
    assert (mean.diff(dim=0) < 0.02).all()  # noise takes information away
    assert (mean.diff(dim=1) > -0.05).all()  # a larger window adds to it


def test_a_single_image_has_no_information() -> None:
    """log 1 = 0: no window says more than that, so the largest is admissible at all times."""
    found = predict_windows(sm.TrainingSet(images(1)), steps=3, draws=2)
    assert found.windows == (7, 7, 7)
    assert torch.equal(found.curves.chosen_by, torch.zeros(3, 4, 2, dtype=torch.float64))


def test_copies_of_one_image_have_no_information() -> None:
    found = predict_windows(sm.TrainingSet(images(1).repeat(5, 1, 1, 1)), steps=3, draws=2)
    assert found.windows == (7, 7, 7)
    assert found.curves.chosen_by.abs().max() < 1e-9


@settings(max_examples=4, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_admits_larger_windows(one: float, other: float) -> None:
    data = sm.TrainingSet(images(5, size=(1, 5, 7)))
    less, more = (
        predict_windows(data, steps=4, draws=2, share=share).windows
        for share in sorted((one, other))
    )
    assert all(a <= b for a, b in zip(less, more, strict=True))


def test_all_of_the_information_admits_every_window() -> None:
    found = predict_windows(sm.TrainingSet(images(5)), steps=3, draws=2, share=1)
    assert found.windows == (7, 7, 7)
    assert predict_windows(sm.TrainingSet(images(5)), steps=3, draws=2, share=0).windows[0] == 1


@pytest.mark.parametrize("sources", ["aligned", "circular"])
def test_more_images_admit_no_smaller_window(sources: str) -> None:
    """Sets of twice the same images: N doubles, and a patch says as much as it did."""
    clean = images(6)
    options = {"sources": sources, "steps": 6, "draws": 5}
    once = predict_windows(sm.TrainingSet(clean), **options)
    copies = sm.TrainingSet(clean.repeat(4, 1, 1, 1))
    more = predict_windows(copies, **options)
    assert all(a <= b for a, b in zip(once.windows, more.windows, strict=True))
    assert sum(more.windows) > sum(once.windows)


@pytest.mark.parametrize("sources", SOURCES)
def test_information_is_that_of_the_posterior_over_images(sources: str) -> None:
    clean, noisy = images(5), images(3, seed=1) * 1.3
    data, levels = sm.TrainingSet(clean), torch.tensor([0.2, 0.6, 0.9], dtype=torch.float64)
    machine = sm.ScoreMachine(data, 3, sources)
    posterior = machine.posterior(noisy, levels)
    # The weight of each image, from machines that lack all others.
    alone = [sm.ScoreMachine(data.subset([i]), 3, sources) for i in range(5)]
    weights = torch.stack([each.posterior(noisy, levels).log_weight for each in alone])
    total = torch.special.entr((weights - posterior.log_weight).exp()).sum(0)
    inside = total[:, 1:-1, 1:-1] if sources == "valid" else total
    found = image_information(data, ReferenceEngine(), noisy, levels, 3, sources)
    torch.testing.assert_close(found, log(5) - inside.mean((1, 2)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("sources", ["aligned", "boundary"])
def test_the_edge_is_where_an_image_outweighs_all_others(sources: str) -> None:
    clean = images(6)
    data = sm.TrainingSet(clean)
    found = predict_windows(data, sources=sources, rule="edge", steps=4, draws=3, seed=5)
    places, noise = noised_images(data, 3, 5)
    schedule = noise_schedule("cosine")
    level = float(schedule.alpha_bar(torch.tensor([0.5], dtype=torch.float64)))
    noisy = level**0.5 * clean[places] + (1 - level) ** 0.5 * noise
    alone = [sm.ScoreMachine(data.subset([i]), 3, sources) for i in range(6)]
    evidence = torch.stack([each.posterior(noisy, level).log_weight for each in alone])
    for draw, place in enumerate(places.tolist()):
        others = evidence[torch.arange(6) != place, draw].logsumexp(0) - log(5)
        gap = (evidence[place, draw] - others).mean()
        torch.testing.assert_close(found.curves.chosen_by[1, 1, draw], gap, rtol=0, atol=1e-9)
    allowed = found.curves.chosen_by.mean(2) <= log(5)
    for row, window in zip(allowed, found.windows, strict=True):
        assert window == max((2 * j + 1 for j in range(4) if row[j]), default=1)


def test_blocks_batches_and_order_change_nothing() -> None:
    clean, noisy = images(11), images(3, seed=1)
    levels = torch.full((3,), 0.6, dtype=torch.float64)
    data = sm.TrainingSet(clean)
    known = image_information(data, ReferenceEngine(), noisy, levels, 3, "boundary")
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    for engine in (TorchEngine(), Small(1, 1), Small(2, 4)):
        for some in (torch.arange(11), order):
            data = sm.TrainingSet(clean[some])
            found = image_information(data, engine, noisy, levels, 3, "boundary")
            torch.testing.assert_close(found, known, rtol=0, atol=1e-9)
            alone = image_information(data, engine, noisy[1:2], levels[1:2], 3, "boundary")
            torch.testing.assert_close(alone, known[1:2], rtol=0, atol=1e-9)


def test_more_draws_keep_the_earlier_ones() -> None:
    data = sm.TrainingSet(images(6))
    for rule in RULES:
        few, more = (predict_windows(data, rule=rule, steps=2, draws=n).curves for n in (2, 5))
        torch.testing.assert_close(more.chosen_by[..., :2], few.chosen_by, rtol=0, atol=1e-12)


def test_held_out_images_are_denoised_without_themselves() -> None:
    """Two images: each is told from the other alone, whatever the window."""
    clean = images(2)
    found = predict_windows(
        sm.TrainingSet(clean), sources="aligned", rule="held-out", steps=2, draws=3
    )
    expected = -(clean[0] - clean[1]).square().mean()
    assert torch.allclose(found.curves.chosen_by, expected.expand(2, 4, 3), rtol=0, atol=1e-12)


def test_held_out_windows_match_how_far_pixels_depend_on_each_other() -> None:
    """Pixels independent of each other, one of two values each: a window of 1 knows it all."""
    clean = images(60, size=(1, 5, 7)).sign() * 0.5
    found = predict_windows(
        sm.TrainingSet(clean), sources="aligned", rule="held-out", steps=4, draws=12
    )
    assert found.windows[:3] == (1, 1, 1)


def test_a_prediction_is_a_window_and_survives_a_file(tmp_path: Path) -> None:
    data = sm.TrainingSet(images(4))
    found = predict_windows(data, steps=3, draws=2)
    found.save(tmp_path / "predicted.json")
    again = Calibration.load(tmp_path / "predicted.json")
    assert again == found
    assert torch.equal(again.curves.chosen_by, found.curves.chosen_by)
    assert sm.bbels(data, window=again).denoise(images(1), 0.5).shape == (1, 2, 7, 9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "luck"}, "information, edge, held-out"),
        ({"rule": "edge"}, "two images"),
        ({"sources": "anywhere"}, "sources="),
        ({"share": 1.5}, "share=1.5"),
        ({"draws": 0}, "draws=0"),
        ({"steps": -1}, "steps=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"windows": [2]}, "middle pixel"),
        ({"rule": "held-out"}, "two images"),
    ],
)
def test_what_cannot_be_predicted(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict_windows(sm.TrainingSet(images(1)), **options)
