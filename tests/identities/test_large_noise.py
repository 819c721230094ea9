"""Noisy images far beyond the range of images: the same answer in every engine, or none in any."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.engines import native_instructions
from scoremachines.errors import InputError
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.networks.adapter import adapt

ENGINES = ["reference", "torch", *(["native"] if native_instructions() else [])]
CHOICES = [
    {"window": 3},
    {"window": 3, "sources": "boundary", "attention": "tiled"},
    {"window": 3, "sources": "circular", "attention": "identity"},
    {"window": None, "sources": "aligned", "attention": "full"},
]


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).clamp(-1, 1)


def machines(engine: str) -> list[DenoiserModel]:
    data = sm.TrainingSet(images(9, 3, 5, 7))
    return [sm.ScoreMachine(data, engine=engine, **choice) for choice in CHOICES]


@pytest.mark.parametrize("size", [30.0, 50.0, 1e4, 9e5])
def test_every_engine_gives_the_same_finite_answer(size: float) -> None:
    noisy = images(2, 3, 5, 7, seed=1) * size
    assert float(noisy.abs().max()) == size
    exact = [each.denoise(noisy.double(), 0.9) for each in machines("reference")]
    for engine in ENGINES:
        for dtype in (torch.float32, torch.float64):
            for known, machine in zip(exact, machines(engine), strict=True):
                found = machine.denoise(noisy.to(dtype), 0.9).double()
                torch.testing.assert_close(found, known, rtol=0, atol=5e-3)


def test_a_sample_does_not_depend_on_a_large_one_beside_it() -> None:
    noisy = images(2, 3, 5, 7, seed=1)
    beside = torch.stack([noisy[0] * 1e4, noisy[1]])
    for machine in machines("auto"):
        assert torch.equal(machine.denoise(beside, 0.9)[1], machine.denoise(noisy, 0.9)[1])


@pytest.mark.parametrize("value", [2e6, 1e19, 1e38, torch.inf, torch.nan, 1e200])
def test_what_is_larger_is_refused_by_all_alike(value: float) -> None:
    dtypes = [torch.float64] if value == 1e200 else [torch.float32, torch.float64]
    wiener = sm.Wiener(sm.TrainingSet(images(9, 3, 5, 7)))
    network = sm.Network([5, 7], 3, width=4)
    adapted = adapt(torch.nn.Identity(), shape=(3, 5, 7), call=lambda noisy, *_: noisy)
    others: list[DenoiserModel] = [wiener, network, adapted]
    words = set()
    for model in [*(each for engine in ENGINES for each in machines(engine)), *others]:
        for dtype in dtypes:
            noisy = images(2, 3, 5, 7).to(dtype)
            noisy[1, 0, 2, 3] = value
            with pytest.raises(InputError, match="noisy=") as caught:
                model.denoise(noisy, 0.5)
            words.add(str(caught.value))
    assert len(words) == 1
