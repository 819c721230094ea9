"""A model and the scheduler that it is used with: matched, noticed or refused (theory §1)."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UNet2DModel,
)
from torch import Tensor

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.machine.schedulers import SchedulerWarning, read_scheduler
from scoremachines.networks.adapter import load_diffusers
from scoremachines.sampling.reverse_process import kg_trajectory
from scoremachines.sampling.sample import trajectory

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
]

COSINE: dict[str, Any] = {"beta_schedule": "squaredcos_cap_v2"}


def data() -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    return sm.TrainingSet(torch.rand((11, 3, 5, 7), generator=draw) * 2 - 1)


def painted(pipe: Any, steps: int = 12, **options: Any) -> Tensor:
    """Return a pipeline's pictures as images in [-1, 1]."""
    pipe.set_progress_bar_config(disable=True)
    draw = torch.Generator().manual_seed(1)
    shown = pipe(3, draw, num_inference_steps=steps, output_type="pt", **options).images
    return shown * 2 - 1


def distance(images: Tensor) -> float:
    """Return how far images are from the nearest training images, root mean square."""
    known = data().images
    far = (images[:, None] - known).square().mean((2, 3, 4)).amin(1).sqrt()
    return float(far.max())


def network() -> sm.Network:
    torch.manual_seed(0)
    made = sm.Network([5, 7], 3, width=4, receptive_field=3)
    made.readout.weight.data.normal_(0, 0.1)
    return made


@pytest.mark.parametrize(
    "scheduler",
    [
        DDIMScheduler(**COSINE),
        DDIMScheduler(**COSINE, prediction_type="v_prediction"),
        DDPMScheduler(**COSINE, num_train_timesteps=200),
        DPMSolverMultistepScheduler(beta_schedule="scaled_linear"),
        DDIMScheduler(
            rescale_betas_zero_snr=True,
            prediction_type="v_prediction",
            timestep_spacing="trailing",
        ),
    ],
)
def test_a_matched_pipeline_replays_training_images(scheduler: Any) -> None:
    """The ideal score ends on training images, whatever the betas."""
    pipe = sm.ideal(data()).pipeline(scheduler)
    wanted = DDIMPipeline if isinstance(scheduler, DDIMScheduler) else DDPMPipeline
    assert type(pipe) is wanted
    assert distance(painted(pipe)) < 1e-3


def test_a_scheduler_that_does_not_fit_is_noticed() -> None:
    machine, scheduler = sm.ideal(data()), DDIMScheduler(**COSINE)
    with pytest.warns(SchedulerWarning, match=r"other noise levels.*model\.pipeline"):
        assert distance(painted(DDIMPipeline(unet=machine, scheduler=scheduler), 5)) > 0.02
    with pytest.warns(SchedulerWarning, match="takes answers for v_prediction"):
        painted(DDIMPipeline(machine, DDIMScheduler(prediction_type="v_prediction")), 2)
    assert distance(painted(DDIMPipeline(unet=machine.match(scheduler), scheduler=scheduler))) < (
        1e-3
    )
    first = machine.pipeline(scheduler)
    machine.pipeline(DDIMScheduler())  # now it is matched to another
    with pytest.warns(SchedulerWarning):
        painted(first, 1)


def test_a_network_answers_in_the_form_that_its_scheduler_takes() -> None:
    made = network()
    assert made.config["prediction_type"] == "v_prediction"
    scheduler = DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    found = painted(made.pipeline(scheduler), 5)
    assert made.config["prediction_type"] == "v_prediction"
    noise = torch.randn((3, 3, 5, 7), generator=torch.Generator().manual_seed(1))
    made.schedule = made.timesteps
    for step in kg_trajectory(made, noise, made.timesteps, 5):
        last = step.after
    torch.testing.assert_close(found, last.clamp(-1, 1), rtol=0, atol=1e-4)


def test_pipelines_in_folders_are_matched_when_they_are_read(tmp_path: Path) -> None:
    scheduler = DDIMScheduler(**COSINE)
    sm.ideal(data()).pipeline(scheduler).save_pretrained(tmp_path / "matched")
    with pytest.warns(SchedulerWarning, match="other noise levels"):
        DDIMPipeline(sm.ideal(data()), scheduler).save_pretrained(tmp_path / "not")
    network().pipeline(scheduler).save_pretrained(tmp_path / "network")
    for name in ("matched", "not"):
        pipe = DDIMPipeline.from_pretrained(tmp_path / name)
        assert distance(painted(pipe)) < 1e-3
    again = DDIMPipeline.from_pretrained(tmp_path / "network")
    torch.testing.assert_close(painted(again), painted(network().pipeline(scheduler)))
    path = tmp_path / "not" / "scheduler" / "scheduler_config.json"
    path.write_text("{")  # the machine itself can still be read
    sm.ScoreMachine.from_pretrained(tmp_path / "not" / "unet")


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        (DDIMScheduler(rescale_betas_zero_snr=True), "rescale_betas_zero_snr.*'epsilon'"),
        (DDPMScheduler(rescale_betas_zero_snr=True), "rescale_betas_zero_snr.*'epsilon'"),
        (DDPMScheduler(variance_type="learned_range"), "variance_type='learned_range'"),
        (EulerDiscreteScheduler(), r"scoremachines\.sample"),
        (FlowMatchEulerDiscreteScheduler(), r"scoremachines\.sample"),
        (3, "scheduler="),
    ],
)
def test_schedulers_that_no_pipeline_can_run(scheduler: Any, words: str) -> None:
    machine = sm.ideal(data())
    with pytest.raises(InputError, match=words):
        machine.pipeline(scheduler)
    if "scoremachines" in words or scheduler == 3:
        return
    with pytest.raises(InputError, match=words):
        machine.match(scheduler)
    with pytest.raises(InputError, match=words):
        sm.sample(machine, n=1, steps=3, scheduler=scheduler)
    pipe = DDIMPipeline if isinstance(scheduler, DDIMScheduler) else DDPMPipeline
    with pytest.raises(InputError, match=words):
        painted(pipe(unet=machine, scheduler=scheduler))


def test_timesteps_outside_of_the_table_are_refused() -> None:
    machine, noisy = sm.ideal(data()), torch.zeros(2, 3, 5, 7)
    for step in (-1, 1000, float("nan"), torch.tensor([3, 1000]), "later"):
        with pytest.raises(InputError, match="timestep="):
            machine(noisy, step)
    longer = DDIMPipeline(machine, DDIMScheduler(num_train_timesteps=2000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SchedulerWarning)
        with pytest.raises(InputError, match=r"match\(scheduler\)"):
            painted(longer, 4)


def test_only_schedulers_are_made_of_names_in_files(tmp_path: Path) -> None:
    for name in ("DDIMPipeline", "UNet2DModel", "utils", "__version__", "UnCLIPScheduler"):
        (tmp_path / "scheduler_config.json").write_text(json.dumps({"_class_name": name}))
        with pytest.raises(InputError, match="scheduler="):
            read_scheduler(tmp_path)
        with pytest.raises(InputError, match="scheduler="):
            list(trajectory(sm.ideal(data()), range(1), scheduler=name))


def test_a_network_with_an_impossible_scheduler_is_refused(tmp_path: Path) -> None:
    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(4,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        norm_num_groups=2,
        attention_head_dim=2,
    )
    scheduler = DDIMScheduler(rescale_betas_zero_snr=True)
    DDIMPipeline(unet, scheduler).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"rescale_betas_zero_snr.*'epsilon'"):
        load_diffusers(tmp_path)
