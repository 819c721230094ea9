"""Other people's networks in the place of ours (theory §5)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.networks.adapter import adapt, load_diffusers
from scoremachines.theory.schedule import PREDICTIONS, TableSchedule, predicted
from support.places import ROOT
from support.unets import SHAPE, Clock, noise, unet

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning")


class Shrink(nn.Module):
    """The exact denoiser of independent normal pixels of variance 1/4: x̂0 = c(ᾱ) φ."""

    def clean(self, noisy: Tensor, alphas: Tensor, labels: Tensor | None) -> Tensor:
        level = alphas.view(-1, 1, 1, 1)
        return noisy * (level.sqrt() / 4 / (level / 4 + 1 - level)).to(noisy.dtype)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_a_unet_gets_the_input_that_its_scheduler_gives(kind: str) -> None:
    made, noisy = unet(), noise(2, *SHAPE)
    scheduler = DDPMScheduler(prediction_type=kind, clip_sample=False)
    network = adapt(made, alphas_cumprod=scheduler, prediction_type=kind)
    assert (network.shape, network.receptive_field, network.sources) == (SHAPE, None, "boundary")
    for step in (0, 400, 999):
        with torch.no_grad():
            output = made(noisy, step).sample
        known = scheduler.step(output, step, noisy).pred_original_sample
        found = network.denoise(noisy, scheduler.alphas_cumprod[step])
        torch.testing.assert_close(found, known, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(network(noisy, step).sample, output, rtol=1e-3, atol=1e-3)


def test_its_pipeline_paints_what_sample_paints() -> None:
    made, scheduler = unet(), DDIMScheduler(clip_sample=False, beta_schedule="scaled_linear")
    network = adapt(made, alphas_cumprod=scheduler)
    data = sm.TrainingSet(noise(4, *SHAPE).clamp(-1, 1))
    result = sm.sample(network, 3, 6, 7, scheduler=scheduler, data=data, batch=2)
    for index in range(3):
        draw = sm.starting_noise(7, range(index, index + 1), SHAPE)
        scheduler.set_timesteps(6)
        for step in scheduler.timesteps:
            with torch.no_grad():
                draw = scheduler.step(made(draw, step).sample, step, draw).prev_sample
        torch.testing.assert_close(result.images[index : index + 1], draw, rtol=1e-3, atol=1e-3)
    other = sm.sample(network, 3, 6, 7, scheduler=scheduler, data=data, batch=3)
    torch.testing.assert_close(other.images, result.images, rtol=1e-4, atol=1e-4)


def test_an_adapted_network_stands_in_a_pipeline() -> None:
    scheduler = DDIMScheduler()
    pipes = [DDIMPipeline(each, scheduler) for each in (unet(), adapt(unet()))]
    shown = []
    for pipe in pipes:
        pipe.set_progress_bar_config(disable=True)
        draw = torch.Generator().manual_seed(1)
        shown.append(pipe(2, draw, num_inference_steps=4, output_type="np").images)
    assert abs(shown[0] - shown[1]).max() < 1e-3


def test_our_own_network_comes_back_unchanged() -> None:
    torch.manual_seed(0)
    made = sm.Network(SHAPE[1:], width=8, attention="soft", key_width=6, schedule="linear")
    made.readout.weight.data.normal_(0, 0.1)
    network = adapt(
        made,
        shape=SHAPE,
        prediction_type="v_prediction",
        attention=made_maps(made),
        receptive_field=7,
    )
    noisy, levels = noise(2, *SHAPE), torch.tensor([0.3, 0.8])
    torch.testing.assert_close(
        network.denoise(noisy, levels), made.denoise(noisy, levels), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(network.attention(noisy, 0.4), made.attention(noisy, 0.4))


def made_maps(made: sm.Network) -> Any:
    return lambda noisy, alpha_bar: made.attention(noisy, made.schedule.time(alpha_bar))


TABLE = (0.99, 0.7, 0.4, 0.2, 0.05)


@given(step=st.floats(0, 4))
def test_timesteps_are_places_in_the_table(step: float) -> None:
    """The inverse of `at_step`: interpolated in log-SNR, between two entries."""
    level = TableSchedule(TABLE).at_step(step)
    clock = adapt(Clock(), shape=SHAPE, alphas_cumprod=TABLE, prediction_type="sample")
    told = clock.denoise(noise(2, *SHAPE), level)
    torch.testing.assert_close(told, torch.full_like(told, step), rtol=0, atol=1e-5)


def test_each_image_has_its_own_timestep_and_the_ends_are_kept() -> None:
    levels = torch.tensor([1.0, 0.99, 0.995, 0.4, 0.0, 0.04])
    noisy = noise(6, *SHAPE)
    settings: dict[str, Any] = {"shape": SHAPE, "prediction_type": "sample"}
    clock = adapt(Clock(), alphas_cumprod=TABLE, **settings)
    told = clock.denoise(noisy, levels)[:, 0, 0, 0]
    torch.testing.assert_close(told, torch.tensor([0.0, 0, 0, 2, 4, 4]), rtol=0, atol=1e-5)
    assert clock.module.kind == torch.float32
    whole = adapt(Clock(), alphas_cumprod=TABLE, whole_steps=True, **settings)
    between = TableSchedule(TABLE).at_step(torch.tensor([1.4, 1.6]))
    assert whole.denoise(noisy[:2], between)[:, 0, 0, 0].tolist() == [1, 2]
    assert whole.module.kind == torch.int64
    default = adapt(Clock(), **settings)
    level = DDPMScheduler().alphas_cumprod[123]
    assert float(default.denoise(noisy[:1], level)[0, 0, 0, 0]) == pytest.approx(123, abs=1e-2)


def test_outside_of_the_table_the_nearest_entry_counts() -> None:
    """Also in the formulas: ε̂ at ᾱ = 0 is not divided by zero."""
    noisy = noise(2, *SHAPE)
    network = adapt(unet(), alphas_cumprod=[0.9, 0.5, 0.01])
    for outside, edge in ((0.0, 0.01), (1.0, 0.9)):
        assert torch.equal(network.denoise(noisy, outside), network.denoise(noisy, edge))


def test_the_table_is_its_schedule_by_default() -> None:
    assert adapt(Clock(), shape=SHAPE, alphas_cumprod=TABLE).schedule.setting == list(TABLE)
    assert adapt(Clock(), shape=SHAPE, schedule="cosine").schedule.name == "cosine"
    free = adapt(Shrink(), shape=SHAPE, call=Shrink().clean)
    assert (free.schedule.name, free.table) == ("cosine", None)
    level = float(adapt(Clock(), shape=SHAPE).schedule.alpha_bar(0.5))
    assert level == pytest.approx(float(DDPMScheduler().alphas_cumprod[499]), rel=1e-4)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_a_call_may_answer_in_any_form(kind: str) -> None:
    module, noisy = Shrink(), noise(2, *SHAPE).double()
    levels = torch.tensor([0.3, 0.8], dtype=torch.float64)

    def call(noisy: Tensor, alphas: Tensor, labels: Tensor | None) -> Tensor:
        assert (alphas.shape, alphas.dtype, labels) == ((2,), torch.float64, None)
        return predicted(kind, module.clean(noisy, alphas, None), noisy, alphas)

    network = adapt(module, shape=SHAPE, call=call, prediction_type=kind).double()
    known = module.clean(noisy, levels, None)
    torch.testing.assert_close(network.denoise(noisy, levels), known)
    torch.testing.assert_close(
        network.score(noisy, levels), -noisy / (levels / 4 + 1 - levels).view(-1, 1, 1, 1)
    )
    assert network.denoise(noisy, levels[:1]).dtype == torch.float64


def test_classes_are_passed_on() -> None:
    made, noisy = unet(num_class_embeds=3), noise(2, *SHAPE)
    network = adapt(made)
    told = [network.denoise(noisy, 0.3, label) for label in (0, 1, 2)]
    assert (told[0] - told[1]).abs().max() > 1e-4
    mixed = network.denoise(noisy, 0.3, torch.tensor([2, 0]))
    torch.testing.assert_close(mixed, torch.stack([told[2][0], told[0][1]]), rtol=0, atol=1e-4)
    for bad in (None, -1, 3, torch.tensor([0, 1, 2])):
        with pytest.raises(InputError, match="labels="):
            network.denoise(noisy, 0.3, bad)
    with pytest.raises(InputError, match="labels="):
        adapt(unet()).denoise(noisy, 0.3, 1)


def test_a_folder_with_a_model_or_a_pipeline(tmp_path: Path) -> None:
    made, noisy = unet(), noise(2, *SHAPE)
    made.save_pretrained(tmp_path / "model")
    scheduler = DDPMScheduler(
        num_train_timesteps=50, beta_schedule="squaredcos_cap_v2", prediction_type="sample"
    )
    DDIMPipeline(made, DDIMScheduler.from_config(scheduler.config)).save_pretrained(
        tmp_path / "pipe"
    )
    alone = load_diffusers(tmp_path / "model")
    assert torch.equal(alone.denoise(noisy, 0.3), adapt(made).denoise(noisy, 0.3))
    whole = load_diffusers(str(tmp_path / "pipe"))
    known = adapt(made, alphas_cumprod=scheduler, prediction_type="sample")
    torch.testing.assert_close(whole.denoise(noisy, 0.3), known.denoise(noisy, 0.3))
    assert len(whole.config["alphas_cumprod"]) == 50
    told = load_diffusers(tmp_path / "pipe", prediction_type="epsilon", receptive_field=31)
    assert (told.receptive_field, told.config["prediction_type"]) == (31, "epsilon")


def test_it_is_a_denoiser_in_evaluation_mode_that_no_folder_holds(tmp_path: Path) -> None:
    network = adapt(unet(dropout=0.5).train())
    assert isinstance(network, DenoiserModel)
    noisy = noise(2, *SHAPE)
    assert torch.equal(network.denoise(noisy, 0.3), network.denoise(noisy, 0.3))
    with pytest.raises(InputError, match="module='UNet2DModel'"):
        network.save_pretrained(tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_the_page_shows_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(programs) == 3
    unet().save_pretrained(tmp_path / "my_ddpm" / "unet")
    DDPMScheduler().save_pretrained(tmp_path / "my_ddpm" / "scheduler")
    for program in programs:
        exec(program, {})
