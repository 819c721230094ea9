"""The native gradient (theory §2.8) beside the torch engine's, in single precision."""

from __future__ import annotations

import pytest
import torch

import scoremachines as sm
from scoremachines.engines import Pull, Query, TorchEngine, native_instructions
from scoremachines.engines.native.engine import NativeEngine

pytestmark = pytest.mark.skipif(not native_instructions(), reason="built without a C++ compiler")

COUNT, SIZE = 37, (9, 11)  # more images than lanes, and some lanes without one


def case(channels: int, sources: str, window: int, level: float) -> tuple[Query, torch.Tensor]:
    draw = torch.Generator().manual_seed(channels + window)
    pixels = torch.randint(0, 256, (COUNT, channels, *SIZE), generator=draw, dtype=torch.uint8)
    levels = torch.tensor([level, 0.5], dtype=torch.float64)
    root = levels[:, None, None, None]
    clean = pixels[:2].double() / 127.5 - 1
    noise = torch.randn(clean.shape, generator=draw, dtype=torch.float64)
    noisy = (root.sqrt() * clean + (1 - root).sqrt() * noise).float()
    return Query(noisy, levels, window, sources), pixels


@pytest.mark.parametrize("instructions", native_instructions())
@pytest.mark.parametrize("sources", ["aligned", "valid", "circular", "boundary"])
@pytest.mark.parametrize(("channels", "window"), [(1, 3), (3, 5), (3, 9), (4, 7), (2, 1)])
@pytest.mark.parametrize("level", [0.99, 0.02])
def test_it_is_that_of_the_torch_engine(
    channels: int, window: int, sources: str, level: float, instructions: str
) -> None:
    query, pixels = case(channels, sources, window, level)
    values = pixels.double() / 127.5 - 1
    exact = Query(query.noisy.double(), query.alpha_bar, window, sources)
    native, torch_engine = NativeEngine(threads=2, instructions=instructions), TorchEngine()
    direction = query.noisy.flip(-1)
    evidence, mean = native.moments(query, pixels)
    known, known_mean = torch_engine.moments(exact, values)
    assert ((evidence - known) / (1 + known.abs())).abs().max() < 1e-4
    assert (mean - known_mean).abs().max() < 1e-3
    posterior = torch_engine.posterior(exact, values, torch.arange(COUNT), None, 0)
    offset = -(direction * posterior.mean).sum(1, keepdim=True)
    level_of_all = posterior.log_weight[:, None]
    together = Pull(direction, level_of_all, torch.ones_like(offset), offset)
    gain = (known - level_of_all).exp()
    apart = Pull(direction, known, gain, gain * offset + gain.roll(1, 1))
    for pull in (together, apart):
        found = native.gradient(query, pixels, pull)
        wanted = torch_engine.gradient(exact, values, pull.to(torch.float64))
        scale = 1 + wanted.abs().amax((1, 2, 3), keepdim=True)
        assert ((found - wanted) / scale).abs().max() < 2e-3


def test_it_depends_neither_on_threads_nor_on_the_batch() -> None:
    query, pixels = case(3, "circular", 5, 0.3)
    data = sm.TrainingSet(pixels)
    gradients = []
    for threads, some in ((1, slice(0, 2)), (3, slice(0, 2)), (2, slice(0, 1))):
        machine = sm.ScoreMachine(data, 5, "circular", engine=NativeEngine(threads=threads))
        noisy = query.noisy[some].clone().requires_grad_()
        clean = machine.denoise(noisy, query.alpha_bar[some])
        gradients.append(torch.autograd.grad(clean.square().sum(), noisy)[0])
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0][:1], gradients[2])
