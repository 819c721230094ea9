"""What the adapter refuses: folders, modules, arguments and questions, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from scoremachines.errors import InputError
from scoremachines.networks.adapter import adapt, load_diffusers
from support.unets import SHAPE, Clock, noise, unet

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning")


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    made = unet()
    made.save_pretrained(tmp_path / "pickled", safe_serialization=False)
    made.save_pretrained(tmp_path / "cut")
    weights = tmp_path / "cut" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    made.save_pretrained(tmp_path / "other")
    config = tmp_path / "other" / "config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps({**settings, "_class_name": "UNet2DConditionModel"}))
    made.save_pretrained(tmp_path / "scheduled" / "unet")
    (tmp_path / "scheduled" / "scheduler").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("pickled", "cut", "other", "scheduled", "empty", "missing"):
        with pytest.raises(InputError, match="folder="):
            load_diffusers(tmp_path / name)
    with pytest.raises(InputError, match="folder="):
        load_diffusers("google/ddpm-cat-256")


class Wrong(nn.Module):
    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, noisy: Tensor, timestep: Tensor) -> Any:
        return self.answer


@pytest.mark.parametrize("answer", [None, torch.ones(2, 6, 8, 12), torch.ones(2, 3, 12, 8), 0.5])
def test_what_is_no_image_is_refused(answer: Any) -> None:
    with pytest.raises(InputError, match="module="):
        adapt(Wrong(answer), shape=SHAPE).denoise(noise(2, *SHAPE), 0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("module", "my_network"),
        ("shape", None),
        ("shape", (8, 12)),
        ("shape", (3, 8, 0)),
        ("shape", (3, 8, 12.0)),
        ("alphas_cumprod", [0.1, 0.9]),
        ("alphas_cumprod", "linear"),
        ("schedule", "fast"),
        ("prediction_type", "noise"),
        ("attention", "mid_block"),
        ("attention", "nowhere"),
        ("receptive_field", 4),
        ("receptive_field", 0),
        ("sources", "everywhere"),
        ("classes", -1),
    ],
)
def test_bad_arguments_are_named(name: str, value: Any) -> None:
    given = {"module": Clock(), "shape": SHAPE, name: value}
    with pytest.raises(InputError) as caught:
        adapt(given.pop("module"), **given)
    assert caught.value.argument == name


@pytest.mark.parametrize(
    ("name", "noisy", "level"),
    [
        ("noisy", noise(2, 3, 12, 8), 0.5),
        ("noisy", noise(3, 8, 12), 0.5),
        ("noisy", noise(2, *SHAPE).int(), 0.5),
        ("alpha_bar", noise(2, *SHAPE), 2.0),
        ("alpha_bar", noise(2, *SHAPE), torch.full((3,), 0.5)),
    ],
)
def test_bad_questions_are_named(name: str, noisy: Tensor, level: Any) -> None:
    with pytest.raises(InputError) as caught:
        adapt(unet()).denoise(noisy, level)
    assert caught.value.argument == name


def test_what_a_unet_cannot_do_is_refused() -> None:
    with pytest.raises(InputError, match="module="):
        adapt(unet(time_embedding_type="fourier"))
    with pytest.raises(InputError, match=r"attention=.*mid_block\.attentions\.0"):
        adapt(unet(), attention="mid_block.attentions.1")
    with pytest.raises(InputError, match="shape="):
        adapt(unet(sample_size=None))
    assert adapt(unet(sample_size=16)).shape == (3, 16, 16)
    learned = adapt(unet(time_embedding_type="learned", num_train_timesteps=1000))
    assert learned.denoise(noise(2, *SHAPE), 0.37).isfinite().all()
