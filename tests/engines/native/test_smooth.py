"""Sources with a width, summed natively: the reference, bits of their own, and wrong arguments."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.engines import NativeEngine
from scoremachines.engines.native.engine import native_instructions
from scoremachines.theory.comparing import check_close

pytestmark = pytest.mark.skipif(not native_instructions(), reason="built without a C++ compiler")
every_set = pytest.mark.parametrize("instructions", native_instructions())

CHOICES = [
    *((3, sources) for sources in ("aligned", "valid", "circular", "boundary")),
    (None, "aligned"),
    (None, "circular"),
    (5, "boundary"),
]


def data(count: int = 9, dtype: torch.dtype = torch.float64) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(1)
    return sm.TrainingSet((torch.rand(count, 2, 5, 6, generator=draw) * 2 - 1).to(dtype))


def noisy(count: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(count, 2, 5, 6, generator=draw, dtype=torch.float64).to(dtype)


@every_set
@pytest.mark.parametrize(("alpha_bar", "width"), [(0.02, 0.9), (0.8, "0.6+contrasts"), (0.999, 0)])
@pytest.mark.parametrize(("window", "sources"), CHOICES)
def test_it_is_the_reference(
    window: int | None, sources: str, width: float | str, alpha_bar: float, instructions: str
) -> None:
    if width == 0:
        width = "0+contrasts"
    machine = partial(sm.ScoreMachine, window=window, sources=sources, smooth=width)
    known = machine(data(), engine="reference").posterior(noisy(), alpha_bar)
    engine = NativeEngine(instructions=instructions)
    found = machine(data(), engine=engine).posterior(noisy(), alpha_bar)
    check_close(found.mean, known.mean, 1e-9, "mean")
    check_close(found.log_weight, known.log_weight, 1e-7, "log weight")
    single = machine(data(dtype=torch.float32), engine=engine).denoise(
        noisy(dtype=torch.float32), alpha_bar
    )
    assert float((single - known.mean).abs().max()) < 2e-4


@every_set
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("window", "sources"), CHOICES)
def test_an_answer_is_its_own(
    window: int | None, sources: str, dtype: torch.dtype, instructions: str
) -> None:
    """It has the same bits whatever else is in the batch, and on any number of threads."""
    machine = partial(sm.ScoreMachine, data(40, dtype), window, sources, smooth="0.6+contrasts")
    known = machine(engine=NativeEngine(instructions=instructions)).posterior(noisy(7, dtype), 0.7)
    other = machine(engine=NativeEngine(threads=3, instructions=instructions))
    for some in (slice(0, 1), slice(3, 4), slice(2, 7), slice(0, 7)):
        found = other.posterior(noisy(7, dtype)[some], 0.7)
        assert torch.equal(found.mean, known.mean[some])
        assert torch.equal(found.log_weight, known.log_weight[some])


def test_bytes_are_read_as_values() -> None:
    pixels = (data().pixels * 127.5 + 127.5).round().byte()
    stored, values = sm.TrainingSet(pixels), sm.TrainingSet(pixels.float() / 127.5 - 1)
    answers = [
        sm.ScoreMachine(each, 3, "valid", smooth=0.5).denoise(noisy(), 0.7)
        for each in (stored, values)
    ]
    assert float((answers[0] - answers[1]).abs().max()) < 1e-6


def question() -> dict[str, object]:
    """Return a question of 3 pixels, 2 scales, 4 axes, 5 sources and 2 colours."""
    shapes = {"left": (3, 2, 4), "level": (3, 2), "projected": (5, 4), "lengths": (2, 5)}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return arrays | {"colours": np.zeros((2, 5, 2), np.float32), "threads": 1}


@pytest.mark.parametrize(
    ("argument", "value", "named"),
    [
        ("left", np.zeros((3, 2), np.float32), "left: shape"),
        ("left", np.zeros((0, 2, 4), np.float32), "left: every axis"),
        ("left", np.zeros((3, 2, 4), np.int32), "left: another type"),
        ("left", np.zeros((3, 2, 8), np.float32)[..., ::2], "left: must be contiguous"),
        ("level", np.zeros((2, 3), np.float32), "level: shape"),
        ("projected", np.zeros((5, 3), np.float32), "projected: shape"),
        ("projected", np.zeros((0, 4), np.float32), "projected: every axis"),
        ("lengths", np.zeros((2, 6), np.float32), "lengths: shape"),
        ("lengths", np.zeros((2, 5)), "lengths: another type"),
        ("colours", np.zeros((2, 4, 2), np.float32), "colours: shape"),
        ("colours", np.zeros((2, 5, 0), np.float32), "colours: every axis"),
        ("threads", 0, "threads: from 1"),
        ("instructions", "mmx", "instructions: this processor has no mmx"),
    ],
)
def test_each_wrong_argument_is_named(argument: str, value: object, named: str) -> None:
    from scoremachines.engines.native import _native  # type: ignore[attr-defined]

    log_weight, share, colour = _native.smooth(**question())
    assert np.allclose(log_weight, np.log(10))
    assert np.allclose(share, 0.5)
    assert np.allclose(colour, 0)
    with pytest.raises(ValueError, match=named):
        _native.smooth(**(question() | {argument: value}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("argument", ["left", "level", "projected", "lengths", "colours"])
def test_numbers_of_any_size_only_spoil_the_answer(argument: str, value: float) -> None:
    from scoremachines.engines.native import _native  # type: ignore[attr-defined]

    given = question()
    spoilt = np.array(given[argument])
    spoilt[0] = value
    assert len(_native.smooth(**(given | {argument: spoilt}))) == 3
