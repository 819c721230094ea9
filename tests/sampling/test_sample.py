"""Samples: what they depend on, KG's loop, and every scheduler of diffusers."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.data.nearest import nearest_training_image
from scoremachines.errors import InputError
from scoremachines.sampling.reverse_process import (
    Step,
    kg_trajectory,
    make_scheduler,
    noise_generator,
    scheduler_names,
)
from scoremachines.sampling.sample import trajectory
from scoremachines.theory.schedule import TableSchedule, noise_schedule, predicted

EXACT = (
    "DDIM",
    "DDPM",
    "DPMSolverMultistep",
    "DPMSolverSinglestep",
    "EDMDPMSolverMultistep",
    "EDMEuler",
    "EulerAncestralDiscrete",
    "EulerDiscrete",
    "HeunDiscrete",
    "KDPM2AncestralDiscrete",
    "KDPM2Discrete",
    "UniPCMultistep",
)
"""Schedulers whose last step is the denoiser's own answer, or nearly."""


def images(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(shape or (11, 3, 5, 7), generator=draw) * 2 - 1


@pytest.fixture
def machine() -> sm.ScoreMachine:
    return sm.els(sm.TrainingSet(images(), torch.arange(11) % 2, ("even", "odd")), 3)


def test_a_sample_depends_on_its_number_alone(machine: sm.ScoreMachine) -> None:
    whole = sm.sample(machine, n=5, steps=4, seed=3)
    for n, batch in ((2, 1), (5, 2), (4, 16)):
        part = sm.sample(machine, n=n, steps=4, seed=3, batch=batch)
        assert torch.equal(part.images, whole.images[:n])
        assert torch.equal(part.posterior.sources.image, whole.posterior.sources.image[:n])
    other = sm.sample(machine, n=5, steps=4, seed=4)
    assert not torch.equal(other.images, whole.images)


def test_every_machine_starts_from_the_same_noise(machine: sm.ScoreMachine) -> None:
    noise = sm.starting_noise(3, range(2, 4), (3, 5, 7))
    for other in (machine, sm.ideal(machine.data)):
        first = next(trajectory(other, range(2, 4), steps=2, seed=3))
        assert torch.equal(first.noisy, noise)
    drawn = torch.randn(3, 5, 7, generator=noise_generator(3, 2))
    assert torch.equal(noise[0], drawn)
    assert abs(float(sm.starting_noise(0, range(64), (3, 5, 7)).std()) - 1) < 0.03


def test_kg_loop_equals_a_loop_written_out(machine: sm.ScoreMachine) -> None:
    steps, schedule = 7, noise_schedule("cosine")
    phi = sm.starting_noise(1, range(3), (3, 5, 7)).double()
    machine = machine.to(torch.float64)
    *_, last = kg_trajectory(machine, phi, schedule, steps)
    for j in range(steps, 0, -1):
        now = math.cos(math.pi / 2 * j / steps / 1.008) ** 2
        after = math.cos(math.pi / 2 * (j - 1) / steps / 1.008) ** 2
        clean = machine.denoise(phi, now)
        noise = (phi - now**0.5 * clean) / (1 - now) ** 0.5
        phi = after**0.5 * clean + (1 - after) ** 0.5 * noise
    torch.testing.assert_close(last.after, phi, rtol=0, atol=1e-9)


def test_kg_loop_goes_on_from_any_step(machine: sm.ScoreMachine) -> None:
    whole = list(trajectory(machine, range(2), steps=5))
    assert [step.number for step in whole] == [1, 2, 3, 4, 5]
    for done in (1, 4):
        resume = (done, whole[done - 1].after)
        *_, last = trajectory(machine, range(2), steps=5, resume=resume)
        assert torch.equal(last.after, whole[-1].after)


def test_the_ideal_machine_replays_its_training_set(machine: sm.ScoreMachine) -> None:
    result = sm.sample(sm.ideal(machine.data), n=6, steps=20)
    index, distance = result.nearest()
    assert distance.max() < 1e-4
    assert torch.equal(result.source_images, index[:, None, None].expand(-1, 5, 7))
    assert [row["nearest"] for row in result.contributions()] == index.tolist()


def test_classes(machine: sm.ScoreMachine) -> None:
    result = sm.sample(machine, n=4, steps=3, labels=["odd", 0, "odd", 1])
    assert (result.source_images % 2 == torch.tensor([1, 0, 1, 1])[:, None, None]).all()
    with pytest.raises(InputError, match="labels="):
        sm.sample(machine, n=4, steps=3, labels=[0, 1])
    with pytest.raises(InputError, match="label='third'"):
        sm.sample(machine, n=4, steps=3, labels="third")


def test_without_provenance_and_with_a_witness(machine: sm.ScoreMachine) -> None:
    seen: list[Step] = []
    result = sm.sample(machine, n=3, steps=2, best=0, batch=2, on_step=seen.append)
    assert result.posterior is None
    assert result.source_images is None
    assert "sources" not in result.contributions()[0]
    assert [step.number for step in seen] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    "counts", [{"n": 0}, {"steps": 0}, {"batch": -1}, {"seed": -1}, {"best": -1}, {"n": 1.5}]
)
def test_counts_are_checked(machine: sm.ScoreMachine, counts: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(counts))}="):
        sm.sample(machine, **counts)


