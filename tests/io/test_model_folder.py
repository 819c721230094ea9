"""Models in folders: what is written can be read, and nothing is filled in."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import scoremachines as sm
from scoremachines.attention import (
    ByGroup,
    GroupConsensus,
    MultiScale,
    PerplexityGain,
    Scaled,
    Soft,
    Tiled,
)
from scoremachines.engines import TorchEngine
from scoremachines.errors import InputError
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.networks.adapter import AdaptedNetwork, adapt, load_diffusers
from scoremachines.networks.training import load_network
from scoremachines.theory.schedule import CosineSchedule

WEIGHTS = "diffusion_pytorch_model.safetensors"


def images(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(shape or (6, 1, 5, 7), generator=draw) * 2 - 1


def network() -> sm.Network:
    torch.manual_seed(0)
    made = sm.Network([5, 7], 1, width=4, receptive_field=3, attention="soft", key_width=2)
    made.readout.weight.data.normal_(0, 0.1)
    return made


def small_unet() -> UNet2DModel:
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(4,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        layers_per_block=1,
        norm_num_groups=2,
        attention_head_dim=2,
    )


def machine(**choices: Any) -> sm.ScoreMachine:
    return sm.ScoreMachine(
        sm.TrainingSet(images(), torch.arange(6) % 2), **{"window": 3} | choices
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.uint8])
def test_a_machine_of_any_dtype_comes_back_with_the_pixels_it_was_given(
    dtype: torch.dtype, kind: torch.dtype, tmp_path: Path
) -> None:
    pixels = images().to(kind) if kind.is_floating_point else (images() * 127 + 128).byte()
    made = sm.els(sm.TrainingSet(pixels), 3).to(dtype)
    made.save_pretrained(tmp_path)
    again = sm.ScoreMachine.from_pretrained(tmp_path)
    assert again.dtype == made.dtype == dtype
    assert again.data.pixels.dtype == made.data.pixels.dtype
    assert torch.equal(again.data.images, sm.TrainingSet(pixels).images)
    noisy = images(2, 1, 5, 7, seed=1).to(dtype)
    assert torch.equal(again.denoise(noisy, 0.5), made.denoise(noisy, 0.5))
    assert sm.ScoreMachine.from_pretrained(tmp_path, torch_dtype=torch.float32).dtype == (
        torch.float32
    )


def test_the_wiener_filter_comes_back(tmp_path: Path) -> None:
    made = sm.Wiener(sm.TrainingSet(images()), [0.9, 0.5, 0.1], prediction_type="sample").half()
    made.save_pretrained(tmp_path)
    again = sm.Wiener.from_pretrained(tmp_path)
    noisy = images(2, 1, 5, 7, seed=1)
    assert torch.equal(again.denoise(noisy, 0.5), made.denoise(noisy, 0.5))
    assert (again.dtype, again.schedule.setting) == (torch.float16, [0.9, 0.5, 0.1])
    assert {**again.config} == {**made.config}
    with pytest.raises(InputError, match="it holds a Wiener"):
        sm.ScoreMachine.from_pretrained(tmp_path)


class Mine(Tiled):
    """Another attention under a known name."""


class Steep(CosineSchedule):
    """Another schedule under a known name."""

    def alpha_bar(self, t: Tensor | float) -> Tensor:
        return super().alpha_bar(t) ** 2


class Other(TorchEngine):
    """Another engine under a known name."""


@pytest.mark.parametrize(
    "choices",
    [
        {"attention": Scaled(GroupConsensus(Tiled()), 2.0)},
        {"attention": PerplexityGain(Scaled(Tiled(), 2.0))},
        {"attention": ByGroup(ByGroup(Tiled()))},
        {"attention": lambda noisy, time: torch.zeros(35, 35)},
        {"attention": Mine()},
        {"attention": GroupConsensus(Mine())},
        {"schedule": Steep()},
        {"engine": Other()},
    ],
)
def test_a_machine_that_no_folder_can_hold_is_refused(
    choices: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="to be saved in a folder"):
        machine(**choices).save_pretrained(tmp_path / "no")
    assert not (tmp_path / "no").exists()


KEPT: dict[str, Callable[[], DenoiserModel]] = {
    "named": lambda: machine(attention="tiled-class"),
    "soft": lambda: machine(attention=Scaled(Soft(images(35, 35).abs()), 0.5)),
    "scales": lambda: machine(attention=GroupConsensus(MultiScale((3, 5)))),
    "wiener": lambda: sm.Wiener(sm.TrainingSet(images())),
    "network": network,
}


@pytest.mark.parametrize("name", KEPT)
def test_no_setting_is_filled_in_or_overlooked(name: str, tmp_path: Path) -> None:
    made = KEPT[name]()
    made.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    type(made).from_pretrained(tmp_path)
    changed = [{key: settings[key] for key in settings if key != each} for each in settings]
    changed = [each for each in changed if "_diffusers_version" in each or name != "network"]
    changed += [settings | {"colour": 3}, settings | {"_class_name": "Other"}]
    for each in changed:
        (tmp_path / "config.json").write_text(json.dumps(each))
        with pytest.raises(InputError) as caught:
            type(made).from_pretrained(tmp_path)
        assert "\n" not in str(caught.value)


def test_every_weight_is_there_and_finite(tmp_path: Path) -> None:
    unet = small_unet()
    openers: dict[str, tuple[Any, list[Callable[[Path], object]]]] = {
        "ours": (network(), [sm.Network.from_pretrained, load_network]),
        "theirs": (unet, [load_diffusers]),
    }
    for name, (made, opens) in openers.items():
        made.save_pretrained(tmp_path / name)
        path = tmp_path / name / WEIGHTS
        weights = load_file(path)
        first = sorted(weights)[0]
        bad: dict[str, dict[str, Tensor]] = {
            first: {key: weights[key] for key in weights if key != first},
            "stray": weights | {"stray": torch.ones(1)},
            f"parameter {first}": weights | {first: weights[first] / 0},
        }
        for open_it in opens:
            open_it(tmp_path / name)
            for word, each in bad.items():
                save_file(each, path, {"format": "pt"})
                with pytest.raises(InputError, match=word):
                    open_it(tmp_path / name)
            save_file(weights, path, {"format": "pt"})
    unet.conv_in.weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match=r"module='UNet2DModel'.*conv_in\.weight"):
        adapt(unet)


def test_a_missing_folder_is_not_looked_up_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> NoReturn:
        raise AssertionError("a connection was made")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    kinds: list[Any] = [sm.Network, sm.ScoreMachine, sm.Wiener, AdaptedNetwork]
    for open_it in (*(kind.from_pretrained for kind in kinds), load_network, load_diffusers):
        for name in ("typo", "google/ddpm-cat-256", "", 3, None, "n" * 300, "a\0b"):
            with pytest.raises(InputError) as caught:
                open_it(name)
            assert "\n" not in str(caught.value)


def test_an_adapted_network_is_opened_by_its_own_library() -> None:
    made = adapt(nn.Identity(), shape=(1, 5, 7))
    with pytest.raises(InputError, match="adapt"):
        made.from_pretrained("here")
