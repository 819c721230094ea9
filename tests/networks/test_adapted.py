"""A foreign network is sampled as its owner samples it, and fails in one line (theory §5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiTTransformer2DModel,
    UNet2DModel,
)
from torch import Tensor, nn

import scoremachines as sm
from scoremachines.calibration import calibrate
from scoremachines.errors import InputError
from scoremachines.machine.limits import Limits
from scoremachines.networks.adapter import AdaptedNetwork, adapt, load_diffusers
from scoremachines.sampling.reverse_process import kg_trajectory

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
]

SHAPE = (1, 8, 8)


def unet(**settings: Any) -> UNet2DModel:
    torch.manual_seed(0)
    given: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (4, 8),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "attention_head_dim": 4,
    }
    return UNet2DModel(**(given | settings)).eval()


def noise(count: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def kg(network: AdaptedNetwork, steps: int = 5) -> Tensor:
    *_, last = kg_trajectory(network, noise(), network.schedule, steps)
    return last.after


@pytest.mark.parametrize(
    "settings",
    [
        {"clip_sample": True},
        {"clip_sample": True, "clip_sample_range": 0.5},
        {"thresholding": True, "sample_max_value": 3.0, "dynamic_thresholding_ratio": 0.9},
        {"clip_sample": False, "prediction_type": "v_prediction"},
    ],
)
def test_the_loop_is_the_owners_ddim(settings: dict[str, Any], tmp_path: Path) -> None:
    """With trailing timesteps DDIM stands at t = j/n, as KG's loop does."""
    made = unet()
    scheduler = DDIMScheduler(**settings, timestep_spacing="trailing")
    DDIMPipeline(made, scheduler).save_pretrained(tmp_path)
    network = load_diffusers(tmp_path)
    scheduler.set_timesteps(5)
    draw = noise()
    for step in scheduler.timesteps:
        with torch.no_grad():
            draw = scheduler.step(made(draw, step).sample, step, draw).prev_sample
    torch.testing.assert_close(kg(network), draw, rtol=1e-3, atol=1e-3)
    if settings.get("clip_sample"):
        assert float(draw.abs().max()) <= settings.get("clip_sample_range", 1.0)
    assert float(kg(adapt(made)).abs().max()) > 2  # what the limits are for
    named = sm.sample(network, 2, 5, scheduler="DDIM", data=sm.TrainingSet(noise().clamp(-1, 1)))
    own = sm.sample(network, 2, 5, scheduler=scheduler, data=named.data)
    assert torch.equal(named.images, own.images)  # the owner's betas, limits and spacing


def test_thresholding_is_that_of_diffusers() -> None:
    scheduler = DDPMScheduler(thresholding=True, sample_max_value=4.0)
    clean = 3 * noise(4)
    known = scheduler._threshold_sample(clean)
    torch.testing.assert_close(Limits.of(scheduler)(clean), known, rtol=0, atol=1e-6)
    half = Limits.of(scheduler)(clean.half())
    assert half.dtype == torch.float16
    assert Limits.of(3) == Limits.of(DDIMScheduler(clip_sample=False)) == Limits()
    assert str(Limits.of(DDIMScheduler())) == "clipped to ±1"
    bad: dict[str, Any]
    for bad in (
        {"clip_sample_range": -1},
        {"clip_sample_range": "x"},
        {"trained_betas": 3.0},
        {"thresholding": True, "dynamic_thresholding_ratio": 2},
        {"thresholding": True, "sample_max_value": 0.5},
    ):
        with pytest.raises(InputError):
            adapt(unet(), scheduler=DDIMScheduler(**bad))


def test_calibration_and_reports_know_the_owners_settings(tmp_path: Path) -> None:
    DDPMPipeline(unet(), DDPMScheduler()).save_pretrained(tmp_path)
    network = load_diffusers(tmp_path)
    assert network.facts() == {
        "prediction type": "epsilon",
        "x̂0 of the network": "clipped to ±1",
        "settings of": "DDPMScheduler",
        "attention layer": "up_blocks.0.attentions.1",
    }
    data = sm.TrainingSet(noise(5).clamp(-1, 1))
    found = calibrate(network, data, windows=[1, 3], steps=2, seeds=1)
    assert found.curves.about["read as"] == network.facts()
    compared = sm.compare(network, {"ideal": sm.ideal(data)}, data, n=1, steps=2)
    assert compared.about["read as"] == network.facts()
    assert float(compared.network.abs().max()) <= 1


