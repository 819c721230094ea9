"""What has no gradient in φ says so (theory §2.8)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import AttentionContext
from scoremachines.attention.weights import UniformWeights
from scoremachines.engines import make_engine
from scoremachines.machine.baselines import Wiener

SHAPE = (2, 4, 5)
PIXELS = 20
LEVELS = torch.tensor([0.3, 0.7], dtype=torch.float64)


def training_set() -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    return sm.TrainingSet(torch.rand(7, *SHAPE, generator=draw, dtype=torch.float64) * 2 - 1)


def noisy_images() -> Tensor:
    return torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_second_derivative_is_refused_where_there_is_none() -> None:
    machine = sm.ScoreMachine(training_set(), 3, engine="torch")
    noisy = noisy_images().requires_grad_()
    (gradient,) = torch.autograd.grad(
        machine.denoise(noisy, LEVELS).sum(), noisy, create_graph=True
    )
    with pytest.raises(sm.InputError, match=r"engine='torch': it has no second derivatives"):
        gradient.sum().backward()


class WithoutGradient:
    """An engine of somebody else's, as engines were before there were gradients."""

    name = "mine"

    def __init__(self) -> None:
        engine = make_engine("torch")
        self.plan, self.evidence, self.posterior = engine.plan, engine.evidence, engine.posterior


@dataclass(frozen=True)
class Mean:
    """The mean evidence of a single block."""

    window: int | None

    def of(self, evidence: Tensor, index: Tensor) -> Tensor:
        return evidence.mean()

    def merge(self, one: Tensor, other: Tensor) -> Tensor:
        raise AssertionError("one block")


class Smooth:
    """An attention whose weights follow the evidence."""

    name, dense = "smooth", True

    def attention_weights(self, context: AttentionContext) -> list[Any]:
        mean = context.reduce(Mean(context.window))
        return [(context.window, UniformWeights(float(mean)))]


def detached(noisy: Tensor, *_: object) -> Tensor:
    return noisy.detach()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda data: sm.ScoreMachine(data, 3, engine=WithoutGradient()), "engine='mine': it has"),
        (lambda data: sm.ScoreMachine(data, 3, attention=Smooth()), "attention='smooth': it read"),
        (
            lambda data: sm.ScoreMachine(data, 3, attention=lambda *_: torch.ones(PIXELS, PIXELS)),
            "its maps have no gradient in φ",
        ),
        (
            lambda data: sm.adapt(torch.nn.Identity(), shape=SHAPE, call=detached),
            "module='an answer wi",
        ),
    ],
)
def test_what_has_no_gradient_is_refused_in_one_line(
    make: Callable[..., Any], message: str
) -> None:
    model = make(training_set())
    model.denoise(noisy_images().float(), 0.5)
    with pytest.raises(sm.InputError, match=message):
        model.denoise(noisy_images().float().requires_grad_(), 0.5)


def test_noise_levels_have_no_gradient() -> None:
    for model in (sm.ScoreMachine(training_set(), 3), Wiener(training_set())):
        with pytest.raises(sm.InputError, match="alpha_bar='values that require grad'"):
            model.denoise(noisy_images(), LEVELS.clone().requires_grad_())


@pytest.mark.parametrize("attention", ["identity", "identity-class:1.3"])
def test_a_gradient_that_has_no_room_is_refused(attention: str) -> None:
    draw = torch.Generator().manual_seed(0)
    data = sm.TrainingSet(torch.rand(6, 1, 24, 24, generator=draw), torch.arange(6) % 2)
    noisy = torch.randn(1, 1, 24, 24, generator=draw).requires_grad_()
    small = sm.ScoreMachine(data, 3, attention=attention, engine="torch", memory=32 * 2**20)
    small.denoise(noisy.detach(), 0.5)
    with pytest.raises(sm.InputError, match=r"at least (\d+\.\d) MiB") as refused:
        small.denoise(noisy, 0.5)
    needed = float(re.findall(r"at least ([\d.]+) MiB", str(refused.value))[0])
    enough = int((needed + 0.1) * 2**20)
    large = sm.ScoreMachine(data, 3, attention=attention, engine="torch", memory=enough)
    (gradient,) = torch.autograd.grad(large.denoise(noisy, 0.5).sum(), noisy)
    assert gradient.abs().max() > 0
