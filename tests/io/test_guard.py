"""Arguments of a wrong type: one InputError wherever a call breaks, and no ducks turned away."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.io.guard import guarded
from scoremachines.sampling.reverse_process import kg_trajectory

DATA = sm.TrainingSet(torch.zeros(3, 1, 5, 7))


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: sm.ScoreMachine({"train": DATA}), "data"),  # type: ignore[arg-type]
        (lambda: sm.sample(sm.ideal(DATA), scheduler=object()), "scheduler"),
        (lambda: sm.compare(sm.ideal(DATA), 5, DATA), "machines"),  # type: ignore[arg-type]
        (lambda: sm.TrainingSet(DATA.pixels, names=5), "names"),  # type: ignore[arg-type]
        (lambda: sm.TrainingSet(DATA.pixels, name=5), "name"),  # type: ignore[arg-type]
        (lambda: sm.from_folder(3), "path"),  # type: ignore[arg-type]
        (lambda: sm.adapt(torch.nn.Identity(), shape="abc"), "shape"),  # type: ignore[arg-type]
        (lambda: list(kg_trajectory(5, torch.zeros(1), None)), "machine"),  # type: ignore[arg-type]
        (lambda: sm.ideal(DATA).forward(torch.zeros(1, 1, 5, 7), "x"), "timestep"),  # type: ignore[arg-type]
    ],
)
def test_the_argument_is_named(call: Callable[[], Any], argument: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.argument == argument
    assert len(str(caught.value).splitlines()) == 1


def test_what_does_the_work_of_the_type_is_taken(tmp_path: Path) -> None:
    machine = sm.els(DATA, np.int64(3))
    noisy = torch.randn(2, 1, 5, 7, generator=torch.Generator().manual_seed(0))
    expected = machine.denoise(noisy, 0.5)
    for alpha_bar in (np.float32(0.5), torch.tensor(0.5), [0.5, 0.5], np.full(2, 0.5)):
        assert torch.equal(machine.denoise(noisy, alpha_bar), expected)  # type: ignore[arg-type]

    class Text(str):
        """A text of another library."""

    assert sm.ScoreMachine(DATA, Text("3"), Text("valid")).window == 3  # type: ignore[arg-type]


def test_a_fault_of_the_program_stays_what_it_is() -> None:
    @guarded
    def divide(number: int, by: Any) -> float:
        """Divide.

        Args:
            number: what is divided,
                in a long line.
            by: any number.
        """
        return number / by

    assert divide(np.int64(6), 2) == 3
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)
    with pytest.raises(TypeError, match="missing"):
        divide(1)
    with pytest.raises(InputError, match=r"number='6'.*Accepted: int \(what.*in a long line\)"):
        divide("6", 2)
    assert list(inspect.signature(divide).parameters) == ["number", "by"]
    assert divide.__doc__ is not None


def test_every_public_name_is_guarded_and_keeps_its_signature() -> None:
    for name in sm.__all__:
        found = getattr(sm, name)
        if inspect.isfunction(found):
            assert inspect.signature(found) == inspect.signature(found.__wrapped__)
        elif inspect.isclass(found) and "__init__" in vars(found) and found is not InputError:
            assert hasattr(found.__init__, "__wrapped__"), name
