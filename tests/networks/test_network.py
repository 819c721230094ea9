"""Networks: what they see, how they move, what they answer, and what they refuse (theory §5)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.networks import Network, NetworkSettings
from scoremachines.networks.receptive_field import measured_receptive_field, sensitivity
from scoremachines.networks.settings import HEADS, PADDINGS, TRUNKS
from scoremachines.theory.schedule import PREDICTIONS, clean_from, predicted
from support.unets import noise

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning")


def alive(network: Network, seed: int = 0) -> Network:
    """Give values to all that starts at zero, and some more to all the rest."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    return network.eval()


def network(size: tuple[int, int] = (5, 7), channels: int = 3, **settings: Any) -> Network:
    torch.manual_seed(0)
    given = {"width": 8, "receptive_field": 5, "key_width": 6, **settings}
    return alive(Network(size, channels, **given))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("trunk", "stated"), [("cnn", 3), ("cnn", 5), ("cnn", 7), ("cnn", 9), ("kg-resnet", 17)]
)
def test_the_receptive_field_is_the_stated_one(trunk: str, stated: int, padding: str) -> None:
    made = network(
        (20, 22), 2, trunk=trunk, padding=padding, receptive_field=max(3, min(stated, 9)), width=4
    )
    assert made.receptive_field == stated
    assert measured_receptive_field(made) == stated
    seen = sensitivity(made, (10, 11)) > 0
    assert int(seen.sum()) == stated**2  # the whole window, and nothing else


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_unet_sees_as_far_as_stated(padding: str) -> None:
    made = network((56, 60), 1, trunk="kg-unet", padding=padding, width=2)
    assert measured_receptive_field(made) == made.receptive_field == 47


def test_circular_sight_goes_over_the_edge_and_zeros_do_not() -> None:
    seen = {
        padding: sensitivity(network((9, 11), padding=padding), (0, 5)) > 0 for padding in PADDINGS
    }
    assert seen["circular"][-2:, 3:8].all()
    assert not seen["zeros"][3:].any()
    assert seen["zeros"][:3, 3:8].all()


MOVING = [
    (trunk, attention, step)
    for trunk, step in (("cnn", 1), ("kg-resnet", 1), ("kg-unet", 4))
    for attention in HEADS
    if attention != "multiscale"
]


def moved(made: Network, shift: tuple[int, int]) -> float:
    """How far a network is from commuting with a cyclic shift."""
    noisy = noise(2, *made.shape).double()
    here = made.double().denoise(noisy, 0.4).roll(shift, (-2, -1))
    return float((made.denoise(noisy.roll(shift, (-2, -1)), 0.4) - here).abs().max())


@pytest.mark.parametrize(("trunk", "attention", "step"), MOVING)
def test_circular_networks_commute_with_shifts(trunk: str, attention: str, step: int) -> None:
    settings = {"trunk": trunk, "attention": attention}
    made = network((8, 12), padding="circular", **settings)
    assert moved(made, (step, 0)) < 1e-9
    assert moved(made, (-step, 2 * step)) < 1e-9
    if step > 1:
        assert moved(made, (1, 2)) > 1e-6
    assert moved(network((8, 12), **settings), (step, step)) > 1e-6


def test_cells_of_several_sizes_commute_with_shifts_by_the_largest() -> None:
    made = network((8, 12), padding="circular", attention="multiscale", scales="1,2,4")
    assert moved(made, (4, 8)) < 1e-9
    assert moved(made, (0, -4)) < 1e-9
    assert moved(made, (2, 0)) > 1e-6
    cut = network((7, 12), padding="circular", attention="multiscale", scales="1,2,4")
    assert moved(cut, (4, 0)) > 1e-6


def test_sides_that_are_unequal_and_odd_commute_too() -> None:
    assert moved(network((5, 7), padding="circular", receptive_field=13), (2, 3)) < 1e-9


@pytest.mark.parametrize("attention", HEADS)
def test_maps_belong_to_the_features_of_that_time(attention: str) -> None:
    made, noisy = network(attention=attention), noise(2, 3, 5, 7)
    times = torch.tensor([0.2, 0.7])
    level = made.level(made.schedule.alpha_bar(times), None)
    features = made.body(noisy, level).detach()
    assert torch.equal(made.attention(noisy, times), made.head.maps(features).detach())
    alone = made.attention(noisy[1:], 0.7)
    torch.testing.assert_close(alone, made.attention(noisy, times)[1:], rtol=0, atol=1e-6)
    if attention in ("soft", "multiscale", "identity"):
        assert (made.attention(noisy, 0.7)[0] - made.attention(noisy, 0.2)[0]).abs().max() > 1e-5


@given(
    kind=st.sampled_from(PREDICTIONS),
    levels=st.lists(st.floats(1e-4, 1 - 1e-4), min_size=2, max_size=2),
    seed=st.integers(0, 99),
)
def test_every_form_of_a_prediction_leads_back(kind: str, levels: list[float], seed: int) -> None:
    clean, noisy = (noise(2, 3, 5, 7, seed=seed + 100 * part).double() for part in (0, 1))
    alpha_bar = torch.tensor(levels, dtype=torch.float64)
    output = predicted(kind, clean, noisy, alpha_bar)
    torch.testing.assert_close(clean_from(kind, output, noisy, alpha_bar), clean)


@given(level=st.floats(1e-3, 1 - 1e-3))
def test_outputs_follow_the_prediction_type(level: float) -> None:
    """The same readout, read as x̂0, ε̂ or v̂: `predicted` of the answer is that readout."""
    noisy = noise(2, 3, 5, 7).double()
    alphas = torch.full((2,), level, dtype=torch.float64)
    for kind in ("v_prediction", "epsilon", "sample"):
        made = network(prediction_type=kind).double()
        readout = made.predict(noisy, alphas).detach()
        clean = made.denoise(noisy, level)
        torch.testing.assert_close(predicted(kind, clean, noisy, level), readout)
        torch.testing.assert_close(
            made.epsilon(noisy, level) * -((1 - level) ** -0.5), made.score(noisy, level)
        )


