"""What networks refuse, by name: settings, shapes and questions (theory §5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.networks import Network, NetworkSettings


def network(**settings: Any) -> Network:
    return Network([5, 7], 3, width=8, receptive_field=5, **settings)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


BAD: dict[str, tuple[Any, ...]] = {
    "trunk": ("unet", "", None, 1, ["cnn"]),
    "attention": ("softmax", "loud", None, 0, torch.ones(2)),
    "padding": ("reflect", None, 1),
    "width": (0, -8, 1.5, "64", None, True),
    "receptive_field": (1, 4, -3, 0, 7.0, "7", None, True),
    "pointwise": (-1, 1.5, True, "2", None),
    "key_width": (0, -1, 2.0, None, False),
    "scales": ("", "0,1", "2,1", "1,1", "1;2", "-1", "one", None, 4, (1, 2), b"1,2"),
    "prediction_type": ("v", "score", None, 3),
    "conditional": (1, "yes", None),
}


def test_every_setting_is_tried() -> None:
    assert set(BAD) == set(NetworkSettings.__dataclass_fields__)


@pytest.mark.parametrize(("name", "value"), [(n, value) for n in BAD for value in BAD[n]])
def test_bad_settings_are_named(name: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        NetworkSettings(**{name: value})
    assert caught.value.argument == name


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.one_of(st.none(), st.integers(-3, 9), st.text(max_size=5), st.booleans())
            for name in NetworkSettings.__dataclass_fields__
        },
    )
)
def test_settings_are_either_refused_or_make_a_network(given: dict[str, Any]) -> None:
    try:
        settings = NetworkSettings(**given)
    except InputError as error:
        if error.argument not in given:
            raise
        return
    data = sm.TrainingSet(torch.zeros(1, 1, 8, 12), torch.tensor([0]))
    assert Network.for_data(data, settings).denoise(noise(1, 1, 8, 12), 0.5).isfinite().all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_size", 8),
        ("sample_size", [8]),
        ("sample_size", [8, 0]),
        ("sample_size", [8, 9.5]),
        ("sample_size", "88"),
        ("in_channels", 0),
        ("in_channels", 1.5),
        ("classes", -1),
        ("classes", True),
        ("schedule", "fast"),
        ("alphas_cumprod", [0.1, 0.9]),
    ],
)
def test_bad_shapes_are_named(name: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        Network(**{"sample_size": [8, 9], name: value})
    assert caught.value.argument == name


Ask = Callable[[Network, Tensor], Tensor]


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("noisy", lambda made, x: made.denoise(x[0], 0.5)),
        ("noisy", lambda made, x: made.denoise(x[:, :1], 0.5)),
        ("noisy", lambda made, x: made.denoise(x[..., :6], 0.5)),
        ("noisy", lambda made, x: made.denoise(x.transpose(-1, -2), 0.5)),
        ("noisy", lambda made, x: made.denoise(x[:0], 0.5)),
        ("noisy", lambda made, x: made.denoise(x.long(), 0.5)),
        ("noisy", lambda made, x: made.denoise(x.numpy(), 0.5)),
        ("noisy", lambda made, x: made.denoise(x.to("meta"), 0.5)),
        ("noisy", lambda made, x: made.attention(x[:, :, :4], 0.5)),
        ("noisy", lambda made, x: made(x[:, :1], 3).sample),
        ("alpha_bar", lambda made, x: made.denoise(x, torch.full((3,), 0.5))),
        ("alpha_bar", lambda made, x: made.denoise(x, torch.full((2, 1), 0.5))),
        ("alpha_bar", lambda made, x: made.denoise(x, 1.5)),
        ("alpha_bar", lambda made, x: made.denoise(x, -0.1)),
        ("alpha_bar", lambda made, x: made.denoise(x, float("nan"))),
        ("labels", lambda made, x: made.denoise(x, 0.5, 3)),
        ("labels", lambda made, x: made.denoise(x, 0.5, -2)),
        ("labels", lambda made, x: made.denoise(x, 0.5, torch.tensor([0, 1, 2]))),
        ("labels", lambda made, x: made.denoise(x, 0.5, torch.tensor([0.5, 1]))),
        ("labels", lambda made, x: network().denoise(x, 0.5, 0)),
    ],
)
def test_bad_questions_are_refused(name: str, ask: Ask) -> None:
    with pytest.raises(InputError) as caught:
        ask(network(classes=3), noise(2, 3, 5, 7))
    assert caught.value.argument == name
