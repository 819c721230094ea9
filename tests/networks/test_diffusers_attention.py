"""Maps read from the attention layers of others (theory §4.2, §5)."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import Measured
from scoremachines.errors import InputError
from scoremachines.networks.adapter import AdaptedNetwork, adapt
from scoremachines.networks.diffusers_attention import captured_map, self_attentions, spread
from scoremachines.testing import check_attention
from support.unets import ATTENTIVE, SHAPE, noise, unet

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning")


def oracle(layer: Attention, hidden: Tensor) -> Tensor:
    """softmax(Q Kᵀ/√d) of each head, `[B, heads, n, n]`, in float64."""
    tokens = layer.group_norm(hidden.flatten(2)).transpose(1, 2).double()
    query, key = (
        (tokens @ part.weight.double().T + part.bias.double())
        .unflatten(-1, (layer.heads, -1))
        .transpose(1, 2)
        for part in (layer.to_q, layer.to_k)
    )
    return (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)


@torch.no_grad()
def test_a_map_is_what_the_layer_uses() -> None:
    """The layer's own output is made of it."""
    made = unet(attention_head_dim=16)  # one head, so that the average is the map
    layer = made.get_submodule("mid_block.attentions.0")
    assert isinstance(layer, Attention)
    assert layer.heads == 1
    hidden = noise(2, 16, 4, 6)
    found = captured_map({"": layer}, lambda: layer(hidden), (4, 6))
    torch.testing.assert_close(found.double(), oracle(layer, hidden)[:, 0], rtol=0, atol=1e-6)
    values = layer.to_v(layer.group_norm(hidden.flatten(2)).transpose(1, 2))
    message = layer.to_out[0](found @ values).transpose(1, 2).unflatten(2, (4, 6))
    known = (message + hidden) / layer.rescale_output_factor
    torch.testing.assert_close(layer(hidden), known, rtol=0, atol=1e-5)


@torch.no_grad()
def test_heads_are_averaged_whatever_computes_them() -> None:
    layer = unet().get_submodule("mid_block.attentions.0")
    assert isinstance(layer, Attention)
    assert layer.heads == 4
    hidden = noise(2, 16, 4, 6)
    known = oracle(layer, hidden).mean(1)
    assert (oracle(layer, hidden)[:, 0] - known).abs().max() > 0.05
    for processor in (layer.processor, AttnProcessor()):
        layer.set_processor(processor)
        found = captured_map({"": layer}, lambda: layer(hidden), (4, 6))
        torch.testing.assert_close(found.double(), known, rtol=0, atol=1e-6)
    listed = hidden.flatten(2).transpose(1, 2)
    again = captured_map({"": layer}, lambda: layer(listed), (8, 12))
    torch.testing.assert_close(again, spread(found, (4, 6), (8, 12)), rtol=0, atol=1e-6)


def test_layers_without_a_grid_of_pixels_are_refused() -> None:
    layer = unet().get_submodule("mid_block.attentions.0")
    assert isinstance(layer, Attention)
    with pytest.raises(InputError, match="attention='quiet'"):
        captured_map({"quiet": layer}, lambda: None, (8, 12))
    with pytest.raises(InputError, match="attention='a layer on 25 tokens'"):
        captured_map({"": layer}, lambda: layer(noise(2, 25, 16)), (8, 12))


def test_coarse_maps_are_spread_evenly_over_their_pixels() -> None:
    maps = noise(2, 6, 6).softmax(-1)
    for size in ((5, 7), (6, 9), (2, 8)):
        fine = spread(maps, (2, 3), size)
        pixels = size[0] * size[1]
        assert fine.shape == (2, pixels, pixels)
        torch.testing.assert_close(fine.sum(-1), torch.ones(2, pixels))
    fine = spread(maps, (2, 3), (6, 9)).view(2, 6, 9, 6, 9)
    blocks = fine.unflatten(4, (3, 3)).unflatten(3, (2, 3)).sum((4, 6)).flatten(3)
    assert torch.equal(fine[:, 4, 2], fine[:, 3, 0])  # two pixels of one cell
    torch.testing.assert_close(blocks[:, 4, 2], maps[:, 3])
    assert float(fine[0, 0, 0, 0, 3]) == pytest.approx(float(maps[0, 0, 1]) / 9)
    assert torch.equal(spread(maps, (2, 3), (2, 3)), maps)
    with pytest.raises(InputError, match="attention="):
        spread(maps, (2, 3), (3, 2))


def test_the_last_layer_at_the_highest_resolution_is_measured() -> None:
    noisy = noise(2, *SHAPE)
    coarse, fine = unet(), unet(ATTENTIVE)
    for made, name in ((coarse, "up_blocks.0.attentions.1"), (fine, "up_blocks.1.attentions.1")):
        found = adapt(made).attention(noisy, 0.3)
        assert torch.equal(found, adapt(made, attention=name).attention(noisy, 0.3))
        other = adapt(made, attention="mid_block.attentions.0").attention(noisy, 0.3)
        assert (found - other).abs().max() > 1e-4
        torch.testing.assert_close(found.sum(-1), torch.ones(2, 96))
        assert not made.get_submodule(name)._forward_pre_hooks  # no hook is left
    found = adapt(coarse).attention(noisy, 0.3).view(2, 8, 12, 8, 12)
    assert torch.equal(found[:, ::2, ::2], found[:, 1::2, 1::2])  # cells of 2×2 pixels
    assert torch.equal(found[..., ::2, ::2], found[..., 1::2, 1::2])


def test_measured_maps_of_a_unet_move_a_machine() -> None:
    data, noisy = sm.TrainingSet(noise(7, *SHAPE).clamp(-1, 1)), noise(2, *SHAPE)
    plain = sm.ScoreMachine(data, 3, "boundary", schedule="linear").denoise(noisy, 0.4)

    def told(network: AdaptedNetwork) -> Tensor:
        machine = sm.ScoreMachine(data, 3, network.sources, network.attention, schedule="linear")
        return machine.denoise(noisy, 0.4)

    assert (told(adapt(unet())) - plain).abs().max() > 1e-3
    deaf = unet(("DownBlock2D", "DownBlock2D"), add_attention=False)
    assert not self_attentions(deaf)
    assert torch.equal(adapt(deaf).attention(noisy, 0.3), torch.zeros(2, 96, 96))
    torch.testing.assert_close(told(adapt(deaf)), plain, rtol=0, atol=1e-5)


def test_maps_of_a_unet_are_an_attention() -> None:
    made = unet(
        sample_size=(5, 7),
        down_block_types=("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",),
        block_out_channels=(8,),
    )
    check_attention(Measured(adapt(made.double()).attention))


def test_maps_may_be_a_function() -> None:
    seen = []

    def maps(noisy: Tensor, alpha_bar: Tensor) -> Tensor:
        seen.append(alpha_bar)
        return torch.full((96, 96), 1 / 96)

    network = adapt(torch.nn.Identity(), shape=SHAPE, attention=maps, schedule="cosine")
    assert network.attention(noise(2, *SHAPE), 0.3).shape == (2, 96, 96)
    torch.testing.assert_close(seen[0], network.schedule.alpha_bar(torch.tensor([0.3, 0.3])))
    for wrong in (torch.ones(95, 96), torch.ones(3, 96, 96), None):
        bad = adapt(
            torch.nn.Identity(), shape=SHAPE, attention=lambda noisy, level, wrong=wrong: wrong
        )
        with pytest.raises(InputError, match="attention="):
            bad.attention(noise(2, *SHAPE), 0.3)