def test_conditional_networks_depend_on_the_label() -> None:
    made, noisy = network(classes=3), noise(2, 3, 5, 7)
    told = [made.denoise(noisy, 0.4, label) for label in (0, 1, 2, None)]
    for i in range(4):
        for j in range(i):
            assert (told[i] - told[j]).abs().max() > 1e-4
    mixed = made.denoise(noisy, 0.4, torch.tensor([2, -1]))
    torch.testing.assert_close(mixed[0], told[2][0], rtol=0, atol=1e-5)
    torch.testing.assert_close(mixed[1], told[3][1], rtol=0, atol=1e-5)
    assert torch.equal(
        made(noisy, 500, class_labels=torch.tensor([1])).sample,
        made(noisy, 500, class_labels=torch.tensor([1, 1])).sample,
    )


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_new_network_starts_from_nothing(trunk: str) -> None:
    """A readout of zeros: v̂ = 0, so x̂0 = √ᾱ φ, the answer of least error for white images."""
    made, noisy = Network([8, 12], 3, trunk=trunk, width=4), noise(2, 3, 8, 12)
    torch.testing.assert_close(made.denoise(noisy, 0.36), 0.6 * noisy)


@pytest.mark.parametrize(
    ("trunk", "width", "body", "whole"),
    [("kg-resnet", 256, 4_254_208, 4_426_883), ("kg-unet", 64, 1_900_419, 1_923_718)],
)
def test_the_sizes_of_kgs_networks(trunk: str, width: int, body: int, whole: int) -> None:
    made = Network([32, 36], 3, trunk=trunk, width=width)
    assert sum(each.numel() for each in made.body.parameters()) == body
    assert sum(each.numel() for each in made.parameters()) == whole
    assert f"{body:,} parameters" in (type(made.body).__doc__ or "")
    assert f"{whole:,} in a `Network`" in (type(made.body).__doc__ or "")


def test_sampling_does_not_depend_on_the_batch() -> None:
    data = sm.TrainingSet(noise(4, 3, 5, 7).clamp(-1, 1))
    for attention in HEADS:
        made = network(attention=attention)
        known = sm.sample(made, 5, 4, 7, data=data, batch=5)
        assert known.posterior is None
        for batch in (1, 2):
            found = sm.sample(made, 5, 4, 7, data=data, batch=batch).images
            torch.testing.assert_close(found, known.images, rtol=0, atol=1e-4)
        with pytest.raises(InputError, match="data="):
            sm.sample(made, 5, 4)


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("attention", HEADS)
def test_a_network_survives_a_folder(trunk: str, attention: str, tmp_path: Path) -> None:
    table = torch.linspace(0.99, 0.01, 9)
    made = network(
        (8, 12), trunk=trunk, attention=attention, classes=2, schedule=table, scales="2,3"
    ).match([0.9, 0.5, 0.1])
    made.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    again = Network.from_pretrained(tmp_path)
    noisy = noise(2, 3, 8, 12)
    assert torch.equal(again.denoise(noisy, 0.3, 1), made.denoise(noisy, 0.3, 1))
    assert torch.equal(again(noisy, 1).sample, made(noisy, 1).sample)
    assert torch.equal(again.attention(noisy, 0.4), made.attention(noisy, 0.4))
    assert (again.shape, again.sources) == (made.shape, made.sources)
    assert again.receptive_field == made.receptive_field


def test_a_pipeline_survives_a_folder_and_another_process(tmp_path: Path) -> None:
    scheduler = DDIMScheduler(prediction_type="v_prediction", num_train_timesteps=100)
    made = network(attention="top1").match(scheduler)
    DDIMPipeline(unet=made, scheduler=scheduler).save_pretrained(tmp_path / "pipe")
    code = (
        "import sys, torch; from diffusers import DDIMPipeline; "
        "from scoremachines import Network; "  # diffusers imports no stranger by itself
        "pipe = DDIMPipeline.from_pretrained(sys.argv[1]); "
        "assert isinstance(pipe.unet, Network); "
        "pipe.set_progress_bar_config(disable=True); "
        "noise = torch.Generator().manual_seed(1); "
        "pipe(1, generator=noise, num_inference_steps=5).images[0].save(sys.argv[2])"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "pipe"), str(tmp_path / "one.png")]
    ended = subprocess.run(line, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    pipe = DDIMPipeline(unet=made, scheduler=scheduler)
    pipe.set_progress_bar_config(disable=True)
    known = pipe(1, generator=torch.Generator().manual_seed(1), num_inference_steps=5).images[0]
    with Image.open(tmp_path / "one.png") as found:
        assert found.tobytes() == known.tobytes()


def test_for_data_takes_its_shape_from_the_set() -> None:
    plain = sm.TrainingSet(torch.zeros(4, 3, 5, 7))
    labelled = sm.TrainingSet(torch.zeros(4, 3, 5, 7), torch.tensor([0, 2, 1, 0]))
    settings = NetworkSettings(width=8, conditional=True, padding="circular")
    made = Network.for_data(labelled, settings, schedule="linear")
    assert made.shape == (3, 5, 7)
    assert made.config["classes"] == 3
    assert (made.sources, made.schedule.name) == ("valid", "linear")
    with pytest.raises(InputError, match="conditional="):
        Network.for_data(plain, settings)
    with pytest.raises(InputError, match="sample_size="):
        Network.for_data(plain, NetworkSettings("kg-unet"))
