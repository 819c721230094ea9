"""Sources with a width: the torch engine beside the reference, and within its memory."""

from __future__ import annotations

import pytest
import torch

import scoremachines as sm
from scoremachines.data.reduction import Divided
from scoremachines.errors import InputError
from scoremachines.testing import check_machine
from scoremachines.theory.comparing import check_close, check_same_sources

SHAPE = 2, 5, 6
CHOICES = [
    *((3, sources) for sources in ("aligned", "valid", "circular", "boundary")),
    (None, "aligned"),
    (None, "circular"),
    (5, "boundary"),
]


def images(count: int = 9, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return (torch.rand(count, *SHAPE, generator=draw, dtype=torch.float64) * 2 - 1).to(dtype)


def noisy(count: int = 2) -> torch.Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(count, *SHAPE, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize(
    ("alpha_bar", "width"),
    [
        (0.5, 0.3),
        (0.8, "0.6+contrasts"),
        *(
            pytest.param(alpha_bar, width, marks=pytest.mark.slow)
            for alpha_bar, width in ((0.02, 0.9), (0.999, 0.3), (0.999, "0+contrasts"))
        ),
    ],
)
@pytest.mark.parametrize(("window", "sources"), CHOICES)
def test_torch_is_the_reference(
    window: int | None, sources: str, width: float | str, alpha_bar: float
) -> None:
    data = sm.TrainingSet(images(), torch.arange(9) % 2)
    for attention in ("none", "tiled", "identity", "top1-class"):
        one, other = (
            sm.ScoreMachine(data, window, sources, attention, smooth=width, engine=engine)
            for engine in ("reference", "torch")
        )
        for best in (0, 3):
            known, found = (each.posterior(noisy(), alpha_bar, best=best) for each in (one, other))
            check_close(found.mean, known.mean, 1e-9, f"{attention}, {best} sources")
            check_close(found.log_weight, known.log_weight, 1e-7, "log weight")
            if best:
                check_close(found.entropy, known.entropy, 1e-7, "entropy")
                check_same_sources(found, known, attention)


def test_single_precision_is_close() -> None:
    data = sm.TrainingSet(images(), torch.arange(9) % 2)
    near = sm.TrainingSet(images(dtype=torch.float32))
    for window, sources in CHOICES:
        for smooth in ("0.6", "0.6+contrasts"):
            known = sm.ScoreMachine(data, window, sources, smooth=smooth).denoise(noisy(), 0.9)
            machine = sm.ScoreMachine(near, window, sources, smooth=smooth)
            found = machine.denoise(noisy().float(), 0.9)
            assert found.dtype == torch.float32
            assert float((found - known).abs().max()) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("window", "sources"), CHOICES)
def test_an_answer_is_its_own(window: int | None, sources: str, dtype: torch.dtype) -> None:
    """It has the same bits whatever else is in the batch."""
    data = sm.TrainingSet(images(40, dtype))
    machine = sm.ScoreMachine(data, window, sources, smooth="0.6+contrasts")
    many = noisy(7).to(dtype)
    known = machine.posterior(many, 0.7, best=2)
    for some in (slice(0, 1), slice(3, 4), slice(2, 7)):
        found = machine.posterior(many[some], 0.7, best=2)
        assert torch.equal(found.mean, known.mean[some])
        assert torch.equal(found.log_weight, known.log_weight[some])
        assert torch.equal(found.sources.image, known.sources.image[some])


TRIED = ("aligned", "none"), ("boundary", "none"), ("valid", "tiled"), ("valid", "top1-class")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sources", "attention"),
    [
        *TRIED,
        *(
            pytest.param(sources, attention, marks=pytest.mark.exhaustive)
            for sources in ("aligned", "valid", "boundary")
            for attention in ("none", "tiled", "top1-class", "tiled-consensus")
            if (sources, attention) not in TRIED
        ),
    ],
)
def test_no_division_changes_an_answer(sources: str, attention: str) -> None:
    check_machine(
        lambda data: sm.ScoreMachine(data, 3, sources, attention, smooth=0.5),
        images(8),
        [Divided(3)],
    )


@pytest.mark.parametrize(("window", "sources"), CHOICES)
def test_gradients_are_those_of_the_reference(window: int | None, sources: str) -> None:
    data = sm.TrainingSet(images())
    direction = noisy(1)
    found = []
    for engine in ("reference", "torch", "auto"):
        leaf = noisy(1).requires_grad_()
        machine = sm.ScoreMachine(data, window, sources, smooth=0.7, engine=engine)
        (machine.denoise(leaf, 0.6) * direction).sum().backward()
        found.append(leaf.grad)
    assert found[0] is not None
    for other in found[1:]:
        check_close(other, found[0], 1e-9, "gradient")


def test_what_was_found_in_inference_serves_gradients() -> None:
    machine = sm.ScoreMachine(sm.TrainingSet(images()), 3, "boundary", smooth=0.7)
    with torch.inference_mode():
        known = machine.denoise(noisy(1), 0.6)
    leaf = noisy(1).requires_grad_()
    found = machine.denoise(leaf, 0.6)
    found.sum().backward()
    assert leaf.grad is not None
    check_close(found.detach(), known, 1e-12, "without and with a gradient")


def test_what_does_not_fit_is_refused() -> None:
    data = sm.TrainingSet(images(400))
    machine = sm.ScoreMachine(data, 3, "valid", smooth=0.5, engine="torch", memory=2**26)
    machine.denoise(noisy(1), 0.5)
    leaf = noisy(1).requires_grad_()
    machine.denoise(leaf, 0.5)
    small = sm.ScoreMachine(data, 3, "valid", smooth=0.5, engine="torch", memory=2**25)
    with pytest.raises(InputError, match="memory"):
        sm.ScoreMachine(data, 3, "valid", smooth=0.5, engine="torch", memory=2**20).denoise(
            noisy(1), 0.5
        )
    with pytest.raises(InputError, match="memory"):
        small.denoise(noisy(1).requires_grad_(), 0.5)


def test_engines_without_widths_are_refused() -> None:
    with pytest.raises(InputError, match="auto, native, torch or reference"):
        sm.ScoreMachine(sm.TrainingSet(images()), 3, smooth=0.5, engine="adaptive")
    sm.ScoreMachine(sm.TrainingSet(images()), 3, smooth=0.0, engine="adaptive")