@pytest.mark.parametrize("name", scheduler_names())
def test_every_scheduler(machine: sm.ScoreMachine, name: str) -> None:
    ideal = sm.ideal(machine.data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers warns of what NumPy and torch deprecate
        try:
            result = sm.sample(ideal, n=2, steps=30, scheduler=name)
        except InputError as error:
            assert "torchsde" in str(error)  # noqa: PT017
            return
        again = sm.sample(ideal, n=2, steps=30, scheduler=name, batch=1)
    assert result.images.shape == (2, 3, 5, 7)
    assert torch.isfinite(result.images).all()
    torch.testing.assert_close(again.images, result.images, rtol=0, atol=1e-5)
    _, distance = nearest_training_image(result.images, machine.data)
    assert distance.max() < (0.01 if name in EXACT else 0.35)


def test_schedulers_that_do_not_exist_or_do_not_fit() -> None:
    assert set(EXACT) <= set(scheduler_names())
    assert make_scheduler("DDIMScheduler").__class__.__name__ == "DDIMScheduler"
    for name in ("Magic", "DDIMInverse", "FlowMatchEulerDiscrete"):
        with pytest.raises(InputError, match=f"scheduler='{name}'"):
            make_scheduler(name)


def test_schedules_and_back() -> None:
    t = torch.linspace(0, 1, 41, dtype=torch.float64)
    for name in ("cosine", "linear"):
        schedule = noise_schedule(name)
        levels = schedule.alpha_bar(t)
        assert (levels.diff() < 0).all()
        torch.testing.assert_close(schedule.time(levels), t, rtol=0, atol=1e-7)
    linear = TableSchedule.linear()
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    known = (1 - beta).cumprod(0)
    torch.testing.assert_close(linear.at_step(torch.arange(1000)), known)
    between = float(linear.at_step(499.5))
    assert known[500] < between < known[499]
    assert noise_schedule(linear) is linear


def test_forms_of_a_prediction() -> None:
    clean, noise = images(2, 3, 5, 7).double(), torch.randn(2, 3, 5, 7, dtype=torch.float64)
    level = torch.tensor([0.3, 0.8], dtype=torch.float64)
    a, s = level.sqrt()[:, None, None, None], (1 - level).sqrt()[:, None, None, None]
    noisy = a * clean + s * noise
    forms = {"sample": clean, "epsilon": noise, "v_prediction": a * noise - s * clean}
    forms["score"] = -noise / s
    for kind, known in forms.items():
        torch.testing.assert_close(predicted(kind, clean, noisy, level), known)
    with pytest.raises(InputError, match="prediction_type='velocity'"):
        predicted("velocity", clean, noisy, level)
