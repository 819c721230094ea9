"""Final layers: the maps that they show are the maps that they use (theory §4.2, §5)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

import scoremachines as sm
from scoremachines.attention import Measured
from scoremachines.errors import InputError
from scoremachines.networks import Network, NetworkSettings
from scoremachines.networks.heads import COLD, HOT, Head, Top1Head, make_head
from scoremachines.networks.settings import HEADS
from scoremachines.testing import check_attention

WIDTH, SIZE = 8, (5, 7)
PIXELS = 35
HEARING = [name for name in HEADS if name != "none"]


def head(name: str, scales: str = "1,2,4") -> Head:
    torch.manual_seed(3)
    return make_head(NetworkSettings(attention=name, key_width=6, scales=scales), WIDTH).eval()


def features(seed: int = 0, batch: int = 2) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(batch, WIDTH, *SIZE, generator=draw)


def values(layer: Head, seen: Tensor) -> Tensor:
    """V h(y) at every pixel, `[B, H·W, d]`."""
    shown = layer.value(seen) if hasattr(layer, "value") else seen
    return shown.flatten(2).transpose(1, 2)


@pytest.mark.parametrize("scales", ["1,2,4", "2,3", "3", "1,9"])
@pytest.mark.parametrize("name", HEARING)
def test_the_message_is_the_map_times_the_values(name: str, scales: str) -> None:
    layer, seen = head(name, scales), features()
    message = layer(seen)
    known = layer.maps(seen) @ values(layer, seen)
    assert message.shape == (2, layer.message_width, *SIZE)
    torch.testing.assert_close(message.flatten(2).transpose(1, 2), known, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scales", ["1,2,4", "2,3", "3", "1,9"])
@pytest.mark.parametrize("name", HEARING)
def test_rows_add_up_to_one_without_the_diagonal(name: str, scales: str) -> None:
    maps = head(name, scales).maps(features())
    assert maps.shape == (2, PIXELS, PIXELS)
    assert (maps >= 0).all()
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, PIXELS), rtol=0, atol=1e-6)
    assert not maps.diagonal(dim1=1, dim2=2).any()


@pytest.mark.parametrize("name", HEARING)
def test_the_own_pixel_enters_through_the_query_alone(name: str) -> None:
    """Where all queries and keys are equal, changing h(u) does not change a(u)."""
    layer, seen = head(name), features()
    if hasattr(layer, "query"):
        for part in (layer.query, layer.key):
            torch.nn.init.zeros_(part.weight)
    else:
        seen = torch.zeros_like(seen)
    changed = seen.clone()
    changed[:, :, 2, 3] *= 5
    torch.testing.assert_close(layer(changed)[:, :, 2, 3], layer(seen)[:, :, 2, 3])


def test_identity_attends_by_likeness() -> None:
    seen = features()
    flat = seen.double().flatten(2).transpose(1, 2)
    logits = flat @ flat.transpose(1, 2) / WIDTH**0.5
    weights = logits.exp() * (1 - torch.eye(PIXELS, dtype=torch.float64))
    known = weights / weights.sum(-1, keepdim=True)
    torch.testing.assert_close(head("identity").maps(seen).double(), known, rtol=0, atol=1e-6)


def test_soft_is_a_softmax_of_projected_likeness() -> None:
    layer, seen = head("soft"), features()
    query, key = (part(seen).flatten(2).transpose(1, 2) for part in (layer.query, layer.key))
    logits = (query @ key.transpose(1, 2)).double() / 6**0.5
    weights = logits.exp() * (1 - torch.eye(PIXELS, dtype=torch.float64))
    known = weights / weights.sum(-1, keepdim=True)
    torch.testing.assert_close(layer.maps(seen).double(), known, rtol=0, atol=1e-6)


def test_multiscale_with_single_pixels_is_soft() -> None:
    soft, several, seen = head("soft"), head("multiscale", "1"), features()
    torch.testing.assert_close(several(seen), soft(seen), rtol=0, atol=1e-6)
    torch.testing.assert_close(several.maps(seen), soft.maps(seen), rtol=0, atol=1e-7)


def test_coarse_cells_share_their_weight_evenly() -> None:
    """With equal logits, each of the cells but the own one weighs the same."""
    layer, seen = head("multiscale", "2"), features()
    torch.nn.init.zeros_(layer.query.weight)
    torch.nn.init.zeros_(layer.query.bias)
    maps = layer.maps(seen).detach()[0, 0].view(SIZE)  # what the corner pixel hears
    cells = avg_pool2d(maps[None], 2, ceil_mode=True, divisor_override=1)[0]
    known = torch.full((3, 4), 1 / 11)
    known[0, 0] = 0
    torch.testing.assert_close(cells, known, rtol=0, atol=1e-6)
    assert float(maps[4, 6]) == pytest.approx(1 / 11)  # a cell of one pixel
    assert float(maps[0, 2]) == pytest.approx(1 / 44)


def test_without_attention_there_are_no_maps() -> None:
    layer, seen = head("none"), features()
    assert layer(seen).shape == (2, 0, *SIZE)
    assert torch.equal(layer.maps(seen), torch.zeros(2, PIXELS, PIXELS))


def test_top1_attends_to_the_arg_max_when_used() -> None:
    layer, seen = head("top1"), features()
    soft = head("soft").maps(seen)
    maps = layer.maps(seen)
    assert torch.equal(maps.argmax(-1), soft.argmax(-1))
    assert ((maps == 0) | (maps == 1)).all()
    assert torch.equal(layer(seen), layer(seen))
    layer.train()
    with torch.no_grad():  # used, though nobody said `eval`
        used = layer(seen)
    assert torch.equal(used, layer.eval()(seen))


def drawing(seed: int, temperature: float) -> Top1Head:
    layer = head("top1").train()
    assert isinstance(layer, Top1Head)
    layer.temperature, layer.generator = temperature, torch.Generator().manual_seed(seed)
    return layer


def gumbel_soft(logits: Tensor, seed: int, temperature: float) -> Tensor:
    drawn = torch.empty(logits.shape).exponential_(generator=torch.Generator().manual_seed(seed))
    return (logits / temperature - drawn.log()).softmax(-1)


@pytest.mark.parametrize("temperature", [HOT, 0.5])
def test_gradients_go_straight_through_to_the_softmax(temperature: float) -> None:
    """Forward the hard draw, backward the gradient of the softmax that it was drawn from."""
    logits = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1)).requires_grad_()
    toward = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(2))
    choice = drawing(4, temperature)._choice(logits)
    (found,) = torch.autograd.grad((choice * toward).sum(), logits)
    soft = gumbel_soft(logits, 4, temperature)
    (known,) = torch.autograd.grad((soft * toward).sum(), logits)
    assert torch.equal(choice.detach().round().sum(-1), torch.ones(2, 5))
    assert torch.equal(choice.argmax(-1), soft.argmax(-1))
    torch.testing.assert_close(choice.detach(), choice.detach().round(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found, known)
    assert found.abs().sum() > 0


def test_gradients_reach_query_key_and_value() -> None:
    layer, seen = drawing(4, HOT), features()
    layer(seen).square().sum().backward()
    for part in (layer.query, layer.key, layer.value):
        assert part.weight.grad is not None
        assert part.weight.grad.abs().sum() > 0


def test_draws_follow_the_softmax() -> None:
    """P(y) = softmax(logits/τ): the Gumbel-max identity; colder draws come closer to arg-max."""
    logits = torch.tensor([[0.0, 1.0, -1.0, -torch.inf]]).repeat(20_000, 1).requires_grad_()
    for temperature in (1.0, 0.3):
        chosen = drawing(5, temperature)._choice(logits).argmax(-1)
        rates = torch.bincount(chosen, minlength=4) / len(chosen)
        known = (logits[0].detach() / temperature).softmax(-1)
        torch.testing.assert_close(rates, known, rtol=0, atol=0.015)
    assert rates[1] > 0.9


def test_the_generator_decides_the_draw() -> None:
    seen = features()
    known = drawing(4, HOT)(seen)
    torch.manual_seed(99)  # the global generator plays no part
    assert torch.equal(drawing(4, HOT)(seen), known)
    assert not torch.equal(drawing(5, HOT)(seen), known)


def test_the_temperature_falls_from_hot_to_cold() -> None:
    layer, seen = drawing(0, HOT), []
    for progress in (0.0, 0.25, 0.5, 1.0, 2.0):
        layer.anneal(progress)
        seen.append(layer.temperature)
    assert seen[0] == HOT
    assert seen[2] == pytest.approx((HOT * COLD) ** 0.5)
    assert seen[3] == seen[4] == pytest.approx(COLD)
    assert seen == sorted(seen, reverse=True)


def test_a_network_passes_the_point_of_training_on() -> None:
    made, noisy = network("top1").train(), torch.randn(2, 3, 5, 7)
    made.readout.weight.data.normal_(generator=torch.Generator().manual_seed(1))
    answers = []
    for seed in (4, 4, 5):
        made.anneal(1.0, torch.Generator().manual_seed(seed))
        assert isinstance(made.head, Top1Head)
        assert made.head.temperature == pytest.approx(COLD)
        answers.append(made.predict(noisy, torch.full((2,), 0.5)))
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])
    network("soft").anneal(0.5)  # has no temperature


def network(attention: str, padding: str = "zeros") -> Network:
    torch.manual_seed(0)
    settings = NetworkSettings("cnn", attention, padding, width=8, receptive_field=5, key_width=6)
    return Network.for_data(sm.TrainingSet(torch.zeros(1, 3, 5, 7)), settings)


@pytest.mark.parametrize("attention", HEADS)
def test_a_networks_maps_are_an_attention(attention: str) -> None:
    check_attention(Measured(network(attention).double().attention))


@pytest.mark.parametrize("attention", HEARING)
def test_maps_move_a_machine_unless_there_are_none(attention: str) -> None:
    draw = torch.Generator().manual_seed(1)
    data = sm.TrainingSet(torch.rand(11, 3, 5, 7, generator=draw) * 2 - 1)
    noisy = torch.randn(2, 3, 5, 7, generator=draw)
    plain = sm.ScoreMachine(data, 3, "boundary").denoise(noisy, 0.3)
    deaf = sm.ScoreMachine(data, 3, "boundary", network("none").attention)
    torch.testing.assert_close(deaf.denoise(noisy, 0.3), plain, rtol=0, atol=1e-5)
    told = sm.ScoreMachine(data, 3, "boundary", network(attention).attention)
    assert (told.denoise(noisy, 0.3) - plain).abs().max() > 1e-3


@pytest.mark.parametrize("attention", HEARING)
def test_attention_needs_somebody_else(attention: str) -> None:
    settings = {"attention": attention, "scales": "2"}
    least = 3 if attention == "multiscale" else 2
    with pytest.raises(InputError, match="sample_size="):
        Network([1, least - 1], **settings)
    maps = Network([1, least], 1, **settings).attention(torch.ones(1, 1, 1, least), 0.5)
    torch.testing.assert_close(maps.sum(-1), torch.ones(1, least))