def test_a_learned_variance_is_left_out() -> None:
    made = unet(out_channels=2)
    network = adapt(made, scheduler=DDPMScheduler(variance_type="learned_range"))
    with torch.no_grad():
        known = made(noise(), 500).sample[:, :1]
    torch.testing.assert_close(network(noise(), 500).sample, known, rtol=1e-3, atol=1e-3)
    assert network.facts()["predicted variance"] == "left out"
    data = sm.TrainingSet(noise().clamp(-1, 1))
    assert sm.sample(network, 1, 3, scheduler="DDPM", data=data).images.isfinite().all()


class Odd(nn.Module):
    """Answers with what it was given."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, noisy: Tensor, timestep: Tensor) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        (),
        [],
        {},
        {"sample": None},
        "text",
        torch.ones(2, *SHAPE).long(),
        torch.ones(2, *SHAPE).bool(),
        torch.ones(2, *SHAPE, dtype=torch.complex64),
        torch.ones(3, *SHAPE),
        ValueError("two\nlines"),
        KeyError("key"),
        AssertionError(),
        ZeroDivisionError("zero"),
    ],
)
def test_odd_answers_and_failures_are_one_line(answer: Any) -> None:
    with pytest.raises(InputError, match="module=") as caught:
        adapt(Odd(answer), shape=SHAPE).denoise(noise(), 0.5)
    assert "\n" not in str(caught.value)


def test_a_lack_of_memory_is_not_the_modules_fault() -> None:
    with pytest.raises(MemoryError):
        adapt(Odd(MemoryError()), shape=SHAPE).denoise(noise(), 0.5)


def test_a_transformer_that_wants_a_class_is_refused_without() -> None:
    dit = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=4,
        in_channels=1,
        out_channels=2,
        num_layers=1,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=3,
    )
    with pytest.raises(InputError, match="shape="):
        adapt(dit)
    with pytest.raises(InputError, match="module='DiTTransformer2DModel': called, it raises"):
        adapt(dit, shape=SHAPE).denoise(noise(), 0.5)
    scheduler = DDIMScheduler()
    scheduler.register_to_config(variance_type="learned_range")
    network = adapt(dit, shape=SHAPE, classes=3, scheduler=scheduler)
    assert network.denoise(noise(), 0.5, 2).shape == (2, *SHAPE)
    assert network.facts()["attention layer"] == "none that can be read"


def test_a_compiled_unet_shows_its_maps() -> None:
    made = unet()
    compiled: Any = torch.compile(made, backend="eager")
    plain, wrapped = adapt(made), adapt(compiled)
    assert wrapped.shape == SHAPE
    assert wrapped.layers == plain.layers
    torch.testing.assert_close(wrapped.denoise(noise(), 0.5), plain.denoise(noise(), 0.5))
    torch.testing.assert_close(wrapped.attention(noise(), 0.4), plain.attention(noise(), 0.4))
    assert adapt(compiled, attention="mid_block.attentions.0").facts()["attention layer"] == (
        "mid_block.attentions.0"
    )


def test_answers_that_are_not_finite_name_the_step() -> None:
    class Bad(nn.Module):
        def forward(self, noisy: Tensor, timestep: Tensor) -> Tensor:
            return noisy / (timestep > 500).float()[0]

    network, data = adapt(Bad(), shape=SHAPE), sm.TrainingSet(noise().clamp(-1, 1))
    for scheduler in ("kg", "DDIM", "EulerDiscrete"):
        with pytest.raises(InputError, match=r"network='Bad': x̂0 is not finite at step \d of 4"):
            sm.sample(network, 1, 4, scheduler=scheduler, data=data)
