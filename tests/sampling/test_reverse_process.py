"""Every scheduler of diffusers: noise levels, randomness, predictions, and what they refuse."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.sampling.reverse_process import (
    make_scheduler,
    scheduler_names,
    scheduler_trajectory,
)
from scoremachines.sampling.sample import trajectory
from support.images import images

# What diffusers' own code draws from NumPy and torch, not ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*deprecated.*:FutureWarning:diffusers"),
]

NAMES = scheduler_names()
DETERMINISTIC = (
    "CogVideoXDDIM",
    "DDIM",
    "DEISMultistep",
    "DPMSolverMultistep",
    "DPMSolverSinglestep",
    "EDMDPMSolverMultistep",
    "EDMEuler",
    "EulerDiscrete",
    "HeunDiscrete",
    "KDPM2Discrete",
    "LMSDiscrete",
    "PNDM",
    "UniPCMultistep",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_noise_at_every_step_is_that_of_the_machine(name: str) -> None:
    """One training image x, so that x̂0 = x is exact and φ = √ᾱ x + √(1−ᾱ) ε at every step.

    ε has 12,288 entries, so its mean square is 1 to 0.013 (one standard error); ᾱ of the step
    before or after would put it off by 10 % and more.
    """
    clean = images(1, 3, 64, 64)
    machine = sm.ideal(sm.TrainingSet(clean))
    steps = list(trajectory(machine, range(1), steps=12, seed=1, scheduler=name))
    levels = torch.tensor([step.alpha_bar for step in steps])
    assert (levels.diff() > -1e-6).all()
    assert levels[0] < 0.01
    assert levels[-1] > 0.85
    for step in steps:
        assert step.after.shape == clean.shape
        noise = (step.noisy - step.alpha_bar**0.5 * clean) / (1 - step.alpha_bar) ** 0.5
        assert abs(float(noise.square().mean()) - 1) < 0.05, step.number


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_depends_on_seed_and_number_alone(name: str) -> None:
    machine = sm.els(sm.TrainingSet(images(6, 3, 5, 7)), 3)
    together = sm.sample(machine, n=3, steps=6, seed=2, scheduler=name, best=0).images
    apart = sm.sample(machine, n=3, steps=6, seed=2, scheduler=name, best=0, batch=1).images
    fewer = sm.sample(machine, n=2, steps=6, seed=2, scheduler=name, best=0, batch=2).images
    other = sm.sample(machine, n=3, steps=6, seed=3, scheduler=name, best=0).images
    assert torch.equal(together, apart)
    assert torch.equal(together[:2], fewer)
    assert not torch.equal(together, other)


class Gaussian:
    """The denoiser of independent normal pixels of standard deviation 0.3, smooth in all."""

    def denoise(self, noisy: Tensor, alpha_bar: Tensor | float, labels: object = None) -> Tensor:
        level = float(alpha_bar)
        return level**0.5 * 0.09 / (level * 0.09 + 1 - level) * noisy


def painted(scheduler: Any, steps: int) -> Tensor:
    noise = sm.starting_noise(0, range(2), (3, 5, 7), torch.float64)
    *_, last = scheduler_trajectory(Gaussian(), noise, scheduler, steps)
    return last.after


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_flow_of_a_normal_distribution_only_scales_the_noise(name: str) -> None:
    """Its exact solution is 0.3 times the noise; the first order is 2 to 6 % off at 200 steps."""
    noise = sm.starting_noise(0, range(2), (3, 5, 7), torch.float64)
    found = painted(make_scheduler(name), 200)
    torch.testing.assert_close(found.double(), 0.3 * noise, rtol=0.07, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DDPM", "sample"),
        ("DDPM", "v_prediction"),
        ("DDIM", "sample"),
        ("DDIM", "v_prediction"),
        ("EulerDiscrete", "sample"),
        ("EulerDiscrete", "v_prediction"),
        ("HeunDiscrete", "v_prediction"),
        ("UniPCMultistep", "sample"),
        ("EDMEuler", "v_prediction"),
    ],
)
def test_every_form_of_prediction_gives_the_same_picture(name: str, kind: str) -> None:
    pictures = []
    for each in ("epsilon", kind):
        torch.manual_seed(0)  # for DDPM, which draws noise
        made = getattr(diffusers, f"{name}Scheduler")(prediction_type=each)
        pictures.append(painted(made, 8))
    torch.testing.assert_close(pictures[0], pictures[1], rtol=0, atol=1e-4)


def test_a_scheduler_object_with_settings_of_its_own() -> None:
    """DDIM on the cosine table equals the loop written out on that table."""
    settings = {"beta_schedule": "squaredcos_cap_v2", "clip_sample": False}
    made = diffusers.DDIMScheduler(**settings, timestep_spacing="trailing")
    found = painted(made, 5)
    table = made.alphas_cumprod.double()
    phi = sm.starting_noise(0, range(2), (3, 5, 7), torch.float64)
    for step in (999, 799, 599, 399, 199):
        now, after = table[step], table[step - 200] if step > 199 else torch.ones(())
        clean = Gaussian().denoise(phi, now)
        noise = (phi - now.sqrt() * clean) / (1 - now).sqrt()
        phi = after.sqrt() * clean + (1 - after).sqrt() * noise
    torch.testing.assert_close(found, phi, rtol=0, atol=1e-5)


def test_classes_and_sources_with_a_scheduler() -> None:
    data = sm.TrainingSet(images(6, 3, 5, 7), torch.arange(6) % 2, ("even", "odd"))
    result = sm.sample(sm.els(data, 3), n=2, steps=4, scheduler="DDPM", labels=["odd", "even"])
    assert (result.source_images % 2 == torch.tensor([1, 0])[:, None, None]).all()


@pytest.mark.parametrize(
    ("scheduler", "steps", "message"),
    [
        ("DDIM", 1001, "steps=1001"),
        ("PNDM", 2, "steps=2.*PNDMScheduler"),
        ("LCM", 100, "steps=100.*LCMScheduler"),
        ("UniPCMultistep", 1000, "steps=1000: the scheduler's numbers are not finite"),
        ("UnCLIP", 5, "scheduler='UnCLIP'"),
        ("CosineDPMSolverMultistep", 5, "scheduler='CosineDPMSolverMultistep'"),
        (3, 5, "scheduler=3"),
        (diffusers.FlowMatchEulerDiscreteScheduler(), 5, "scheduler=FlowMatch"),
        (
            diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction"),
            5,
            "prediction_typ",
        ),
    ],
)
def test_what_schedulers_do_not_take(scheduler: Any, steps: int, message: str) -> None:
    machine = sm.ideal(sm.TrainingSet(images(2, 1, 3, 5)))
    with pytest.raises(InputError, match=message):
        sm.sample(machine, n=1, steps=steps, scheduler=scheduler, best=0)


def test_who_iterates_may_stop_early() -> None:
    machine = sm.ideal(sm.TrainingSet(images(2, 1, 3, 5)))
    noise = sm.starting_noise(0, range(1), (1, 3, 5))
    loop = scheduler_trajectory(machine, noise, diffusers.DDIMScheduler(), 900)
    first = next(loop)
    assert (first.number, first.total) == (1, 900)
    assert torch.equal(first.noisy, noise)
