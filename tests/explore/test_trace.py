"""A sample followed again: it ends the same, and what each step says is what the machine says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import scoremachines as sm
from scoremachines.attention import MultiScale, Scaled, Soft
from scoremachines.explore.attention_maps import attended, strongest
from scoremachines.explore.encoding import SMALL, pack, pack_noisy, pack_scaled, pack_trace, unpack
from scoremachines.explore.trace import Course, follow, look
from scoremachines.sampling.reverse_process import starting_noise

HEIGHT, WIDTH = 5, 7
PIXELS = HEIGHT * WIDTH


def data(n: int = 11, seed: int = 0) -> sm.TrainingSet:
    generator = torch.Generator().manual_seed(seed)
    images = 2 * torch.rand(n, 3, HEIGHT, WIDTH, generator=generator) - 1
    return sm.TrainingSet(images, torch.arange(n) % 2, ("one", "two"))


@pytest.mark.parametrize("attention", ["none", "tiled", "top1-class"])
@pytest.mark.parametrize("scheduler", ["kg", "DDIM", "DDPM"])
def test_a_trace_ends_as_the_sample_did(attention: str, scheduler: str) -> None:
    machine = sm.ScoreMachine(data(), 3, "valid", attention)
    result = sm.sample(machine, n=3, steps=4, seed=5, scheduler=scheduler, labels=[0, 1, 1])
    assert result.posterior is not None
    assert result.posterior.sources is not None
    course = Course(4, 5, scheduler, torch.tensor([0, 1, 1]))
    seen: list[tuple[int, int]] = []
    trace = follow(machine, 1, course, on_step=lambda *step: seen.append(step))
    # With attention x̂0 is computed in another way where sources are kept: the same up to rounding.
    apart = 0 if attention == "none" else 1e-5
    torch.testing.assert_close(trace.image, result.images[1], rtol=0, atol=apart)
    assert trace.posterior is not None
    assert trace.posterior.sources is not None
    last = trace.posterior.sources.image[-1]
    assert torch.equal(last, result.posterior.sources.image[1])
    weights, known = trace.posterior.weights[-1], result.posterior.weights[1]
    torch.testing.assert_close(weights, known, rtol=0, atol=10 * apart)
    assert seen == [(number, len(trace.time)) for number in range(1, len(trace.time) + 1)]


def test_a_trace_with_large_windows_ends_as_the_sample_did_up_to_rounding() -> None:
    """Sums over such windows are added up in another order where sources are kept."""
    machine = sm.ScoreMachine(data(), 5, "valid")
    result = sm.sample(machine, n=2, steps=4, seed=5)
    trace = follow(machine, 1, Course(4, 5))
    torch.testing.assert_close(trace.image, result.images[1], rtol=0, atol=1e-4)


def test_every_step_is_the_posterior_of_its_noisy_image() -> None:
    machine = sm.ScoreMachine(data(), {0.0: 3, 1.0: 5}, "boundary", "identity")
    trace = follow(machine, 2, Course(5, 1, best=3))
    assert trace.noisy is not None
    assert trace.posterior is not None
    assert trace.windows == [5, 5, 5, 3, 3]
    assert torch.equal(trace.noisy[:1], starting_noise(1, range(2, 3), (3, HEIGHT, WIDTH)))
    for step, level in enumerate(trace.alpha_bar):
        known = machine.posterior(trace.noisy[step : step + 1], level, best=3)
        assert torch.equal(trace.clean[step], known.mean[0])
        assert known.entropy is not None
        assert torch.equal(trace.posterior.at(slice(step, step + 1)).weights, known.weights)
    assert trace.attended is not None
    assert len(trace.attended) == 5


def test_a_network_is_read_by_a_machine_and_shows_what_it_attends_to() -> None:
    network = sm.adapt(
        torch.nn.Conv2d(3, 3, 3, padding=1),
        shape=(3, HEIGHT, WIDTH),
        call=lambda noisy, level, labels: noisy,
        prediction_type="sample",
        attention=lambda noisy, level: torch.full((PIXELS, PIXELS), 1 / PIXELS),
        sources="boundary",
    )
    reader = sm.ScoreMachine(data(), 3)
    trace = follow(network, 0, Course(3, 0, best=2), reader)
    assert trace.posterior is not None
    assert trace.posterior.sources is not None
    assert trace.noisy is not None
    known = reader.posterior(trace.noisy[1:2], trace.alpha_bar[1], best=2)
    assert known.sources is not None
    assert torch.equal(trace.posterior.sources.image[1], known.sources.image[0])
    assert trace.attended is not None
    assert trace.attended[0].even == pytest.approx(1 / PIXELS)


def test_attended_places_are_the_largest_entries_of_the_rows() -> None:
    generator = torch.Generator().manual_seed(3)
    matrix = torch.rand(PIXELS, PIXELS, generator=generator, dtype=torch.float64)
    noisy = starting_noise(0, range(1), (3, HEIGHT, WIDTH))
    for attention, strength in ((Soft(matrix), 1.0), (Scaled(Soft(matrix), 0.4), 0.4)):
        found = attended(sm.ScoreMachine(data(), 3, attention=attention), noisy, 0.5, None, 4)
        assert found is not None
        assert found.even is None
        rows = (strength * matrix).clone().fill_diagonal_(0)
        assert torch.allclose(found.total.flatten(), rows.sum(1))
        for pixel in range(PIXELS):
            best = rows[pixel].argsort(descending=True)[:4]
            assert torch.equal(found.place.flatten(1)[:, pixel], best)
            assert torch.allclose(found.weight.flatten(1)[:, pixel], rows[pixel][best])


@pytest.mark.parametrize(("name", "weight"), [("tiled", 1 / 9), ("full", 1.0)])
def test_even_attention_names_no_place(name: str, weight: float) -> None:
    noisy = starting_noise(0, range(1), (3, HEIGHT, WIDTH))
    found = attended(sm.ScoreMachine(data(), 3, attention=name), noisy, 0.5, None, 4)
    assert found is not None
    assert found.even == pytest.approx(weight)
    assert found.place.shape == (0, HEIGHT, WIDTH)
    assert torch.allclose(found.total, torch.tensor(weight * (PIXELS - 1)).double())


def test_hard_attention_has_one_partner_and_none_has_none() -> None:
    noisy = starting_noise(0, range(1), (3, HEIGHT, WIDTH))
    found = attended(sm.ScoreMachine(data(), 3, attention="top1"), noisy, 0.5, 1, 4)
    assert found is not None
    assert torch.equal(found.weight[0], torch.ones(HEIGHT, WIDTH, dtype=torch.float64))
    assert (found.place[0].flatten() != torch.arange(PIXELS)).all()
    assert (found.place[1:] == -1).all()
    assert attended(sm.ScoreMachine(data(), 3), noisy, 0.5, None, 4) is None


def test_several_windows_add_up() -> None:
    noisy = starting_noise(0, range(1), (3, HEIGHT, WIDTH))
    machine = sm.ScoreMachine(data(), 3, attention=MultiScale([1, 3]))
    found = attended(machine, noisy, 0.5, None, 4)
    assert found is not None
    assert found.even == pytest.approx((1 + 1 / 9) / 2)


def test_rows_of_a_single_pixel() -> None:
    assert strongest(torch.zeros(1, 1), 1, 1, 3).place.shape == (0, 1, 1)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=40))
def test_packing_keeps_whole_numbers(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)[:, None]
    packed = pack(array)
    assert np.array_equal(unpack(packed), array)
    assert packed["shape"] == [len(values), 1]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_packing_keeps_numbers_to_a_65535th_of_the_largest(values: list[float]) -> None:
    packed = pack_scaled(torch.tensor(values, dtype=torch.float64))
    error = np.abs(unpack(packed) * packed["scale"] - np.array(values))
    assert (error <= max(values) / 65535 + 1e-9).all()


def test_noisy_images_are_kept_to_the_nearest_byte() -> None:
    noisy = torch.linspace(-2.5, 2.5, 30).view(1, 1, 5, 6)
    packed = pack_noisy(noisy)
    restored = (unpack(packed) / 127.5 - 1) * packed["span"]
    assert np.abs(restored - noisy.numpy()).max() <= 2.5 / 255 + 1e-6


def test_of_small_sources_only_the_best_is_kept() -> None:
    machine = sm.ScoreMachine(data(), 3)
    trace = look(machine, starting_noise(0, range(1), (3, HEIGHT, WIDTH))[0], 0.9, None, 4)
    packed = pack_trace(trace)
    image, weight = (unpack(packed["sources"][name]) for name in ("image", "weight"))
    weight = weight * packed["sources"]["weight"]["scale"]
    assert trace.posterior is not None
    exact = trace.posterior.weights.numpy()
    assert (exact[:, 1:] < SMALL).any()
    assert (image[:, 0] >= 0).all()
    assert ((image[:, 1:] >= 0) == (exact[:, 1:] >= SMALL)).all()
    assert np.abs(weight - exact)[image >= 0].max() < 1e-4
    entropy = unpack(packed["entropy"]) * packed["entropy"]["scale"]
    assert trace.posterior.entropy is not None
    assert np.abs(entropy - trace.posterior.entropy.numpy()).max() < 1e-3
