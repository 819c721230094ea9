"""Small networks of diffusers, and noise to ask them about."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from scoremachines.networks.diffusers_attention import self_attentions

SHAPE = (3, 8, 12)
DOWN, ATTENTIVE = ("DownBlock2D", "AttnDownBlock2D"), ("AttnDownBlock2D", "AttnDownBlock2D")


def unet(down: tuple[str, str] = DOWN, **settings: Any) -> UNet2DModel:
    torch.manual_seed(0)
    up = tuple(name.replace("Down", "Up") for name in reversed(down))
    given = {
        "sample_size": SHAPE[1:],
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "attention_head_dim": 4,
        "down_block_types": down,
        "up_block_types": up,
    }
    made = UNet2DModel(**{**given, **settings}).eval()
    for layer in self_attentions(made).values():  # maps that are far from uniform
        layer.to_q.weight.data *= 6
    return made


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Clock(nn.Module):
    """Answers with the timestep that it was told."""

    def forward(self, noisy: Tensor, timestep: Tensor) -> Tensor:
        assert timestep.shape == (len(noisy),)
        self.kind = timestep.dtype
        return timestep.to(noisy.dtype).view(-1, 1, 1, 1).expand_as(noisy)
